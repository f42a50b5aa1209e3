"""The truth table of what proves a run."""

from __future__ import annotations

import msgspec
import pytest

from testbed.experiment.proof import ConnectionView, Evidence, Lost, judge

CLIENT = {
    "TcpActiveOpens": 2,
    "MPTcpExtMPCapableSYNTX": 1,
    "MPTcpExtMPCapableSYNACKRX": 1,
    "MPTcpExtMPJoinSynTx": 1,
    "MPTcpExtMPJoinSynAckRx": 1,
}
SERVER = {"MPTcpExtMPCapableSYNRX": 1, "MPTcpExtMPCapableACKRX": 1, "MPTcpExtMPJoinAckRx": 1}
GOOD = Evidence(
    protocol="mptcp",
    source="client",
    target="server",
    expected_subflows=2,
    counters={"client": CLIENT, "server": SERVER},
    connections=(
        ConnectionView(node="client", fallback=False, subflows=1),
        ConnectionView(node="client", fallback=False, subflows=2),
    ),
)
TCP = Evidence(
    protocol="tcp",
    source="client",
    target="server",
    expected_subflows=2,
    counters={"client": {"TcpActiveOpens": 1}, "server": {"TcpInSegs": 9}},
)


def change(evidence, **changes):
    return judge(msgspec.structs.replace(evidence, **changes)).invalid


def test_a_proved_mptcp_run_is_valid_and_says_by_what():
    judgement = judge(GOOD)
    assert judgement.invalid is None
    assert judgement.proof.subflows == judgement.proof.expected_subflows == 2
    assert judgement.proof.counters["server"] == SERVER


def test_a_run_that_may_fall_back_is_valid_and_says_that_it_did():
    counters = {"client": CLIENT, "server": {**SERVER, "MPTcpExtMPCapableFallbackACK": 1}}
    views = (ConnectionView(node="client", fallback=True, subflows=1),)
    fallen = msgspec.structs.replace(GOOD, counters=counters, connections=views)
    assert judge(fallen).invalid == (
        "mptcp fell back to TCP: MPTcpExtMPCapableFallbackACK of server increased by 1"
    )
    allowed = judge(msgspec.structs.replace(fallen, may_fall_back=True))
    assert (allowed.invalid, allowed.proof.fell_back) == (None, True)
    assert judge(GOOD).proof.fell_back is False
    assert judge(TCP).proof.fell_back is None


def test_a_run_that_may_fall_back_must_have_asked_for_mptcp():
    counters = {"client": {"TcpActiveOpens": 1}, "server": {"MPTcpExtMPCapableFallbackACK": 1}}
    assert "no MPTCP connection was attempted" in change(
        GOOD, counters=counters, may_fall_back=True
    )


def test_a_run_that_may_fall_back_and_does_not_has_its_subflows():
    views = (ConnectionView(node="client", fallback=False, subflows=1),)
    said = change(GOOD, connections=views, may_fall_back=True)
    assert said.startswith("mptcp never opened its second subflow")


def test_a_proved_tcp_run_is_valid():
    judgement = judge(TCP)
    assert judgement.invalid is None
    assert judgement.proof.subflows is None


@pytest.mark.parametrize("node", ["client", "server"])
@pytest.mark.parametrize(
    "counter",
    [
        "MPCapableFallbackACK",
        "MPCapableFallbackSYNACK",
        "MPCapableDataFallback",
        "DSSCorruptionFallback",
        "InfiniteMapTx",
        "MPCapableSYNTXDrop",
        "Blackhole",
    ],
)
def test_a_fallback_counter_at_either_end_makes_it_invalid(node, counter):
    counters = {name: dict(values) for name, values in GOOD.counters.items()}
    counters[node]["MPTcpExt" + counter] = 1
    invalid = change(GOOD, counters=counters)
    assert invalid == f"mptcp fell back to TCP: MPTcpExt{counter} of {node} increased by 1"


def test_the_fallback_flag_makes_it_invalid():
    view = ConnectionView(node="server", fallback=True, subflows=2)
    invalid = change(GOOD, connections=(*GOOD.connections, view))
    assert invalid == "mptcp fell back to TCP: MPTCP_INFO of server has the fallback flag"


def test_a_plain_tcp_connection_under_the_name_of_mptcp_is_invalid():
    assert "no MPTCP connection was set up" in change(GOOD, counters=TCP.counters)


