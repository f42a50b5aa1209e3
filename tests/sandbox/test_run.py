"""Experiments end to end: every kind of ending a run can have, and what is left of it on disk."""

from __future__ import annotations

import msgspec
import pytest

from testbed.campaign import runner
from testbed.experiment.load import load
from testbed.results.model import WORKLOAD, Status

pytestmark = pytest.mark.sandbox

TOPOLOGY = """
  nodes: {client: {}, server: {}}
  links:
    wifi: {between: [client, server], netem: rate 50mbit delay 2ms}
    lte: {between: [client, server], netem: rate 50mbit delay 3ms}
"""


def bulk(times=1):
    return f"workload: {{kind: bulk, from: client, to: server, size: {2 * times}MB}}\n"


def lasting(times=1):
    return f"workload: {{kind: bulk, from: client, to: server, duration: {times}s}}\n"


def counts(records):
    """Whether all runs went well."""
    return all(record.status is Status.OK for record in records)


class Silent:
    """A watcher that says nothing."""

    def begin(self, run):
        pass

    def progress(self, progress):
        pass

    def end(self, record):
        pass


@pytest.fixture
def run(tmp_path):
    """Carry out an experiment given as text; return its records, its outcome and its folder."""

    def carry_out(text, *, topology=TOPOLOGY, fail_fast=False):
        path = tmp_path / "try.yaml"
        path.write_text(f"topology:{topology}wire: emulator\n{text}")
        experiment = load(path)
        store = runner.create(experiment, tmp_path / "results")
        runs = runner.plan(experiment)
        runner.carry_out(experiment, store, runs, Silent(), fail_fast=fail_fast)
        return store.runs(), runner.conclude(store), store.path

    return carry_out


@pytest.fixture
def until(run):
    """Carry out an experiment that lasts ever longer until its records are as wanted.

    A second subflow comes a few round trips after the first, and events come at their time: how
    long a workload must last for that depends on how busy the machine is.

    ``until(wanted, text)``; the text is that of a number of times as long as at first.
    """

    def carry_out(wanted, text, **more):
        for times in (1, 4, 16):
            done = run(text(times), **more)
            if wanted(done[0]):
                break
        return done

    return carry_out


def series(path, number):
    lines = (path / f"runs/{number:04d}/series.jsonl").read_bytes().splitlines()
    return [msgspec.json.decode(line) for line in lines]


def test_a_run_of_each_stack_is_proved_and_recorded(until):
    records, outcome, _ = until(counts, lambda times: bulk(times) + "repetitions: 1\n")
    assert [record.reason for record in records] == [None, None]
    by_stack = {record.stack: record for record in records}
    assert by_stack["mptcp"].flows[WORKLOAD].proof.subflows == 2
    assert by_stack["mptcp"].flows[WORKLOAD].proof.counters["server"]["MPTcpExtMPJoinAckRx"] == 1
    assert by_stack["tcp"].flows[WORKLOAD].proof.counters["client"] == {"TcpActiveOpens": 1}
    for record in records:
        assert 1e6 < record.metrics["goodput"] < 100e6
        assert record.engine == "emulator"
        assert {(wire.link, wire.toward) for wire in record.wires} == {
            ("wifi", "client"),
            ("wifi", "server"),
            ("lte", "client"),
            ("lte", "server"),
        }
        assert record.sysctls["client"]["net.mptcp.enabled"] == "1"
        assert record.cpu["emulator"] > 0
    assert [cell.ok for cell in outcome.cells] == [1, 1]


def test_another_stack_at_each_end(until):
    stacks = ("userspace", "userspace/mptcp", "mptcp/userspace", "tcp/userspace-tcp")
    rest = f"repetitions: 1\nstacks: [{', '.join(stacks)}]\n"
    records, _, path = until(counts, lambda times: bulk(times) + rest)
    assert {record.stack: record.reason for record in records} == dict.fromkeys(stacks)
    by_stack = {record.stack: record for record in records}
    assert [by_stack[stack].flows[WORKLOAD].proof.subflows for stack in stacks] == [2, 2, 2, None]
    counters = by_stack["userspace/mptcp"].flows[WORKLOAD].proof.counters
    assert counters["server"]["MPTcpExtMPJoinAckRx"] == 1
    assert not counters["client"]
    # The stack in the program counts these; the kernel of the node does not.
    number = by_stack["userspace/mptcp"].number
    own = [line for line in series(path, number) if line["probe"] == "nstat" and line.get("own")]
    assert [(line["node"], line["span"]) for line in own] == [("client", "total")]
    assert own[0]["values"]["MPTcpExtMPJoinSynAckRx"] == 1


