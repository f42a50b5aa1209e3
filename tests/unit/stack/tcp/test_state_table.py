"""RFC 9293, section 3.3.2: the table of transitions has all of figure 5, and nothing else."""

from __future__ import annotations

from testbed.stack.tcp.state import TRANSITIONS, State, Trigger

# The arrows of figure 5.  That from SYN-RECEIVED to FIN-WAIT-1 is taken by way of ESTABLISHED
# (section 3.10.4 lets CLOSE be queued).
FIGURE_5 = {
    ("CLOSED", "SYN-SENT"),
    ("LISTEN", "SYN-RECEIVED"),
    ("SYN-SENT", "SYN-RECEIVED"),
    ("SYN-SENT", "ESTABLISHED"),
    ("SYN-RECEIVED", "ESTABLISHED"),
    ("ESTABLISHED", "FIN-WAIT-1"),
    ("ESTABLISHED", "CLOSE-WAIT"),
    ("FIN-WAIT-1", "FIN-WAIT-2"),
    ("FIN-WAIT-1", "CLOSING"),
    ("FIN-WAIT-2", "TIME-WAIT"),
    ("CLOSE-WAIT", "LAST-ACK"),
    ("CLOSING", "TIME-WAIT"),
    ("LAST-ACK", "CLOSED"),
    ("TIME-WAIT", "CLOSED"),
}


def test_it_is_figure_5() -> None:
    arrows = {
        (old.value, new.value)
        for (old, trigger), new in TRANSITIONS.items()
        if trigger is not Trigger.DELETE
    }
    assert arrows == FIGURE_5


def test_every_connection_can_be_deleted() -> None:
    deletable = {old for old, trigger in TRANSITIONS if trigger is Trigger.DELETE}
    assert deletable == set(State) - {State.CLOSED, State.LISTEN}


def test_every_state_can_be_reached_and_left() -> None:
    reached = {State.CLOSED, State.LISTEN}
    while True:
        more = {new for (old, _), new in TRANSITIONS.items() if old in reached} - reached
        if not more:
            break
        reached |= more
    assert reached == set(State)
    assert {old for old, _ in TRANSITIONS} == set(State)
