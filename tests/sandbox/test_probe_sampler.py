"""The sampler in a sandbox: what it sees of programs that know nothing of it."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from testbed.document import structured
from testbed.errors import InputError, SandboxError
from testbed.experiment.launcher import Launcher, Program
from testbed.probe.client import Job, Sampler, Summary, command
from testbed.probe.probes import PROBES
from testbed.sandbox import Sandbox
from testbed.topology.model import Endpoint, EndpointFlag, Limits
from testbed.topology.operations import (
    WIRE,
    AddAddress,
    AddEndpoint,
    AddNamespace,
    AddVeth,
    AnyOperation,
    SetLimits,
    VethEnd,
)
from testbed.workload.base import Workload
from testbed.workload.result import WorkloadResult
from testbed.workload.run import run

pytestmark = pytest.mark.sandbox

RECORDS = 3  # the descriptor the sampler writes to


def network() -> list[AnyOperation]:
    """A client and a server, joined twice; the server announces its second address."""
    operations: list[AnyOperation] = [
        AddNamespace(namespace="client"),
        AddNamespace(namespace="server"),
    ]
    for link in (1, 2):
        ends = [
            VethEnd(
                namespace=node, interface=f"l{link}", mac=f"02:00:00:00:0{link}:0{host}", mtu=1500
            )
            for host, node in ((1, "client"), (2, "server"))
        ]
        operations.append(AddVeth(a=ends[0], b=ends[1]))
        operations += [
            AddAddress(namespace=node, interface=f"l{link}", address=f"10.0.{link}.{host}/24")
            for host, node in ((1, "client"), (2, "server"))
        ]
    operations += [
        SetLimits(namespace=node, limits=Limits(subflows=2, add_addr_accepted=2))
        for node in ("client", "server")
    ]
    signal = (EndpointFlag.SIGNAL,)
    operations.append(
        AddEndpoint(
            namespace="server",
            endpoint=Endpoint(address="10.0.2.2", id=1, interface="l2", flags=signal),
        )
    )
    return operations


class Lab:
    """A sandbox with that network, a sampler in it, and what it wrote."""

    def __init__(self, sandbox: Sandbox, launcher: Launcher) -> None:
        self.sandbox = sandbox
        self.launcher = launcher
        self.records: list[dict[str, Any]] = []
        self.summary: Summary | None = None
        self.result: Any = None

    async def sampled(
        self,
        during: Callable[[], Awaitable[Any]],
        *probes: str,
        interval_ns: int = 20_000_000,
        **options: dict[str, Any],
    ) -> None:
        memory = os.memfd_create("records")
        try:
            process = await self.launcher.spawn(WIRE, command(RECORDS), pass_fds={RECORDS: memory})
            job = Job(
                probes=probes,
                nodes=("client", "server"),
                interval_ns=interval_ns,
                options=options,
            )
            sampler = await Sampler.start(process, job)
            self.result = await during()
            self.summary = await sampler.stop()
            assert (await process.wait()).returncode == 0
            data = os.pread(memory, os.fstat(memory).st_size, 0)
            self.records = [msgspec.json.decode(line) for line in data.splitlines()]
        finally:
            os.close(memory)

    async def work(self, stack: str = "tcp", **fields: Any) -> WorkloadResult:
        workload = structured({"from": "client", "to": "server", **fields}, Workload)
        return await run(
            workload,
            stack=stack,
            address="10.0.1.2",
            launcher=self.launcher,
            seed=1,
            timeout_ns=30_000_000_000,
        )

    def of(self, probe: str, node: str) -> list[dict[str, Any]]:
        return [each for each in self.records if (each["probe"], each["node"]) == (probe, node)]


@pytest.fixture
def lab() -> Callable[[Callable[[Lab], Awaitable[Any]]], Lab]:
    def inside(test: Callable[[Lab], Awaitable[Any]]) -> Lab:
        async def go() -> Lab:
            async with await Sandbox.create() as sandbox, Launcher(sandbox) as launcher:
                await sandbox.execute(network())
                lab = Lab(sandbox, launcher)
                await test(lab)
                return lab

        return asyncio.run(go())

    return inside


@pytest.fixture
def until(lab) -> Callable[[Callable[[Lab], Any], Callable[[Lab, int], Awaitable[Any]]], Lab]:
    """Sample for longer and longer times, until there are enough samples: machines differ.

    ``until(enough, test)``; the test gets the factor by which it must last longer than at first.
    """

    def found(enough: Callable[[Lab], Any], test: Callable[[Lab, int], Awaitable[Any]]) -> Lab:
        for times in (1, 4, 16, 64):
            done: Lab = lab(lambda lab, times=times: test(lab, times))
            if enough(done):
                return done
        raise AssertionError("never was enough seen")

    return found


def test_both_subflows_are_seen_from_both_ends(until):
    async def test(lab: Lab, times: int) -> None:
        bulk = {"kind": "bulk", "duration": f"{500 * times}ms"}
        await lab.sampled(lambda: lab.work("mptcp", **bulk), "mptcp_info", "pm_events")

    def of_both(lab: Lab) -> list[dict[str, Any]]:
        seen = lab.of("mptcp_info", "client")
        return [each for each in seen if len(each["mptcp"]["subflows"]) == 2]

    done = until(of_both, test)
    remotes = {"source": {"10.0.1.2", "10.0.2.2"}, "target": {"10.0.1.1", "10.0.2.1"}}
    for end, expected in remotes.items():  # the workers' own last look says the same
        view = done.result.details[end]["view"]["mptcp_info"]
        assert not view["fallback"]
        assert {each["remote"].split(":")[0] for each in view["subflows"]} == expected
    last = of_both(done)[-1]
    assert last["mptcp"]["info"]["bytes_sent"] > 0
    assert last["remote"] == "10.0.1.2:5001"
    (token,) = {each["mptcp"]["info"]["token"] for each in done.of("mptcp_info", "client")}
    events = [
        (each["event"], each.get("remote"))
        for each in done.of("pm_events", "client")
        if each["token"] == token
    ]
    assert [event for event, _ in events] == [
        "created",
        "established",
        "announced",
        "sub_established",
        "closed",
    ]
    assert events[2:4] == [("announced", "10.0.2.2:5001"), ("sub_established", "10.0.2.2:5001")]
    server = [each["event"] for each in done.of("pm_events", "server")]
    assert {"listener_created", "created", "sub_established", "closed"} <= set(server)


def test_tcp_is_seen_as_it_goes(until):
    async def test(lab: Lab, times: int) -> None:
        bulk = {"kind": "bulk", "duration": f"{500 * times}ms"}
        await lab.sampled(lambda: lab.work(**bulk), "tcp_info", "nstat", "cpu")

    def sent(lab: Lab) -> list[int]:
        return [each["tcp"]["bytes_sent"] for each in lab.of("tcp_info", "client")]

    def cpu(lab: Lab) -> list[int]:
        sender = lab.of("tcp_info", "client")[0]["pid"]
        return [each["cpu_ns"] for each in lab.of("cpu", "client") if each["pid"] == sender]

    def received(lab: Lab) -> list[int]:
        return [each["tcp"]["bytes_received"] for each in lab.of("tcp_info", "server")]

    def grow(lab: Lab) -> bool:
        return all(len(set(get(lab))) > 1 for get in (sent, cpu, received))

    done = until(grow, test)
    for get in (sent, cpu, received):
        assert get(done) == sorted(get(done))
    assert len({each["inode"] for each in done.of("tcp_info", "client")}) == 1
    assert {each["local"] for each in done.of("tcp_info", "server")} == {"10.0.1.2:5001"}


def test_counters_begin_whole_and_end_with_their_sum(lab):
    done = lab(lambda lab: lab.sampled(lambda: lab.work("mptcp", kind="reqres", count=50), "nstat"))
    for node, name in (("client", "MPTcpExtMPCapableSYNTX"), ("server", "MPTcpExtMPCapableSYNRX")):
        first, *changes, total = done.of("nstat", node)
        assert (first["span"], total["span"]) == ("absolute", "total")
        assert {each["span"] for each in changes} == {"sample"}
        assert total["values"][name] == 1
        for counter in total["values"]:
            assert total["values"][counter] == sum(
                each["values"].get(counter, 0) for each in changes
            )


@pytest.mark.skipif(shutil.which("iperf3") is None, reason="iperf3 is not installed")
@pytest.mark.parametrize(("stack", "probe"), [("tcp", "tcp_info"), ("mptcp", "mptcp_info")])
def test_a_program_that_is_not_ours_is_sampled_too(until, stack, probe):
    if stack == "mptcp" and shutil.which("mptcpize") is None:
        pytest.skip("mptcpize is not installed")

    async def test(lab: Lab, times: int) -> None:
        await lab.sampled(lambda: lab.work(stack, kind="iperf3", duration=f"{times}s"), probe)

    done = until(lambda lab: lab.of(probe, "client"), test)
    seen = done.of(probe, "client")
    assert {each["process"] for each in seen} == {"iperf3"}
    assert max(each["remote"] for each in seen) == "10.0.1.2:5201"


def test_packets_of_every_interface_are_in_files(lab, tmp_path):
    done = lab(
        lambda lab: lab.sampled(
            lambda: lab.work(kind="reqres", count=5), "pcap", pcap={"folder": str(tmp_path)}
        )
    )
    files = {path.name for path in tmp_path.iterdir()}
    assert files == {f"{node}-l{link}.pcapng" for node in ("client", "server") for link in (1, 2)}
    counts = {each["file"]: each for each in done.records}
    assert counts["client-l1.pcapng"]["captured"] >= 3 + 2 * 5  # a handshake, and each transaction
    assert counts["client-l1.pcapng"]["dropped"] == 0
    magic = (tmp_path / "client-l1.pcapng").read_bytes()[:4]
    assert int.from_bytes(magic, "little") == 0x0A0D0D0A


def test_a_connection_closes_while_it_is_watched(until):
    """A duplicate that was kept would hold back the FIN, and the server would wait for ever."""

    async def test(lab: Lab, times: int) -> None:
        reqres = {"kind": "reqres", "count": 200 * times, "reconnect": True}
        await lab.sampled(lambda: lab.work(**reqres), *names_of_sockets())

    until(lambda lab: lab.of("tcp_info", "client"), test)


def names_of_sockets() -> tuple[str, ...]:
    return tuple(name for name in PROBES.own() if name.endswith("_info"))


def test_a_last_sample_is_taken_on_stop(lab):
    async def nothing() -> None:
        pass

    never = 3_600_000_000_000
    done = lab(lambda lab: lab.sampled(nothing, "nstat", interval_ns=never))
    assert done.summary.samples == 2  # one at the start, one at the end
    assert done.summary.records == len(done.records)
    # The kernel speaks IPv6 to a new link on its own: whether it did meanwhile says nothing.
    spans = [each["span"] for each in done.records if each["span"] != "sample"]
    assert spans == ["absolute", "absolute", "total", "total"]


@pytest.mark.parametrize(
    ("probes", "options", "words"),
    [
        (("nonsense",), {}, "no probe 'nonsense'"),
        (("cpu",), {"cpu": {"fast": True}}, "takes no options"),
        (("pcap",), {}, "folder"),
    ],
)
def test_what_cannot_be_sampled_is_said(lab, probes, options, words):
    async def nothing() -> None:
        raise AssertionError("it began")

    with pytest.raises((SandboxError, InputError), match=words):
        lab(lambda lab: lab.sampled(nothing, *probes, **options))


def test_a_full_disk_is_said(lab):
    async def test(lab: Lab) -> None:
        with Path("/dev/full").open("wb") as full:
            process: Program = await lab.launcher.spawn(
                WIRE, command(RECORDS), pass_fds={RECORDS: full.fileno()}
            )
            await Sampler.start(process, Job(probes=("nstat",), nodes=("client",)))

    with pytest.raises(SandboxError, match="No space left on device"):
        lab(test)