def test_all_probes_write_on_one_time_axis(run):
    for times in (1, 4, 16):  # until there was time for a sample
        rest = "stacks: [mptcp]\nrepetitions: 1\n"
        records, _, path = run(lasting(times) + rest)
        seen = series(path, 1)
        if any(record["probe"] == "mptcp_info" for record in seen):
            break
    assert {record["probe"] for record in seen} == {
        "cpu",
        "mptcp_info",
        "nstat",
        "pause",
        "pm_events",
        "wire",
        "workload",
    }
    times = [record["t_ns"] for record in seen]
    assert times == sorted(times)
    created = next(it for it in seen if it["probe"] == "pm_events" and it["event"] == "created")
    sampled = next(it for it in seen if it["probe"] == "mptcp_info")
    assert 0 <= created["t_ns"] <= sampled["t_ns"]
    received = sum(it["received"] for it in seen if it["probe"] == "workload" and "received" in it)
    assert received == records[0].flows[WORKLOAD].details["target"]["received"]["octets"]


def test_mptcp_without_its_second_subflow_is_invalid_and_not_averaged(run):
    alone = TOPOLOGY.replace("client: {}", "client: {mptcp: {endpoints: none}}").replace(
        "server: {}", "server: {mptcp: {endpoints: none}}"
    )
    (record,), outcome, _ = run(
        bulk() + "stacks: [mptcp]\nrepetitions: 1\nsubflows: 2\n", topology=alone
    )
    assert record.status is Status.INVALID
    assert record.reason == (
        "mptcp never opened its second subflow: 1 of 2 "
        "(client has MPJoinSynTx 0, MPJoinSynAckRx 0); try `testbed doctor`"
    )
    assert record.metrics["goodput"] > 0
    assert outcome.cells[0].metrics == {}


def test_mptcp_that_falls_back_is_invalid(run):
    """The server listens with plain TCP: what mptcpize preloads is taken away again."""
    workload = """
workload:
  kind: command
  from: client
  to: server
  programs:
    - {node: server, argv: [env, -u, LD_PRELOAD, python3, -c, "SERVER"], ready: 5001}
    - {node: client, argv: [python3, -c, "CLIENT"], ends: true}
"""
    server = "import socket; s = socket.create_server(('', 5001)); s.accept()[0].recv(9)"
    client = (
        "import socket, sys; s = socket.socket(2, 1, 262); "
        "s.connect((sys.argv[1], 5001)); s.send(b'x')"
    )
    text = workload.replace("SERVER", server).replace('"CLIENT"', f'"{client}", "{{address}}"')
    (record,), *_ = run(text + "stacks: [mptcp]\nrepetitions: 1\n")
    assert record.status is Status.INVALID
    assert "mptcp fell back to TCP: MPTcpExt" in record.reason


def test_a_program_that_fails_makes_the_run_fail_and_the_others_go_on(run):
    text = """
workload:
  kind: command
  from: client
  to: server
  programs: [{node: client, argv: [sh, -c, "echo broken >&2; exit 7"], ends: true}]
stacks: [tcp]
repetitions: 2
"""
    records, outcome, path = run(text)
    assert [record.status for record in records] == [Status.FAILED, Status.FAILED]
    assert "exit status 7" in records[0].reason
    assert "broken" in (path / "runs/0001/client-sh.1.log").read_text()
    assert len(outcome.problems) == 2


def test_fail_fast_stops_after_the_first(run):
    text = """
workload: {kind: command, from: client, to: server, programs: [{node: client, argv: ["false"]}]}
stacks: [tcp]
repetitions: 5
"""
    records, outcome, _ = run(text, fail_fast=True)
    assert len(records) == 1
    assert outcome.missing == 4


def test_a_workload_that_never_starts_has_failed_and_its_events_never_come(run):
    text = """
workload:
  kind: command
  from: client
  to: server
  programs:
    - {node: server, argv: ["false"], ready: 5001}
    - {node: client, argv: ["true"]}
events: [{at: 0, link: wifi, state: down}]
stacks: [tcp]
repetitions: 1
"""
    (record,), *_ = run(text)
    assert record.status is Status.FAILED
    assert (record.zero_ns, record.events) == (None, ())


def test_a_run_that_takes_too_long_has_failed(run):
    (record,), *_ = run(
        "workload: {kind: bulk, from: client, to: server, size: 100GB}\n"
        "stacks: [tcp]\nrepetitions: 1\ntimeout: 500ms\n"
    )
    assert record.status is Status.FAILED
    assert "timed out after 0.5 s" in record.reason


