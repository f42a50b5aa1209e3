"""The stacks: found by name, and never silently another."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
import socket
import sys
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from testbed.errors import InputError, PlatformError
from testbed.stack.mptcp.config import MptcpConfig
from testbed.stack.tcp.config import TcpConfig
from testbed.workload.stacks import mptcp, sysctls
from testbed.workload.stacks import registry as stacks
from testbed.workload.stacks.choice import ours, pairs, parse, read
from testbed.workload.stacks.options import KernelOptions, names, read_back
from testbed.workload.stacks.request import Request
from testbed.workload.stacks.userspace import mptcp_config, real_tcp, tcp_config

REPORT = Path("/tmp/report")


def test_every_stack_is_found_by_its_name():
    assert {"tcp", "mptcp"} <= set(stacks.names())
    assert all(stacks.kind(name).name == name for name in stacks.names())


def test_workloads_turn_nagles_algorithm_off_as_on_the_kernels_sockets():
    assert not real_tcp(ours("userspace-tcp").decoded).nagle
    assert real_tcp(ours("userspace-tcp(nodelay=false)").decoded).nagle


@pytest.mark.parametrize("name", ["quic", "_kernel", ""])
def test_what_is_not_a_stack_is_refused(name):
    with pytest.raises(InputError, match="there is no stack"):
        stacks.stack(name)


@pytest.mark.parametrize(
    ("name", "value", "option"),
    [
        ("tcp_timestamps", "0", {"timestamps": False}),
        ("tcp_timestamps", "2", {"timestamps": True}),  # on, without a random offset
        ("tcp_ecn", "0", {"ecn": False, "ecn_granted": False}),
        ("tcp_ecn", "1", {"ecn": True, "ecn_granted": True}),
        ("tcp_ecn", "2", {"ecn": False, "ecn_granted": True}),
        ("tcp_wmem", "4096 16384 99999", {"send_buffer": 99999}),
        ("tcp_mtu_probing", "1", {"mtu_probing": True}),
        ("tcp_syn_linear_timeouts", "4", {"syn_linear_timeouts": 4}),
        (
            "tcp_rmem",
            "4096 131072 6291456",
            {"receive_buffer": 6291456, "receive_buffer_initial": 131072},
        ),
        (  # Linux takes them in any order
            "tcp_rmem",
            "4096 9000 6000",
            {"receive_buffer": 6000, "receive_buffer_initial": 6000},
        ),
    ],
)
def test_sysctls_of_a_node_mean_options_of_ours(name, value, option):
    assert sysctls.meant("userspace-tcp", {f"net.ipv4.{name}": value}) == option


def test_a_receive_buffer_that_was_chosen_does_not_grow():
    """As with SO_RCVBUF."""
    meant = sysctls.meant("userspace", {"net.ipv4.tcp_rmem": "4096 131072 6291456"})
    chosen = parse("userspace(receive_buffer=1MiB)").obeying(meant, meant)
    open_ = parse("userspace").obeying(meant, meant)
    assert chosen.source.options == {"receive_buffer": "1MiB"}
    growing = MptcpConfig(receive_buffer_initial=1 << 17, tcp=TcpConfig(receive_buffer_initial=1))
    config = mptcp_config(growing, chosen.source.decoded)
    assert (config.first_window, config.tcp.first_window) == (1 << 20, 1 << 20)
    assert open_.source.options == meant


def test_programs_speak_tcp_by_themselves():
    assert stacks.stack("tcp").command(["curl", "-s"], REPORT) == ("curl", "-s")


def test_programs_are_made_to_speak_mptcp(tmp_path, monkeypatch):
    wrapper = tmp_path / "mptcpize"
    wrapper.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert stacks.stack("mptcp").command(["curl"], REPORT) == ("mptcpize", "run", "curl")


def test_without_the_wrapper_no_program_runs_on_mptcp(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(PlatformError, match="apt install mptcpize"):
        stacks.stack("mptcp").command(["curl"], REPORT)


@pytest.mark.parametrize("name", ["userspace", "userspace-tcp"])
def test_programs_run_over_ours_with_the_options_that_were_chosen(name):
    end = ours(f"{name}(delayed_ack=25ms, congestion=reno, nodelay=true)")
    python, dash_m, module, text, dashes, *argv = stacks.stack(end.name, end.decoded).command(
        ["curl", "-s"], REPORT
    )
    assert (python, dash_m, module, dashes) == (
        sys.executable,
        "-m",
        "testbed.workload.with_stack",
        "--",
    )
    assert argv == ["curl", "-s"]
    request = msgspec.json.decode(text, type=Request)
    assert request.report == str(REPORT)
    assert stacks.kind(request.stack).options(**request.chosen) == end.decoded


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("mptcp", "'mptcp' is a stack of the kernel; userspace stacks: userspace, userspace-tcp"),
        ("userspace/mptcp", "names two stacks"),
        ("userspac", "did you mean 'userspace'"),
        ("userspace(scheduler=earlist)", "earliest"),
    ],
)
def test_what_is_no_stack_of_ours(text, why):
    with pytest.raises(InputError, match=re.escape(why)):
        ours(text)


@pytest.mark.parametrize(
    ("name", "protocol", "in_kernel"),
    [
        ("tcp", "tcp", True),
        ("mptcp", "mptcp", True),
        ("userspace-tcp", "tcp", False),
        ("userspace", "mptcp", False),
    ],
)
def test_a_stack_says_what_it_speaks_and_whose_it_is(name, protocol, in_kernel):
    kind = stacks.kind(name)
    assert (kind.protocol, kind.in_kernel) == (protocol, in_kernel)


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.EPROTONOSUPPORT, "has no MPTCP"), (errno.ENOPROTOOPT, "mptcp.enabled is 0")],
)
def test_a_kernel_that_refuses_mptcp_is_said_to(monkeypatch, number, words):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    refusing = SimpleNamespace(socket=refuse, SOCK_STREAM=socket.SOCK_STREAM)
    monkeypatch.setattr(mptcp, "socket", refusing)
    with pytest.raises(PlatformError, match=words):
        asyncio.run(stacks.stack("mptcp").connect(("127.0.0.1", 1)))


def test_an_address_nobody_listens_on_refuses():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        asyncio.run(stacks.stack("tcp").connect(("127.0.0.1", port)))


def test_pairs_are_of_stacks_that_understand_one_another():
    assert set(pairs()) == {
        "mptcp/userspace",
        "tcp/userspace-tcp",
        "userspace/mptcp",
        "userspace-tcp/tcp",
    }
    choice = parse("userspace/mptcp")
    assert [end.name for end in choice.ends] == ["userspace", "mptcp"]
    assert [end.name for end in parse("tcp").ends] == ["tcp", "tcp"]
    with pytest.raises(InputError, match="there is no stack 'quic'"):
        parse("tcp/quic")
    with pytest.raises(InputError, match="tcp speaks tcp and mptcp mptcp"):
        parse("tcp/mptcp")


@pytest.mark.parametrize(
    ("written", "label", "options"),
    [
        ("tcp", "tcp", {}),
        ("userspace( scheduler = ecf )", "userspace(scheduler=ecf)", {"scheduler": "ecf"}),
        ("userspace()", "userspace", {}),
        ("tcp(nodelay=false)", "tcp(nodelay=false)", {"nodelay": False}),
        ({"userspace": {"scheduler": "ecf"}}, "userspace(scheduler=ecf)", {"scheduler": "ecf"}),
        ({"userspace": {"mtu": 1400}, "label": "small"}, "small", {"mtu": 1400}),
        ({"tcp": None, "label": "plain"}, "plain", {}),
    ],
)
def test_a_stack_is_a_name_with_parameters(written, label, options):
    choice = read(written)
    assert (choice.label, choice.options) == (label, options)


def test_each_end_of_a_pair_has_its_own_options():
    choice = parse("userspace(scheduler=ecf)/mptcp(congestion=reno)")
    assert choice.label == "userspace(scheduler=ecf)/mptcp(congestion=reno)"
    assert (choice.source.options, choice.target.options) == (
        {"scheduler": "ecf"},
        {"congestion": "reno"},
    )


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("userspace(schedular=ecf)", "no option 'schedular'.*'scheduler'"),
        ("userspace(scheduler=nonesuch)", "no scheduler 'nonesuch'"),
        ("userspace(congestion=nonesuch)", "no congestion control 'nonesuch'"),
        ("userspace(mtu=big)", "mtu of userspace"),
        ("tcp(send_buffer=0)", "send_buffer of tcp must be more than 0"),
        ("tcp(send_buffer=3GiB)", "send_buffer of tcp is too large for an option of a socket"),
        ("mptcp(keepalive_probes=3000000000)", "keepalive_probes of mptcp is too large"),
        (
            "userspace(early_answer=true)",
            "early_answer of userspace has no effect without fast_open",
        ),
        ("userspace-tcp(fast_open_pending=3)", "fast_open_pending of .* without fast_open"),
        ("tcp(keepalive_probes=3)", "keepalive_probes of tcp has no effect without keepalive"),
        ("userspace(congestion=dctcp, ecn=false)", "ecn=false of userspace has no effect"),
        ("userspace-tcp(congestion=bbr, pacing=false)", "bbr needs pacing"),
        ("tcp(keepalive_idle=1500ms)", "must be whole seconds"),
        ("tcp(user_timeout=1500us)", "must be whole ms"),
        ("userspace(mss=50)", "mss of userspace must be 88 or more"),
        ("userspace-tcp(hop_limit=256)", "hop_limit of userspace-tcp must be 255 or less"),
        ("userspace(subflows=0)", "subflows of userspace must be 1 or more"),
        ("tcp(linger=1500ms)", "linger of tcp must be whole seconds"),
        ("mptcp(subflows=4)", "a stack that has it: userspace"),
        ("userspace(data_acks=1)", "no option 'data_acks'"),
        ("userspace(rto_min=2s, rto_max=1s)", "rto_min of userspace is more than its rto_max"),
        (
            "userspace-tcp(receive_buffer_initial=2MiB, receive_buffer=1MiB)",
            "receive_buffer_initial of userspace-tcp is more than its receive_buffer",
        ),
        ("tcp(scheduler=default)", "no option 'scheduler'; a stack that has it: mptcp, userspace$"),
        ("tcp(congestion)", "is not OPTION=VALUE"),
        ("tcp(nodelay=true, nodelay=false)", "given twice"),
        ("tcp(", "is not a stack"),
        ({"tcp": {}, "mptcp": {}}, "has 2 names"),
        ({"tcp": 5}, "not a mapping"),
        (7, "7 is not a stack"),
    ],
)
def test_what_is_wrong_with_a_stack_is_said(written, message):
    with pytest.raises(InputError, match=message):
        read(written).check()


def test_option_may_stand_where_what_it_needs_is_off():
    """An axis of a matrix can turn the option on and off."""
    read("userspace(early_answer=true, fast_open=false)").check()
    read("userspace(congestion=dctcp, ecn=true)").check()


def test_options_of_the_kernel_are_set_and_read_back():
    choice = parse(
        "tcp(congestion=reno, send_buffer=64KiB, notsent_lowat=16KiB, keepalive=true, "
        "keepalive_idle=7s, keepalive_probes=3, user_timeout=2500ms, cork=true, linger=3s)"
    )
    end = choice.source

    async def used():
        stack = stacks.stack(end.name, end.decoded)
        accepted = asyncio.Queue()
        server = await stack.listen(lambda *pair: accepted.put_nowait(pair), ("127.0.0.1", 0))
        assert isinstance(server, asyncio.Server)
        _, writer = await stack.connect(server.sockets[0].getsockname())
        _, other = await accepted.get()
        with contextlib.closing(server), contextlib.closing(writer), contextlib.closing(other):
            return stack.used(writer)

    found = asyncio.run(used())
    assert found["congestion"] == "reno"
    assert found["cork"] is True
    assert found["linger"] == 3_000_000_000
    assert list(end.differences(found)) == []
    assert list(end.differences(found | {"user_timeout": 1})) == [
        "user_timeout 2500000000 was requested, but 1 was used"
    ]


@pytest.mark.parametrize("name", ["userspace", "userspace-tcp"])
def test_options_of_sockets_are_options_of_ours_too(name):
    assert set(KernelOptions.__struct_fields__) <= set(names(stacks.kind(name)))
    chosen = parse(f"{name}(user_timeout=2500ms, notsent_lowat=16KiB)").source.decoded
    if name == "userspace":
        config = mptcp_config(MptcpConfig(), chosen).tcp
    else:
        config = tcp_config(TcpConfig(), chosen)
    assert (config.user_timeout_ns, config.notsent_lowat) == (2_500_000_000, 16_384)


@pytest.mark.parametrize("name", ["userspace", "userspace-tcp"])
@pytest.mark.parametrize(("linger", "time_ns"), [("3s", 3_000_000_000), ("0ms", 0)])
def test_ours_cork_linger_and_end_records_where_that_is_chosen(name, linger, time_ns):
    chosen = parse(f"{name}(cork=true, eor=true, linger={linger})").source.decoded
    if name == "userspace":
        config = mptcp_config(MptcpConfig(), chosen).tcp
    else:
        config = tcp_config(TcpConfig(), chosen)
    wanted = {"cork": True, "eor": True, "linger": time_ns}
    assert read_back(config, ("cork", "eor", "linger")) == wanted
    assert (config.linger, config.linger_ns) == (True, time_ns)


@pytest.mark.parametrize("config", [MptcpConfig().tcp, TcpConfig()])
def test_a_connection_that_does_not_linger_says_so(config):
    assert read_back(config, ("linger",)) == {"linger": None}


def test_kernels_mptcp_has_no_option_for_records():
    """It ignores MSG_EOR."""
    with pytest.raises(InputError, match="no option 'eor'; a stack that has it: tcp, userspace"):
        read("mptcp(eor=true)").check()


async def _segments_of_two_writes(name):
    """Return what the kernel says of two connections' writes: options, and segments that left."""
    end = parse(name).source
    stack = stacks.stack(end.name, end.decoded)
    accepted = asyncio.Queue()
    server = await stack.listen(lambda *pair: accepted.put_nowait(pair), ("127.0.0.1", 0))
    assert isinstance(server, asyncio.Server)
    _, writer = await stack.connect(server.sockets[0].getsockname())
    reader, other = await accepted.get()
    with contextlib.closing(server), contextlib.closing(writer), contextlib.closing(other):
        for end_ in (writer, other):
            assert list(end.differences(stack.used(end_))) == []
        before = stack.inspect(writer)["tcp_info"]["data_segs_out"]
        for _ in range(2):
            writer.write(b"x" * 100)
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
        await reader.readexactly(200)
        return stack.inspect(writer)["tcp_info"]["data_segs_out"] - before


