"""Experiment files, and what they become."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.errors import InputError
from testbed.experiment.load import load, restore
from testbed.results.model import ExperimentRecord
from tests.experiment_text import EXPERIMENT, TOPOLOGY, scenarios

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    "path", sorted((ROOT / "experiments").glob("*.yaml")), ids=lambda p: p.stem
)
def test_every_shipped_experiment_can_be_read(path):
    experiment = load(path)
    assert experiment.spec.description
    # How many subflows there must be is a matter of the proof, not of a claim.
    assert experiment.spec.expect or path.stem == "mptcp_join"


def test_defaults(read):
    experiment = read()
    assert experiment.name == "try"
    assert experiment.topology == "topology"
    assert experiment.spec.stacks == ("tcp", "mptcp")
    assert "pcap" not in experiment.spec.probes
    assert {"wire", "mptcp_info", "nstat"} <= set(experiment.spec.probes)
    scenario = scenarios(experiment)[0]
    assert scenario.flows[0].subflows == 2
    assert scenario.captures == {}


def test_an_endpoint_can_be_of_an_address_that_came_by_an_event(read):
    scenario = scenarios(
        read(
            EXPERIMENT
            + "events:\n"
            + "- {at: 1s, node: client, remove_address: {interface: lte, address: 10.0.2.1/24}}\n"
            + "- {at: 2s, node: client, add_address: {interface: lte, address: 10.0.2.9/24}}\n"
            + "- {at: 3s, node: client, add_endpoint: {interface: lte, flags: [subflow]}}\n"
        )
    )[0]
    lines = [str(operation) for action in scenario.timeline for operation in action.operations]
    assert "ip -n client route replace 10.0.2.0/24 dev lte src 10.0.2.9 table 1002" in lines
    assert any("endpoint add 10.0.2.9" in line for line in lines)


def test_an_experiment_is_self_contained(read, tmp_path):
    experiment = read(EXPERIMENT + "matrix: {links.lte.rate: [1mbit, 2mbit]}\n", repetitions=3)
    (tmp_path / "topology.yaml").unlink()
    record = ExperimentRecord(
        name=experiment.name,
        topology=experiment.topology,
        spec=experiment.raw,
        created_at="",
        version="",
    )
    again = restore(record)
    assert (again.cells, again.raw) == (experiment.cells, experiment.raw)
    assert scenarios(again) == scenarios(experiment)


def test_captures(read):
    assert scenarios(read(EXPERIMENT + "pcap: true\n"))[0].captures == {
        "client": ("wifi", "lte"),
        "server": ("wifi", "lte"),
    }
    assert scenarios(read(EXPERIMENT + "pcap: [client.lte]\n"))[0].captures == {"client": ("lte",)}


def test_the_expected_subflows_can_be_given(read):
    assert scenarios(read(EXPERIMENT + "subflows: 4\n"))[0].flows[0].subflows == 4


def test_a_topology_can_be_written_in_place(read):
    inline = "topology:\n" + "".join(f"  {line}\n" for line in TOPOLOGY.splitlines())
    experiment = read(inline + EXPERIMENT.partition("\n")[2])
    assert experiment.topology == "try"
    with pytest.raises(
        InputError, match=r"try.yaml:5: topology.links.lte.mtuu: unknown key.*'mtu'"
    ):
        read(inline.replace("lte: {", "lte: {mtuu: 5, ") + EXPERIMENT.partition("\n")[2])
