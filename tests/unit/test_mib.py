from pathlib import Path

from testbed import mib

NETSTAT = """\
TcpExt: SyncookiesSent TW
TcpExt: 3 5
MPTcpExt: MPCapableSYNRX MPJoinSynAckRx
MPTcpExt: 1 2
"""


def test_groups_prefix_the_names() -> None:
    assert mib.parse(NETSTAT) == {
        "TcpExtSyncookiesSent": 3,
        "TcpExtTW": 5,
        "MPTcpExtMPCapableSYNRX": 1,
        "MPTcpExtMPJoinSynAckRx": 2,
    }


def test_snmp6_has_one_counter_a_line() -> None:
    assert mib.parse("Ip6InReceives    \t7\nIp6OutNoRoutes 0\n") == {
        "Ip6InReceives": 7,
        "Ip6OutNoRoutes": 0,
    }


def test_an_empty_file_has_no_counters() -> None:
    assert mib.parse("") == {}


def test_the_files_of_this_kernel_are_understood() -> None:
    found = {}
    for name in mib.FILES:
        path = Path("/proc/thread-self/net", name)
        found |= mib.parse(path.read_text() if path.exists() else "")
    assert "TcpActiveOpens" in found
