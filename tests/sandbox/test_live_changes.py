"""A running sandbox is changed, as a user types it: whole or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from testbed import document
from testbed.cli.application import application
from testbed.errors import OperationError, SandboxError
from testbed.experiment.events import timeline
from testbed.experiment.programs import Programs
from testbed.experiment.spec import ExperimentSpec
from testbed.experiment.watching import snapshots
from testbed.sandbox import Sandbox
from testbed.topology.load import loads_topology
from testbed.topology.model import Rule
from testbed.topology.operations import AddRule
from testbed.topology.plan import plan
from testbed.topology.present import (
    GiveAddress,
    SetEndpoint,
    SetLinkState,
    SetShaping,
    TakeAddress,
    TakeEndpoint,
)
from testbed.topology.resolve import resolve

pytestmark = pytest.mark.sandbox

PROJECT = Path(__file__).parent.parent.parent
TOPOLOGY = resolve(
    loads_topology("""
nodes: {client: {}, server: {}}
links:
  wifi: {between: [client, server], netem: {rate: 20mbit, delay: 10ms, loss: 1%}}
  lte: {between: [client, server], netem: {rate: 30mbit}, toward: {client: {delay: 5ms}}}
  cable: {between: [client, server]}
""")
)


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


def run(*words: str) -> Done:
    """Do what a command line does, in this process: nothing has to be imported again."""
    stdout, stderr = io.StringIO(), io.StringIO()
    code = 0
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
        try:
            application(list(words), prog_name="testbed")
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1 if end.code else 0
    return Done(code, stdout.getvalue(), stderr.getvalue())


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    file = tmp_path_factory.mktemp("lab") / "lab.yaml"
    file.write_text(
        "nodes: {client: {}, server: {}}\n"
        "links:\n"
        "  wifi: {between: [client, server], netem: {rate: 20mbit, loss: 1%}}\n"
        "  cable: {between: [client, server]}\n"
    )
    name = f"live-{secrets.token_hex(3)}"
    done = run("up", str(file), "--name", name)
    assert done.returncode == 0, done.stderr
    try:
        yield name
    finally:
        assert run("down", name).returncode == 0


def wires(lab: str) -> dict[tuple[str, str], list[str]]:
    """Return the words that ``testbed status`` prints of each direction of a wire."""
    rows = [line.split() for line in run("status", lab).stdout.splitlines()]
    return {(row[0], row[1]): row for row in rows if row and row[0] == "wifi"}


def test_a_wire_is_set_in_one_direction(lab: str) -> None:
    dry = run("set", lab, "wifi", "loss=10%", "delay=40ms 1ms", "--toward", "client", "--dry-run")
    assert dry.stdout.startswith("tc -n @wire qdisc change dev w0a root netem ")
    assert {"rate 20mbit", "delay 40ms 1ms", "loss 10%"} == {
        option for option in ("rate 20mbit", "delay 40ms 1ms", "loss 10%") if option in dry.stdout
    }
    assert "delay" not in wires(lab)["wifi", "client"]
    done = run("set", lab, "wifi", "loss=10%", "delay=40ms 1ms", "--toward", "client")
    assert (done.returncode, done.stdout) == (0, dry.stdout)
    assert {"40ms", "10%"} <= set(wires(lab)["wifi", "client"])
    assert {"40ms", "10%"}.isdisjoint(wires(lab)["wifi", "server"])
    assert run("set", lab, "wifi", "delay=none", "loss=1%").returncode == 0
    assert "delay" not in wires(lab)["wifi", "client"]


def test_a_trace_is_found_from_where_the_user_is(
    lab: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link.csv").write_text("time_s,rate_mbit\n0,8\n1,4\n")
    monkeypatch.chdir(tmp_path)
    done = run("set", lab, "wifi", "rate=none", "trace=link.csv")
    assert done.returncode == 0, done.stderr
    assert run("set", lab, "wifi", "rate=20mbit", "trace=none").returncode == 0


def test_a_pipe_as_a_trace_does_not_stop_the_wires(lab: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    done = run("set", lab, "wifi", "rate=none", f"trace={tmp_path}/pipe")
    assert (done.returncode, done.stdout) == (2, "")
    assert "the trace is not a regular file" in done.stderr
    assert run("status", lab).returncode == 0


def test_the_state_of_a_link_shows_and_its_loss_comes_back(lab: str) -> None:
    for state in ("blackhole", "down"):
        assert run("link", lab, "wifi", state).returncode == 0
        assert wires(lab)["wifi", "server"][2] == state
    assert run("link", lab, "wifi", "up").returncode == 0
    row = wires(lab)["wifi", "server"]
    assert row[2] == "up"
    assert "1%" in row


def test_addresses_and_endpoints_come_and_go(lab: str) -> None:
    assert run("address", lab, "client", "add", "10.9.0.1/24", "wifi").returncode == 0
    twice = run("endpoint", lab, "client", "add", "10.0.1.1", "subflow")
    assert twice.returncode == 2
    assert "10.0.1.1 at 'client' is an endpoint now; its id is 1" in twice.stderr
    # An endpoint of the new address.
    added = run("endpoint", lab, "client", "add", "wifi", "subflow")
    assert added.stdout.startswith("ip -n client mptcp endpoint add 10.9.0.1 id ")
    assert run("endpoint", lab, "client", "del", "10.9.0.1").returncode == 0
    changed = run("endpoint", lab, "client", "change", "wifi", "backup", "--json")
    commands = json.loads(changed.stdout)["commands"]
    assert commands == ["ip -n client mptcp endpoint change id 1 backup"]
    assert "10.0.1.1  1   subflow backup" in run("status", lab).stdout
    assert run("endpoint", lab, "client", "del", "1").returncode == 0
    assert run("address", lab, "client", "del", "10.9.0.1/24", "wifi").returncode == 0
    assert run("endpoint", lab, "client", "add", "wifi", "subflow", "--id", "1").returncode == 0


def test_what_a_shell_has_changed_is_known(lab: str) -> None:
    delete = ["ip", "mptcp", "endpoint", "delete", "id", "2"]
    command = [sys.executable, "-m", "testbed", "exec", lab, "client", "--", *delete]
    subprocess.run(command, check=True, cwd=PROJECT)
    done = run("endpoint", lab, "client", "change", "cable", "backup")
    assert done.returncode == 2
    assert "'cable' at 'client' has no endpoint now; endpoints: 1 (10.0.1.1)" in done.stderr
    again = run("endpoint", lab, "client", "add", "cable", "subflow")
    assert again.stdout == "ip -n client mptcp endpoint add 10.0.2.1 id 2 subflow\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("set", "wifi", "los=1%"), "did you mean 'loss'?"),
        (("set", "wifi", "loss"), "'loss' is not OPTION=VALUE; write for example loss=10%"),
        (("set", "wfi", "loss=1%"), "'wfi' is not a link; did you mean 'wifi'?"),
        (("set", "cable", "loss=1%"), "link 'cable' has no wire to shape"),
        (("link", "cable", "blackhole"), "link 'cable' has no wire to shape"),
        (("address", "client", "add", "10.0.1.1", "wifi"), "not an address with a prefix length"),
        (
            ("address", "client", "add", "224.0.0.1/24", "wifi"),
            "is not a unicast address of a host",
        ),
        (("exec", "clint", "true"), "the sandbox has no node 'clint'; did you mean 'client'?"),
        (("endpoint", "client", "add", "wifi", "subflo"), "did you mean 'subflow'?"),
        (("endpoint", "clint", "del", "wifi"), "did you mean 'client'?"),
        (("endpoint", "client", "change", "wifi"), "there is no flag to change"),
    ],
)
def test_bad_input_is_one_line_and_2(lab: str, words: tuple[str, ...], message: str) -> None:
    done = run(words[0], lab, *words[1:])
    assert done.returncode == 2, done.stdout
    assert done.stdout == ""
    assert done.stderr.startswith("testbed: ")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr


def in_sandbox(scenario) -> None:  # type: ignore[no-untyped-def]
    async def whole() -> None:
        async with await Sandbox.create() as sandbox:
            await sandbox.execute(plan(TOPOLOGY, engine="emulator"))
            await scenario(sandbox)

    asyncio.run(asyncio.wait_for(whole(), 30))


def test_names_of_hosts_follow_their_addresses() -> None:
    ask = "import socket; print(sorted({it[4][0] for it in socket.getaddrinfo('server', None)}))"

    async def known(sandbox: Sandbox) -> str:
        reading, writing = os.pipe()
        argv = [sys.executable, "-c", ask]
        process = await sandbox.spawn("client", argv, stdout=writing)
        os.close(writing)
        assert (await process.wait(20)).returncode == 0
        with os.fdopen(reading) as pipe:
            return pipe.read()

    async def scenario(sandbox: Sandbox) -> None:
        before = Path("/etc/hosts").read_text()
        assert "10.0.1.2" in await known(sandbox)
        await sandbox.change(TakeAddress(node="server", interface="wifi", address="10.0.1.2/24"))
        assert "10.0.1.2" not in await known(sandbox)
        assert Path("/etc/hosts").read_text() == before

    in_sandbox(scenario)


async def state_of(sandbox: Sandbox):  # type: ignore[no-untyped-def]
    """Return all that changes are about."""
    observation = await sandbox.observe(["client", "server"])
    report = await sandbox.wires()
    parts = ("addresses", "routes", "rules", "neighbours", "endpoints", "limits")
    return (
        {name: {part: set(getattr(it, part)) if part != "limits" else it.limits for part in parts}
         for name, it in observation.namespaces.items()},
        [(wire.link, wire.toward, wire.netem) for wire in report.wires],
    )  # fmt: skip


ADDRESS = GiveAddress(node="client", interface="lte", address="10.9.0.1/24")


@pytest.mark.parametrize(
    "others",
    [
        (),
        (SetShaping(link="wifi", options={"loss": "5%", "delay": "none"}),),
        (SetLinkState(link="cable", state="down"),),
        (SetLinkState(link="cable", state="down"), SetLinkState(link="cable", state="up")),
        (SetLinkState(link="wifi", state="down"), SetLinkState(link="lte", state="blackhole")),
        (TakeEndpoint(node="client", which="wifi"),),
        (SetEndpoint(node="client", which="wifi", backup=True),),
        (TakeAddress(node="server", interface="cable", address="10.0.3.2/24"),),
        (TakeAddress(node="client", interface="wifi", address="fd00:0:0:1::1/64"),),
    ],
)
def test_a_change_that_fails_leaves_everything_as_it_was(others) -> None:  # type: ignore[no-untyped-def]
    """The rule that the new address would get is there already: the kernel refuses it."""

    async def scenario(sandbox: Sandbox) -> None:
        last = max(rule.priority for rule in TOPOLOGY.node("client").rules) + 1
        clash = Rule(source="10.9.0.1/32", table=1002, priority=last)
        await sandbox.execute([AddRule(namespace="client", rule=clash)])
        before = await state_of(sandbox)
        with pytest.raises(OperationError, match="EEXIST"):
            await sandbox.change(*others, ADDRESS)
        assert await state_of(sandbox) == before
        assert (await sandbox.describe()).states == {}

    in_sandbox(scenario)


def test_nobody_sees_half_a_change() -> None:
    async def scenario(sandbox: Sandbox) -> None:
        async def toggle(client: Sandbox, address: str) -> None:
            for _ in range(5):
                await client.change(
                    TakeAddress(node="client", interface="lte", address="10.0.2.1/24"),
                    GiveAddress(node="client", interface="lte", address=address),
                )
                await client.change(
                    TakeAddress(node="client", interface="lte", address=address),
                    GiveAddress(node="client", interface="lte", address="10.0.2.1/24"),
                )

        async with await Sandbox.connect(sandbox.name) as other:
            seen = set()

            async def look() -> None:
                for _ in range(30):
                    client = (await other.observe(["client"])).namespaces["client"]
                    seen.add(
                        tuple(
                            it.address for it in client.addresses
                            if it.interface == "lte" and "." in it.address
                        )
                    )  # fmt: skip

            await asyncio.gather(toggle(sandbox, "10.0.2.9/24"), look())
        assert seen <= {("10.0.2.1/24",), ("10.0.2.9/24",)}

    in_sandbox(scenario)


def test_a_sandbox_of_plain_operations_cannot_be_changed(plans) -> None:  # type: ignore[no-untyped-def]
    async def scenario() -> None:
        async with await Sandbox.create() as sandbox:
            await sandbox.execute(plans.direct())
            with pytest.raises(SandboxError, match="not built from a topology"):
                await sandbox.change(SetLinkState(link="wifi", state="down"))

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_events_of_an_experiment_are_seen_as_changes_are() -> None:
    """By ``status`` and ``watch``, which ask the sandbox; its wires say the loss alone."""
    text = """
topology: unused.yaml
workload: {kind: bulk, from: client, to: server, size: 1MB}
events:
  - {at: 0, link: wifi, state: blackhole}
  - {at: 0, link: lte, state: down}
  - {at: 0, node: client, add_address: {interface: wifi, address: 10.7.0.1/24}}
  - {at: 1s, link: wifi, state: up}
"""
    actions = timeline(document.loads(text, ExperimentSpec, "try.yaml"), TOPOLOGY)

    async def scenario(sandbox: Sandbox) -> None:
        programs = Programs(sandbox)
        seen = []
        for index, action in enumerate(actions):
            await programs.carry_out(index, action)
            seen.append((await sandbox.describe()).states)
            if index == 0:
                async with contextlib.aclosing(snapshots(sandbox, 50_000_000)) as looks:
                    look = await anext(looks)
                assert {it.state for it in look.wires if it.link == "wifi"} == {"blackhole"}
        black, down = {"wifi": "blackhole"}, {"lte": "down"}
        assert seen == [black, black | down, black | down, down]
        await sandbox.change(TakeAddress(node="client", interface="wifi", address="10.7.0.1/24"))

    in_sandbox(scenario)
