"""The effect of shell commands of scripts on the stack."""

from __future__ import annotations

import pytest

from testbed.interchange.packetdrill.model import UnsupportedError
from testbed.interchange.packetdrill.settings import Settings
from testbed.stack.mptcp.config import MptcpConfig
from testbed.stack.mptcp.path_manager.base import PathEndpoint, PathLimits


@pytest.fixture
def settings() -> Settings:
    return Settings(MptcpConfig(), "192.168.0.2")


@pytest.mark.parametrize(
    ("command", "field", "value"),
    [
        ("sysctl -q net.ipv4.tcp_timestamps=0", "timestamps", False),
        ("sysctl -w net.ipv4.tcp_sack=0 net.ipv4.tcp_ecn=1", "ecn", True),
        ("sysctl -w net.ipv4.tcp_ecn=2", "ecn", False),
        ("sysctl -w net.ipv4.tcp_ecn=2", "ecn_granted", True),
        ("sysctl -w net.ipv4.tcp_ecn=0", "ecn_granted", False),
        ("sysctl -w net.ipv4.tcp_ecn=5", "ecn", False),
        ("sysctl -w net.ipv4.tcp_ecn=5", "ecn_granted", True),
        ("sysctl -w net.ipv4.tcp_ecn=4", "ecn", True),
        ('sysctl -q net.ipv4.tcp_rmem="4096 5000 6000"', "receive_buffer", 6000),
        ('sysctl -q net.ipv4.tcp_rmem="4096 5000 $((32*1024))"', "receive_buffer", 32768),
        ("sysctl -q net.ipv4.tcp_syn_retries=2", "syn_retries", 2),
        (
            "sysctl -q net.ipv4.tcp_fastopen_key=0-1-2-3,a1b2c3d4-0-0-0",
            "fast_open_keys",
            (
                bytes.fromhex("00000000010000000200000003000000"),
                bytes.fromhex("d4c3b2a1000000000000000000000000"),
            ),
        ),
        ("sysctl -q net.ipv4.tcp_congestion_control=reno", "congestion", "reno"),
        ("./set_sysctls.py /proc/sys/net/ipv4/tcp_fin_timeout=5", "fin_timeout_ns", 5 * 10**9),
        ("sysctl net.ipv4.tcp_rto_min_us=50000", "rto_min_ns", 50 * 10**6),
        ("sysctl net.ipv4.tcp_rto_max_ms=1000", "rto_max_ns", 10**9),
        ("ip link set dev tun0 mtu 9000", "mtu", 9000),
    ],
)
def test_tcp(settings: Settings, command: str, field: str, value: object) -> None:
    assert settings.run(command, 1) == []
    assert getattr(settings.current.tcp, field) == value


@pytest.mark.parametrize(
    ("command", "field", "value"),
    [
        ("sysctl -q net.mptcp.close_timeout=1", "close_timeout_ns", 10**9),
        ("sysctl -q net.mptcp.checksum_enabled=1", "checksum", True),
        ("sysctl -q net.mptcp.allow_join_initial_addr_port=0", "deny_join_initial", True),
        (
            "ip mptcp limits set add_addr_accepted 1 subflows 3",
            "limits",
            PathLimits(subflows=3, add_addr_accepted=1),
        ),
    ],
)
def test_mptcp(settings: Settings, command: str, field: str, value: object) -> None:
    settings.run(command, 1)
    assert getattr(settings.current, field) == value


def test_endpoints(settings: Settings) -> None:
    settings.run("ip mptcp endpoint add 10.0.0.1 signal; ip mptcp endpoint add 10.0.0.2", 1)
    assert settings.endpoints == (
        PathEndpoint(host="10.0.0.1", id=1, signal=True),
        PathEndpoint(host="10.0.0.2", id=2),
    )
    settings.run("ip -6 mptcp endpoint add fd00::0:1 id 7 subflow backup port 80", 1)
    assert settings.endpoints[2] == PathEndpoint(
        host="fd00::1", id=7, subflow=True, backup=True, port=80
    )
    settings.run("ip mptcp endpoint delete id 1 && ip mptcp endpoint del id 7", 1)
    assert [one.id for one in settings.endpoints] == [2]
    settings.run("ip mptcp endpoint flush", 1)
    assert settings.current.endpoints == ()


def test_endpoints_change_their_priority(settings: Settings) -> None:
    settings.run("ip mptcp endpoint add 10.0.0.1 subflow; ip mptcp endpoint add 10.0.0.2", 1)
    settings.run("ip mptcp endpoint change id 1 backup", 1)
    assert [one.backup for one in settings.endpoints] == [True, False]
    settings.run("ip mptcp endpoint change id 1 nobackup", 1)
    assert [one.backup for one in settings.endpoints] == [False, False]


def test_multi_ep_adds_the_next_addresses(settings: Settings) -> None:
    settings.run("../common/multi-ep.sh -e 2 -m subflow -b", 1)
    assert [(one.host, one.subflow, one.backup) for one in settings.endpoints] == [
        ("192.168.0.3", True, True),
        ("192.168.0.4", True, True),
    ]
    assert settings.current.limits == PathLimits(subflows=8, add_addr_accepted=8)


@pytest.mark.parametrize(
    ("value", "client", "all_ports", "cookies"),
    [
        ("0", False, False, True),
        ("0x3", True, False, True),
        ("0x5", True, False, False),
        ("1538", False, True, False),
        ("0x402", False, True, True),
        ("0x400", False, False, True),
        ("0x204", False, False, True),
    ],
)
def test_forms_of_fast_open(
    settings: Settings, value: str, *, client: bool, all_ports: bool, cookies: bool
) -> None:
    settings.run(f"sysctl -q net.ipv4.tcp_fastopen={value}", 1)
    tcp = settings.current.tcp
    assert settings.opens_fast is client
    assert (tcp.fast_open, tcp.fast_open_cookies) == (all_ports, cookies)


@pytest.mark.parametrize(
    "command",
    [
        "true",
        "nstat -n",
        "ethtool -K tun0 tso off",
        "tc qdisc add dev tun0 root pfifo",
        "ip link set tun0 gso_max_segs 1 # a comment",
        "ip tcp_metrics flush all > /dev/null",
        "/tmp/sysctl_restore_${PPID}.sh",
        "sysctl -q net.ipv4.tcp_dsack=1 \\\n net.ipv4.tcp_recovery=1",
    ],
)
def test_what_changes_nothing_here(settings: Settings, command: str) -> None:
    before = settings.current
    assert settings.run(command, 1) == []
    assert settings.current == before


@pytest.mark.parametrize(
    "command",
    [
        "sysctl -q net.ipv4.tcp_dsack=0",
        "sysctl -q net.ipv4.tcp_congestion_control=none_such",
        "sysctl -q net.ipv4.tcp_syncookies=2",
        "sysctl -q net.ipv4.tcp_fastopen=0x1000",
        "ip mptcp limits show",
    ],
)
def test_what_has_no_counterpart(settings: Settings, command: str) -> None:
    with pytest.raises(UnsupportedError) as raised:
        settings.run(command, 7)
    assert raised.value.line == 7


def test_questions_are_left_over(settings: Settings) -> None:
    assert settings.run("ss -Mn | grep -q ESTAB", 1) == [("ss", "-Mn", "|", "grep", "-q", "ESTAB")]
