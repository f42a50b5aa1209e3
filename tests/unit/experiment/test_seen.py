"""What is observed of a run: the first reason stays, and what the time line makes of it."""

from __future__ import annotations

from testbed.experiment.events import Action
from testbed.experiment.seen import Seen
from testbed.results.model import EventRecord

FAILED = EventRecord(planned_ns=0, started_ns=1, finished_ns=2, action="wifi down", error="no wifi")
LATE = Action(at_ns=2 * 10**9, text="wifi up")


def test_the_first_reason_stays():
    seen = Seen()
    seen.fail("the client ended")
    seen.fail("the run did not end")
    seen.doubt(None)
    seen.doubt("the processors were busy")
    seen.doubt("the probes failed")
    assert (seen.failure, seen.question) == ("the client ended", "the processors were busy")


def test_a_failed_event_fails_the_run_and_a_missed_one_makes_it_doubtful():
    seen = Seen()
    seen.played([FAILED], [LATE])
    assert seen.failure == "event `wifi down`: no wifi"
    assert seen.question == "the workload ended before the event at 2s (`wifi up`)"
