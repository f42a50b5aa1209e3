"""Which stacks programs run on, and which options of a stack reach them."""

from __future__ import annotations

import pytest

from testbed.errors import InputError
from testbed.experiment.load import load

TOPOLOGY = """\
nodes: {client: {}, server: {}}
links:
  wifi: {between: [client, server]}
  lte: {between: [client, server]}
"""
KINDS = {
    "iperf3": "{kind: iperf3, from: client, to: server, duration: 5s}",
    "command": (
        "{kind: command, from: client, to: server, programs: "
        "[{node: server, argv: ['true'], ready: 5001}, {node: client, argv: ['true'], ends: true}]}"
    ),
}


@pytest.fixture
def planned(tmp_path):
    """Return the flow of an experiment with one stack."""

    def flow_of(workload, stack):
        (tmp_path / "topology.yaml").write_text(TOPOLOGY)
        text = f"topology: topology.yaml\nstacks: [{stack!r}]\nworkload: {KINDS[workload]}\n"
        (tmp_path / "it.yaml").write_text(text)
        experiment = load(tmp_path / "it.yaml")
        (flow,) = experiment.scenario(experiment.cells[0]).flows
        return flow

    return flow_of


@pytest.mark.parametrize("workload", KINDS)
@pytest.mark.parametrize(
    "stack",
    [
        "userspace",
        "userspace-tcp",
        "userspace(scheduler=blest, congestion=reno)",
        "mptcp/userspace",
    ],
)
def test_programs_run_on_ours_at_either_end_with_parameters(planned, workload, stack):
    flow = planned(workload, stack)
    assert flow.flow.stack.label == stack
    assert flow.flow.workload.kind == workload


@pytest.mark.parametrize("workload", KINDS)
@pytest.mark.parametrize(
    "stack", ["tcp(nodelay=true)", "userspace-tcp/tcp(nodelay=true)", "mptcp(send_buffer=1MB)"]
)
def test_options_of_the_kernel_s_sockets_do_not_reach_programs(planned, workload, stack):
    with pytest.raises(InputError, match=f"{workload}: programs set the socket options"):
        planned(workload, stack)


@pytest.mark.parametrize("workload", KINDS)
def test_options_that_are_sysctls_do(planned, workload):
    assert planned(workload, "mptcp(scheduler=default)").subflows == 2
