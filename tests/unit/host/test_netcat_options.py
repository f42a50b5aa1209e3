"""The command line of ``testbed nc``."""

from __future__ import annotations

import socket

import pytest
from typer.testing import CliRunner

from testbed.cli.application import application
from testbed.errors import InputError
from testbed.host.netcat import describe, options
from testbed.stack.mptcp.config import MptcpConfig
from testbed.stack.tcp.config import TcpConfig
from testbed.workload.stacks.choice import ours
from testbed.workload.stacks.userspace import of_netcat


def parse(*where, listen=False, ipv4=False, ipv6=False, **others):
    return options(where, listen=listen, ipv4=ipv4, ipv6=ipv6, **others)


def test_a_client_names_host_and_port():
    found = parse("server", "5001")
    assert (found.host, found.port) == ("server", 5001)
    assert found.families == (socket.AF_INET, socket.AF_INET6)


def test_a_listener_needs_a_port_only():
    assert parse("5001", listen=True).host is None
    assert parse("::1", "5001", listen=True).host == "::1"


def test_a_family_can_be_asked_for():
    assert parse("h", "1", ipv4=True).families == (socket.AF_INET,)
    assert parse("h", "1", ipv6=True).families == (socket.AF_INET6,)


@pytest.mark.parametrize(
    ("where", "others", "words"),
    [
        (["5001"], {}, "destination is missing"),
        (["a", "1", "2"], {}, "destination is missing"),
        (["h", "http"], {}, "not a port"),
        (["h", "0"], {}, "not a port"),
        (["h", "65536"], {}, "not a port"),
        (["h", "1"], {"ipv4": True, "ipv6": True}, "exclude"),
        (["h", "1"], {"sources": ("here",)}, "not a numeric address"),
        (["h", "1"], {"sources": ("a..b",)}, "not a numeric address"),
        (["a..b", "1"], {}, "not a valid host name"),
        ([64 * "h", "1"], {}, "not a valid host name"),
    ],
)
def test_what_makes_no_sense_is_refused(where, others, words):
    with pytest.raises(InputError, match=words):
        parse(*where, **others)


@pytest.mark.parametrize(
    ("stack", "words"),
    [
        ("tcp", "a stack of the kernel"),
        ("userspace/userspace-tcp", "speaks"),
        ("userspace-tcp(scheduler=dems)", "scheduler"),
        ("userspace-tcp(checksum=true)", "checksum"),
        ("userspace(scheduler=fastest)", "no scheduler"),
        ("userspace(path_manager=none)", "no path manager"),
        ("userspace(congestion=vegas)", "no congestion control"),
        ("userspace(device=eth)", "no interface"),
    ],
)
def test_a_stack_that_cannot_be_is_bad_input(stack, words):
    done = CliRunner().invoke(application, ["nc", "--stack", stack, "h", "1"])
    assert done.exit_code == 2
    assert words in done.output


def test_a_stack_has_its_parameters_whatever_the_namespace_has():
    chosen = ours("userspace(scheduler=blest, congestion=reno, subflows=3, device=tun7)")
    stack = of_netcat(chosen.kind, chosen.decoded)
    config = stack.mptcp(MptcpConfig(scheduler="ecf", checksum=True))
    assert (config.scheduler, config.tcp.congestion) == ("blest", "reno")
    assert (config.limits.subflows, config.checksum, stack.device) == (2, True, "tun7")


def test_plain_tcp_has_no_mptcp():
    chosen = ours("userspace-tcp(congestion=reno)")
    stack = of_netcat(chosen.kind, chosen.decoded)
    assert stack.mptcp is None
    assert stack.tcp(TcpConfig()).congestion == "reno"
    assert stack.device == "packet"


TCP = {"bytes_acked": 5, "bytes_received": 6, "rtt": 12345, "total_retrans": 7}


def test_plain_tcp_is_summarised_in_one_line():
    assert describe(TCP) == [
        "TCP: sent 5 octets, received 6, round-trip time 12.3 ms, 7 segments retransmitted"
    ]


def test_each_subflow_is_summarised():
    one = {"id": 3, "local": "a:1", "remote": "b:2", "backup": True, "tcp": TCP}
    head, line = describe({"fallback": False, "subflows": [], "ended": [one]})
    assert head == "MPTCP, 1 subflow:"
    assert line.startswith("  3: a:1 -> b:2 backup: sent 5 octets")
    assert "fallback" in describe({"fallback": True, "subflows": [one], "ended": []})[0]
