"""The command line of ``testbed nc``."""

from __future__ import annotations

import socket

import pytest

from testbed.errors import InputError
from testbed.host.netcat import describe, options


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
        (["5001"], {}, "where to"),
        (["a", "1", "2"], {}, "where to"),
        (["h", "http"], {}, "no port"),
        (["h", "0"], {}, "no port"),
        (["h", "65536"], {}, "no port"),
        (["h", "1"], {"ipv4": True, "ipv6": True}, "exclude"),
        (["h", "1"], {"stack": "tcp"}, "unknown stack"),
        (["h", "1"], {"stack": "userspace-tcp", "scheduler": "dems"}, "--scheduler is for MPTCP"),
        (
            ["h", "1"],
            {"stack": "userspace-tcp", "path_manager": "command"},
            "--path-manager is for MPTCP",
        ),
        (["h", "1"], {"stack": "userspace-tcp", "checksum": True}, "--checksum is for MPTCP"),
        (["h", "1"], {"stack": "userspace-tcp", "subflows": 2}, "--subflows is for MPTCP"),
        (["h", "1"], {"scheduler": "fastest"}, "no scheduler"),
        (["h", "1"], {"path_manager": "none"}, "no path manager"),
        (["h", "1"], {"congestion": "vegas"}, "no congestion control"),
        (["h", "1"], {"sources": ("here",)}, "no numeric address"),
        (["h", "1"], {"sources": ("a..b",)}, "no numeric address"),
        (["a..b", "1"], {}, "no name of a host"),
        ([64 * "h", "1"], {}, "no name of a host"),
    ],
)
def test_what_makes_no_sense_is_refused(where, others, words):
    with pytest.raises(InputError, match=words):
        parse(*where, **others)


TCP = {"bytes_acked": 5, "bytes_received": 6, "rtt": 12345, "total_retrans": 7}


def test_plain_tcp_is_summarised_in_one_line():
    assert describe(TCP) == [
        "TCP: sent 5 octets, received 6, round-trip time 12.3 ms, 7 segments sent again"
    ]


def test_each_subflow_is_summarised():
    one = {"id": 3, "local": "a:1", "remote": "b:2", "backup": True, "tcp": TCP}
    head, line = describe({"fallback": False, "subflows": [], "ended": [one]})
    assert head == "MPTCP, 1 subflow:"
    assert line.startswith("  3: a:1 -> b:2 backup: sent 5 octets")
    assert "fallback" in describe({"fallback": True, "subflows": [one], "ended": []})[0]
