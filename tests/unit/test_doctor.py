"""What the doctor is asked about must be there."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.doctor import diagnose
from testbed.errors import InputError
from testbed.topology.load import load_topology
from testbed.topology.resolve import resolve

TOPOLOGY = Path(__file__).parents[2] / "topologies" / "lan_switch.yaml"


@pytest.mark.parametrize(
    ("client", "server", "dialled", "message"),
    [
        ("cliend", "server", None, "'cliend' is no host or router here; did you mean 'client'?"),
        ("client", "servers", "10.0.1.2", "'servers' is no host or router here"),
        ("@wire", "server", None, "'@wire' is no host or router here"),
        ("SWITCH", "server", None, "is no host or router here"),
        ("client", "server", "foo", "'foo' is no address"),
    ],
)
def test_what_is_not_there_is_bad_input(client, server, dialled, message):
    topology = resolve(load_topology(TOPOLOGY))
    client = topology.nodes[-1].name if client == "SWITCH" else client
    with pytest.raises(InputError) as caught:
        diagnose(topology, {}, client, server, dialled=dialled)
    assert message in str(caught.value)
