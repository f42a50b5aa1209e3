"""Both halves in one event loop."""

from __future__ import annotations

import asyncio
import gc
import sys
from typing import Any
from unittest import mock

import pytest

from testbed.errors import WorkloadError
from testbed.sim.loop import VirtualLoop
from testbed.workload import carry, together
from testbed.workload import flow as flows
from testbed.workload.result import Progress
from testbed.workload.spec import Bulk
from testbed.workload.stacks import choice
from testbed.workload.transfer import now_ns

JOB = Bulk(source="client", target="server", size="1MB")


async def carry_out(stack: Any, said: list[Progress] | None = None) -> Any:
    async with together.prepared(
        JOB,
        stack,
        stack,
        address="192.0.2.1",
        seed=1,
        timeout_ns=100 * 10**9,
        on_progress=(said if said is not None else []).append,
    ) as flow:
        return await flow.run(now_ns())


def run(main: Any) -> Any:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


def test_the_result_is_that_of_two_processes_without_their_cpu_time(halves: Any) -> None:
    said: list[Progress] = []
    result = run(carry_out(halves.stack(rate=1e6), said))
    assert result.metrics["goodput"] == pytest.approx(1e6, rel=0.05)
    assert not {"cpu_source", "cpu_target"} & set(result.metrics)
    assert result.details["target"]["received"]["octets"] == 2**20
    assert {series.node for series in result.series} == {"server"}
    assert said[0].done == 0
    assert said[0].started_ns == result.started_ns
    assert [one.done for one in said] == sorted(one.done for one in said)
    assert len(said) > 5


def test_a_wrong_octet_is_an_error(halves: Any, tampering: Any) -> None:
    with pytest.raises(WorkloadError, match="but the server received"):
        run(carry_out(halves.stack(tamper=tampering["flips a bit"])))


def test_an_error_says_what_both_were_waiting_for(halves: Any) -> None:
    with pytest.raises(WorkloadError) as caught:
        run(carry_out(halves.stack(rate=1e3)))
    assert " s while waiting for room to send after " in str(caught.value)
    assert "; the server " in str(caught.value)
    assert str(caught.value).count("waiting for") == 2


def test_being_cancelled_leaves_nothing_behind(halves: Any) -> None:
    complaints: list[Any] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, about: complaints.append(about))
        work = asyncio.ensure_future(carry_out(halves.stack(rate=1e3)))
        await asyncio.sleep(1)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(main())
    assert not complaints


@pytest.mark.filterwarnings("error")
def test_a_loop_that_ends_before_the_first_step_of_its_tasks_leaves_no_coroutine(
    halves: Any,
) -> None:
    """As a second Ctrl-C does: what was just begun is cancelled before it runs."""
    unraisable: list[Any] = []

    async def main(work: Any) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(0)
        task = loop.create_task(work)
        loop.call_soon(_interrupt)
        await task

    class Flow:
        async def run(self, zero_ns: int) -> Any:
            await asyncio.sleep(zero_ns)

        async def finish(self) -> None:
            pass

    flow = flows.Flow(name="workload", workload=JOB, stack=choice.read("tcp"), address="192.0.2.1")
    begun = (
        lambda: carry_out(halves.stack()),
        lambda: carry.carry_out([flow], {"workload": Flow()}, 1),
    )
    with mock.patch.object(sys, "unraisablehook", unraisable.append):
        for begin in begun:
            with pytest.raises(KeyboardInterrupt):
                run(main(begin()))
            gc.collect()
    assert [str(each.exc_value) for each in unraisable] == []


def _interrupt() -> None:
    raise KeyboardInterrupt
