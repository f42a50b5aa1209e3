"""The counters of both ends show how the path changes options."""

from __future__ import annotations

import pytest

from testbed.doctor import path
from testbed.doctor.case import Case, Finding
from testbed.sandbox.observation import Listener, NamespaceState
from testbed.topology.model import Topology

CAUSES = (path.handshakes, path.after_handshakes, path.joins, path.announcements)
HANDSHAKE = {
    "client": {"MPCapableSYNTX": 2, "MPCapableSYNACKRX": 2},
    "server": {"MPCapableSYNRX": 2, "MPCapableACKRX": 2},
}
JOINED = {
    "client": {"MPJoinSynTx": 1, "MPJoinSynAckRx": 1},
    "server": {"MPJoinSynRx": 1, "MPJoinAckRx": 1, "AddAddrTx": 1},
}


def found(
    client: dict[str, int], server: dict[str, int], protocol: str | None = None
) -> list[Finding]:
    listeners = () if protocol is None else (Listener(address="::", port=1, protocol=protocol),)
    states = {
        name: NamespaceState(
            name=name,
            counters={f"MPTcpExt{counter}": count for counter, count in counters.items()},
            listeners=listeners,
        )
        for name, counters in (("client", client), ("server", server))
    }
    case = Case(
        topology=Topology(name="", nodes=(), links=()),
        states=states,
        client="client",
        server="server",
        dialled="10.0.1.2",
    )
    return [finding for cause in CAUSES for finding in cause(case)]


@pytest.mark.parametrize(
    ("client", "server", "cause", "node", "says"),
    [
        (
            {"MPCapableSYNTX": 2, "MPCapableFallbackSYNACK": 2},
            {},
            "capable_removed",
            "client",
            "from SYNs toward server, which got 0 of 2",
        ),
        (
            {"MPCapableSYNTX": 2, "MPCapableFallbackSYNACK": 2},
            {"MPCapableSYNRX": 2},
            "capable_removed",
            "client",
            "from SYN/ACKs toward client",
        ),
        (
            {"MPCapableSYNTX": 2, "MPCapableSYNTXDrop": 1},
            {},
            "syn_dropped",
            "client",
            "something toward server drops them",
        ),
        (
            {},
            {"MPCapableFallbackACK": 1},
            "options_removed",
            "server",
            "third ACK came without MP_CAPABLE",
        ),
        ({"DssFallback": 1}, {}, "options_removed", "client", "data came without a mapping"),
        ({"MPJoinSynTx": 3}, {"MPJoinSynRx": 1, "MPJoinRejected": 1}, "join_lost", "client",
         "server got 1 of 3 SYNs with MP_JOIN"),
        ({"MPJoinSynTx": 1}, {"MPJoinSynRx": 1}, "join_answer_lost", "client",
         "got 0 SYN/ACKs with MP_JOIN for 1 SYNs"),
        ({"MPJoinSynTx": 1, "MPJoinSynAckRx": 1}, {"MPJoinSynRx": 1}, "join_ack_lost", "server",
         "got 0 third ACKs with MP_JOIN of 1"),
        ({}, {"AddAddrTx": 4}, "announcement_lost", "client", "server sent 4 ADD_ADDR"),
        ({"AddAddrTx": 4}, {}, "announcement_lost", "server", "client sent 4 ADD_ADDR"),
    ],
)  # fmt: skip
def test_each_effect_of_a_box_is_named(
    client: dict[str, int], server: dict[str, int], cause: str, node: str, says: str
) -> None:
    [finding] = found(client, server)
    assert (finding.cause, finding.node) == (cause, node)
    assert says in finding.seen
    assert finding.remedy


def test_nothing_is_held_against_a_path_that_lets_everything_through() -> None:
    client, server = (HANDSHAKE[node] | JOINED[node] for node in ("client", "server"))
    assert found(client | {"AddAddr": 1}, server) == []


def test_a_server_that_speaks_tcp_is_no_matter_of_the_path() -> None:
    counters = {"MPCapableSYNTX": 1, "MPCapableFallbackSYNACK": 1}
    [finding] = found(counters, {}, protocol="tcp")
    assert finding.cause == "fallback"
    [finding] = found(counters, {}, protocol="mptcp")
    assert finding.cause == "capable_removed"


def test_joins_that_the_server_refuses_are_not_lost() -> None:
    assert found({"MPJoinSynTx": 2}, {"MPJoinSynRx": 2, "MPJoinRejected": 2}) == []