def test_without_a_second_subflow_the_sentence_says_which_and_where_to_ask():
    client = CLIENT | {"MPTcpExtMPJoinSynAckRx": 0}
    server = SERVER | {"MPTcpExtMPJoinAckRx": 0}
    invalid = change(
        GOOD,
        counters={"client": client, "server": server},
        connections=(ConnectionView(node="client", fallback=False, subflows=1),),
    )
    assert invalid == (
        "mptcp never opened its second subflow: 1 of 2 "
        "(client has MPJoinSynTx 1, MPJoinSynAckRx 0); try `testbed doctor`"
    )


def test_a_subflow_needs_both_kinds_of_evidence():
    no_join = {"client": CLIENT, "server": SERVER | {"MPTcpExtMPJoinAckRx": 0}}
    assert "1 of 2" in change(GOOD, counters=no_join)
    one_look = (ConnectionView(node="client", fallback=False, subflows=1),)
    assert "1 of 2" in change(GOOD, connections=one_look)


def test_more_subflows_than_expected_are_no_harm():
    assert change(GOOD, expected_subflows=1) is None


@pytest.mark.parametrize("node", ["client", "server"])
@pytest.mark.parametrize("evidence", [GOOD, TCP], ids=["mptcp", "tcp"])
def test_missing_counters_are_missing_evidence(evidence, node):
    counters = {name: it for name, it in evidence.counters.items() if name != node}
    assert f"no MIB counters of {node}" in change(evidence, counters=counters)


def test_missing_views_are_missing_evidence():
    assert "no MPTCP_INFO was read" in change(GOOD, connections=())


def test_tcp_must_not_touch_mptcp():
    counters = {"client": {"TcpActiveOpens": 1}, "server": {"MPTcpExtMPCapableSYNRX": 1}}
    invalid = change(TCP, counters=counters)
    assert invalid is not None
    assert "MPTcpExtMPCapableSYNRX of server increased by 1" in invalid


def test_tcp_must_have_opened_a_connection():
    assert "TcpActiveOpens" in change(TCP, counters={"client": {}, "server": {}})


def test_frames_the_emulator_lost_make_any_run_invalid():
    lost = (Lost(link="wifi", toward="server", packets=3),)
    for evidence in (GOOD, TCP):
        invalid = change(evidence, lost=lost)
        assert invalid.startswith("the emulator could not keep up: 3 frames on wifi toward server")


def test_a_protocol_nobody_can_prove_is_invalid():
    assert change(TCP, protocol="quic") == "no evidence can prove the protocol 'quic'"


def programs(evidence, **counters):
    """Return why a run of programs with further counters at the server is invalid."""
    changed = {**evidence.counters, "server": {**evidence.counters["server"], **counters}}
    return change(evidence, counters=changed, programs=True)


@pytest.mark.parametrize("evidence", [GOOD, TCP])
def test_what_programs_measure_over_udp_is_not_proved_by_their_control_connection(evidence):
    counters = {"TcpInSegs": 16, "IpInDelivers": 880, "UdpInDatagrams": 864, "TcpPassiveOpens": 2}
    assert programs(evidence, **counters) == (
        "server received 864 packets of other protocols than TCP, such as UDP, and 16 TCP "
        f"segments: the measured data may not have used {evidence.protocol}"
    )


def test_pings_and_a_few_datagrams_beside_programs_do_no_harm():
    counters = {"IpInDelivers": 4000, "Ip6InDelivers": 1000, "TcpInSegs": 4600}
    assert programs(GOOD, **counters, IcmpInMsgs=100, Icmp6InMsgs=200, TcpPassiveOpens=2) is None


def test_a_program_s_second_connection_must_be_mptcp_too():
    assert programs(GOOD, TcpPassiveOpens=2) is None
    assert programs(GOOD, TcpPassiveOpens=3) == (
        "server accepted 1 TCP connection without MPTCP: the measured data may not have used mptcp"
    )
    assert programs(TCP, TcpPassiveOpens=3) is None


OURS = Evidence(
    protocol="mptcp",
    ours=("client", "server"),
    source="client",
    target="server",
    expected_subflows=2,
    counters={"client": {"IpInReceives": 9}, "server": {"IpInReceives": 9}},
    connections=(
        ConnectionView(node="client", fallback=False, subflows=2, tokens=(1, 2)),
        ConnectionView(node="server", fallback=False, subflows=2, tokens=(2, 1)),
    ),
    spoken={"client": "mptcp", "server": "mptcp"},
)


