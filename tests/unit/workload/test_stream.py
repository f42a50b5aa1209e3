"""A stream of blocks over a stack in memory, in virtual time."""

from __future__ import annotations

import pytest

from testbed.workload import stream
from testbed.workload.halves import verify
from testbed.workload.transfer import Both


def job(**changes):
    fields = {"block": 1000, "interval_ns": 10_000_000, "count": 100, "forward": True, "seed": 1}
    return stream.Job(**{**fields, **changes})


@pytest.mark.parametrize("forward", [True, False])
def test_a_delay_is_that_of_the_path(halves, forward):
    stack = halves.stack(delay_s=0.03, rate=8e6)  # a millisecond for a block
    reports = halves.run(stream, job(forward=forward), stack)
    verify(*reports)
    findings = stream.evaluate([Both.of(job(forward=forward), reports)])
    assert findings.samples_ns["block_delay"] == pytest.approx([31_000_000] * 100)
    assert findings.metrics["blocks"] == 100


def test_a_block_that_waits_in_the_sender_is_late(halves):
    # 800 kbit/s are due, 400 kbit/s get through: each block adds 10 ms to the queue.
    stack = halves.stack(delay_s=0.03, rate=4e5)
    findings = stream.evaluate([Both.of(job(), halves.run(stream, job(), stack))])
    delays_ns = findings.samples_ns["block_delay"]
    assert delays_ns[0] == pytest.approx(50e6)
    assert delays_ns[-1] == pytest.approx(50e6 + 99 * 10e6, rel=1e-3)
    assert findings.metrics["block_delay_max"] == delays_ns[-1] / 1e9


def test_a_sender_that_is_held_back_makes_blocks_late_too(halves):
    # So slow that the sender must wait for room: the delay goes on counting from the due time.
    stack = halves.stack(delay_s=0.03, rate=8e5)
    held = job(block=100_000, interval_ns=100_000_000, count=20)
    findings = stream.evaluate([Both.of(held, halves.run(stream, held, stack))])
    delays_ns = findings.samples_ns["block_delay"]
    assert delays_ns[-1] == pytest.approx(1.03e9 + 19 * 0.9e9, rel=1e-2)