@pytest.mark.parametrize(("eor", "segments"), [("true", 2), ("false", 1)])
def test_kernels_tcp_keeps_records_apart(eor, segments):
    """Two writes under a cork."""
    found = asyncio.run(_segments_of_two_writes(f"tcp(cork=true, eor={eor})"))
    assert found == segments


def test_subflows_stand_for_the_limit_of_the_node():
    chosen = parse("userspace(path_manager=ndiffports, subflows=4)").source.decoded
    config = mptcp_config(MptcpConfig(), chosen)
    assert config.limits == msgspec.structs.replace(MptcpConfig().limits, subflows=3)
    assert read_back(config, ("subflows", "path_manager")) == {
        "subflows": 4,
        "path_manager": "ndiffports",
    }


def test_a_congestion_control_that_the_kernel_refuses_is_named_with_those_there_are():
    end = parse("tcp(congestion=nonesuch)").source
    with pytest.raises(PlatformError, match=r"this kernel has: .*reno"):
        asyncio.run(stacks.stack(end.name, end.decoded).connect(("127.0.0.1", 1)))


def test_sysctls_of_the_kernels_mptcp_are_those_of_the_node():
    end = parse("mptcp(scheduler=default, checksum=true)").source
    assert end.sysctls == {"net.mptcp.scheduler": "default", "net.mptcp.checksum_enabled": "1"}
    assert end.sets_by_sysctl("checksum")
    assert not parse("mptcp(nodelay=false)").source.sets_by_sysctl("nodelay")
