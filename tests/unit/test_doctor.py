"""The subject of a question to the doctor must exist."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.doctor import diagnose
from testbed.errors import InputError
from testbed.sandbox.observation import Listener, NamespaceState
from testbed.topology.load import load_topology
from testbed.topology.resolve import resolve

TOPOLOGY = Path(__file__).parents[2] / "topologies" / "lan_switch.yaml"


@pytest.mark.parametrize(
    ("client", "server", "dialled", "message"),
    [
        ("cliend", "server", None, "'cliend' is not a host or router here; did you mean 'client'?"),
        ("client", "servers", "10.0.1.2", "'servers' is not a host or router here"),
        ("@wire", "server", None, "'@wire' is not a host or router here"),
        ("SWITCH", "server", None, "is not a host or router here"),
        ("client", "server", "foo", "'foo' is not an address"),
    ],
)
def test_what_is_not_there_is_bad_input(client, server, dialled, message):
    topology = resolve(load_topology(TOPOLOGY))
    client = topology.nodes[-1].name if client == "SWITCH" else client
    with pytest.raises(InputError) as caught:
        diagnose(topology, {}, client, server, dialled=dialled)
    assert message in str(caught.value)


def causes(own: dict[str, dict[str, int]]) -> dict[str, str]:
    """Return what is found where programs on our own stack have counted something."""
    topology = resolve(load_topology(TOPOLOGY.with_name("two_paths.yaml")))
    kept = Listener(protocol="tcp", address="0.0.0.0", port=5001)  # beside ours, of the kernel
    states = {
        node: NamespaceState(name=node, own_counters=own.get(node, {}), listeners=(kept,))
        for node in ("client", "server")
    }
    found = diagnose(topology, states, "client", "server").findings
    return {finding.cause: finding.seen for finding in found}


@pytest.mark.parametrize(
    ("counter", "cause"),
    [
        ("MPCapableFallbackSYNACK", "fallback"),
        ("MPCapableSYNTXDrop", "syn_dropped"),
        ("DssFallback", "options_removed"),
        ("MPJoinNoTokenFound", "unknown_token"),
        ("MPJoinRejected", "rejected"),
        ("DataCsumErr", "checksum_failed"),
    ],
)
def test_what_our_own_stack_has_counted_is_explained(counter, cause):
    assert cause not in causes({})
    assert cause in causes({"client": {f"MPTcpExt{counter}": 2}})


def test_whose_counter_it_was_is_said():
    found = causes({"client": {"MPTcpExtMPJoinRejected": 2}})
    assert found["rejected"].endswith("(MPJoinRejected of our stack: 2)")


def test_the_port_that_the_kernel_keeps_for_our_stack_is_no_listener():
    assert "listener_is_tcp" in causes({})
    assert "listener_is_tcp" not in causes({"server": {"MPTcpExtMPCapableSYNRX": 1}})


def test_plain_connections_of_ours_are_plain():
    assert "plain_tcp" in causes({"client": {"TcpActiveOpens": 1}})
    assert "plain_tcp" not in causes({"client": {"TcpActiveOpens": 1, "MPTcpExtMPCapableSYNTX": 1}})