def test_events_happen_and_are_recorded_with_their_times(until):
    def text(times):
        return f"""{lasting(times)}
stacks: [mptcp]
repetitions: 1
events:
  - {{at: {200 * times}ms, link: wifi, state: blackhole}}
  - {{at: {300 * times}ms, node: client, run: [sh, -c, "echo hello; ip -o link"]}}
  - {{at: {400 * times}ms, link: wifi, state: up}}
  - {{at: {500 * times}ms, link: lte, toward: server, set: {{delay: 5ms}}}}
"""

    def dropped(record):
        return sum(wire.counters.dropped_loss for wire in record.wires if wire.link == "wifi")

    (record,), _, path = until(lambda records: counts(records) and dropped(records[0]), text)
    assert (record.status, record.reason) == (Status.OK, None)
    planned = [event.planned_ns for event in record.events]
    assert [2 * at / planned[0] for at in planned] == [2, 3, 4, 5]
    for event in record.events:
        assert event.planned_ns <= event.started_ns <= event.finished_ns
        assert event.error is None
    assert dropped(record) > 0
    by_direction = {(wire.link, wire.toward): wire for wire in record.wires}
    assert by_direction["wifi", "server"].netem == "delay 2ms rate 50mbit"
    assert by_direction["lte", "server"].netem == "delay 5ms rate 50mbit"
    assert by_direction["lte", "client"].netem == "delay 3ms rate 50mbit"
    said = (path / "runs/0001/event-2.log").read_text()
    assert said.startswith("hello\n")
    assert "wifi" in said


def test_an_event_whose_program_fails_makes_the_run_fail(until):
    events = 'events: [{at: 0, node: client, run: [sh, -c, "echo no >&2; exit 3"]}]\n'
    rest = "stacks: [tcp]\nrepetitions: 1\n" + events
    (record,), *_ = until(lambda records: not counts(records), lambda times: lasting(times) + rest)
    assert record.status is Status.FAILED
    assert record.reason.endswith("exit status 3: no")


def test_an_event_the_workload_did_not_wait_for_makes_the_run_invalid(run):
    events = "events: [{at: 59s, link: wifi, state: down}]\n"
    (record,), *_ = run(bulk() + "stacks: [tcp]\nrepetitions: 1\n" + events)
    assert record.status is Status.INVALID
    assert record.reason == "the workload ended before the event at 59s (`link wifi: down`)"
    assert record.events == ()


def test_removing_a_path_leaves_a_run_valid_by_what_was_reached(until):
    def text(times):
        event = f"{{at: {500 * times}ms, node: client, remove_endpoint: {{interface: lte}}}}"
        return lasting(times) + f"stacks: [mptcp]\nrepetitions: 1\nevents: [{event}]\n"

    (record,), *_ = until(counts, text)
    assert (record.status, record.reason) == (Status.OK, None)
    assert record.flows[WORKLOAD].proof.subflows == 2
    assert record.counters["client"]["MPTcpExtRmAddrTx"] == 1


COMMANDS = """
  nodes:
    client: {run: ["sysctl -q -w net.ipv4.tcp_slow_start_after_idle=0", [COMMAND]]}
    server: {}
  links: {wifi: {between: [client, server], netem: {rate: 20mbit}}}
"""


def test_commands_of_nodes_are_run_first_and_what_they_print_is_kept(run):
    topology = COMMANDS.replace("COMMAND", "echo, done")
    (record,), _, path = run(bulk() + "stacks: [tcp]\nrepetitions: 1\n", topology=topology)
    assert (record.status, record.reason) == (Status.OK, None)
    assert record.sysctls["client"]["net.ipv4.tcp_slow_start_after_idle"] == "0"
    log = (path / "runs/0001/client-run.log").read_text()
    assert log.endswith("$ echo done\ndone\n")


def test_a_command_that_fails_makes_the_run_failed(run):
    topology = COMMANDS.replace("COMMAND", "ls, /no/such/file")
    (record,), _, path = run(bulk() + "stacks: [tcp]\nrepetitions: 1\n", topology=topology)
    assert record.status is Status.FAILED
    assert record.reason.startswith("node client: run: ls /no/such/file: ended with status 2: ls:")
    assert "$ ls /no/such/file" in (path / "runs/0001/client-run.log").read_text()


def test_packets_are_captured_where_asked_for(run):
    (record,), _, path = run(bulk() + "stacks: [tcp]\nrepetitions: 1\npcap: [client.wifi]\n")
    assert (record.status, record.reason) == (Status.OK, None)
    (capture,) = (path / "runs/0001").glob("*.pcapng")
    assert capture.name == "client-wifi.pcapng"
    assert capture.stat().st_size > 1000


def test_ipv6(until):
    def text(times):
        return bulk(times).replace("size:", "family: ipv6, size:") + "repetitions: 1\n"

    records, *_ = until(counts, text)
    assert [(record.status, record.reason) for record in records] == [(Status.OK, None)] * 2


def test_the_single_latencies_are_kept(run):
    workload = "workload: {kind: reqres, from: client, to: server, response: 1KB, count: 20}\n"
    (record,), _, path = run(workload + "stacks: [tcp]\nrepetitions: 1\n")
    assert (record.status, record.reason) == (Status.OK, None)
    samples = msgspec.json.decode((path / "runs/0001/samples.json").read_bytes())
    (latencies,) = samples.values()
    assert len(latencies) == record.metrics["transactions"] == 20
