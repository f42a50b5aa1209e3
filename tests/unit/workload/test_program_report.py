"""The report of a program's connections, as others read it."""

from __future__ import annotations

import msgspec
import pytest

from testbed import records
from testbed.records import MptcpInfo, View
from testbed.workload import program_report
from testbed.workload.program_report import Begun, Closing, Ended, Looked, ReportFolder
from testbed.workload.stacks.model import Look


def look(t_ns):
    view = View(mptcp_info=MptcpInfo(fallback=False, subflows=()))
    return Look(t_ns=t_ns, local="10.0.1.1:4", remote="10.0.1.2:80", view=view)


def write(path, *lines, rest=b""):
    path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines) + rest)


@pytest.fixture
def folder():
    with ReportFolder() as found:
        yield found


def test_a_whole_report(folder):
    closing = Closing(look=look(3), used={"congestion": "reno"})
    write(folder.further("client"), Begun(t_ns=1), Looked(look=look(2)), closing, Ended(t_ns=4))
    (report,) = folder.read()
    assert (report.begun_ns, report.ended_ns) == (1, 4)
    assert report.looks == (look(2),)
    assert report.ends == (closing,)


def test_a_report_that_was_cut_off_is_read_as_far_as_it_goes(folder):
    write(folder.further("client"), Begun(t_ns=1), rest=b'{"event":"clos')
    (report,) = folder.read()
    assert report == program_report.ProgramReport(begun_ns=1)


def test_a_program_on_the_kernel_s_stack_writes_none(folder):
    folder.further("client")
    assert folder.read() == (program_report.ProgramReport(),)
    assert folder.details({"source": "client"}) == {}
    assert list(folder.records()) == []


def test_details_are_ends_with_all_their_connections(folder):
    """Two programs on the server, with three connections; none on the client."""
    for moments in ((1, 2), (3,)):
        write(folder.further("server"), *(Closing(look=look(it), used={"x": it}) for it in moments))
    details = folder.details({"source": "client", "target": "server"})
    (end,) = records.ends(details)
    assert end.node == "server"
    assert [connection.used for connection in end.connections] == [{"x": 1}, {"x": 2}, {"x": 3}]


def test_looks_are_records_of_their_node(folder):
    write(folder.further("client"), Looked(look=look(7)))
    (record,) = folder.records()
    assert (record.t_ns, record.node, record.local) == (7, "client", "10.0.1.1:4")


def test_counters_are_a_record_of_the_stack_s_own(folder):
    write(folder.further("server"), program_report.Counted(t_ns=9, values={"TcpInSegs": 3}))
    (record,) = folder.records()
    assert (record.t_ns, record.node, record.values) == (9, "server", {"TcpInSegs": 3})
    assert record.own
    assert record.span == "total"


def test_nothing_is_left():
    with ReportFolder() as folder:
        path = folder.further("client")
        write(path, Begun(t_ns=1))
    assert not path.parent.exists()