def test_a_userspace_run_is_proved_by_both_ends_and_a_silent_kernel():
    judgement = judge(OURS)
    assert judgement.invalid is None
    assert judgement.proof.subflows == 2


@pytest.mark.parametrize("counter", ["TcpActiveOpens", "TcpPassiveOpens", "MPTcpExtMPCapableSYNRX"])
@pytest.mark.parametrize("node", ["client", "server"])
def test_a_kernel_that_took_part_makes_a_userspace_run_invalid(node, counter):
    counters = OURS.counters | {node: {counter: 1}}
    expected = f"the kernel's own stack took part: {counter} of {node} increased by 1"
    assert change(OURS, counters=counters) == expected


def test_tokens_of_different_connections_make_a_userspace_run_invalid():
    stranger = ConnectionView(node="server", fallback=False, subflows=2, tokens=(3, 1))
    said = "they belong to different connections"
    assert said in change(OURS, connections=(OURS.connections[0], stranger))
    assert said in change(OURS, connections=OURS.connections[:1])


def test_an_end_need_not_have_looked_at_each_of_many_connections():
    others = [
        ConnectionView(node="client", fallback=False, subflows=2, tokens=(5, 6)),
        ConnectionView(node="server", fallback=False, subflows=2, tokens=(7, 8)),
    ]
    assert change(OURS, connections=(*OURS.connections, *others)) is None


def test_an_end_that_saw_plain_tcp_makes_a_userspace_run_invalid():
    spoken = {"client": "mptcp", "server": "tcp"}
    assert change(OURS, spoken=spoken) == "mptcp was expected, but server used tcp"
    assert "did not inspect" in change(OURS, spoken={"client": "mptcp"})


def test_userspace_tcp_is_proved_by_both_ends_too():
    tcp = msgspec.structs.replace(
        OURS, protocol="tcp", connections=(), spoken={"client": "tcp", "server": "tcp"}
    )
    assert judge(tcp).invalid is None
    assert change(tcp, spoken={"client": "mptcp", "server": "tcp"}) is not None
    assert change(tcp, counters={"client": {}}) is not None


MIXED = msgspec.structs.replace(
    OURS,
    ours=("client",),
    counters={"client": {"IpInReceives": 9}, "server": SERVER},
    connections=(OURS.connections[0], ConnectionView(node="server", fallback=False, subflows=2)),
    spoken={"client": "mptcp"},
)


def test_a_mixed_run_is_proved_by_each_end_in_its_own_way():
    judgement = judge(MIXED)
    assert judgement.invalid is None
    assert judgement.proof.subflows == 2
    mirrored = msgspec.structs.replace(
        MIXED,
        ours=("server",),
        counters={"client": CLIENT, "server": {"IpInReceives": 9}},
        spoken={"server": "mptcp"},
    )
    assert judge(mirrored).invalid is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"spoken": {}}, "client did not inspect"),
        ({"spoken": {"client": "tcp"}}, "client used tcp"),
        ({"counters": {"client": {}, "server": {}}}, "MPCapableACKRX of server stayed 0"),
        ({"counters": {"client": {"TcpActiveOpens": 1}, "server": SERVER}}, "took part"),
        ({"connections": MIXED.connections[:1]}, "no MPTCP_INFO was read"),
        ({"expected_subflows": 3}, "third subflow: 2 of 3"),
        (
            {"counters": {"client": {}, "server": SERVER | {"MPTcpExtDSSNoMatchTCP": 1}}},
            "fell back to TCP",
        ),
    ],
)
def test_what_makes_a_mixed_run_invalid(changes, reason):
    assert reason in change(MIXED, **changes)


def test_a_mixed_run_of_tcp():
    tcp = msgspec.structs.replace(
        MIXED,
        protocol="tcp",
        connections=(),
        counters={"client": {}, "server": {"TcpPassiveOpens": 1}},
        spoken={"client": "tcp"},
    )
    assert judge(tcp).invalid is None
    assert change(tcp, counters={"client": {}, "server": {}}) is not None
    assert change(tcp, counters={"client": {}, "server": SERVER}) is not None
