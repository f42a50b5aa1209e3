"""The stacks: found by name, and never silently another."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from types import SimpleNamespace

import pytest

from testbed.errors import InputError, PlatformError
from testbed.workload.stacks import mptcp
from testbed.workload.stacks import registry as stacks


def test_every_stack_is_found_by_its_name():
    assert {"tcp", "mptcp"} <= set(stacks.names())
    assert all(stacks.kind(name).name == name for name in stacks.names())


@pytest.mark.parametrize("name", ["quic", "_kernel", ""])
def test_what_is_not_a_stack_is_refused(name):
    with pytest.raises(InputError, match="there is no stack"):
        stacks.stack(name)


def test_programs_speak_tcp_by_themselves():
    assert stacks.stack("tcp").command(["curl", "-s"]) == ("curl", "-s")


def test_programs_are_made_to_speak_mptcp(tmp_path, monkeypatch):
    wrapper = tmp_path / "mptcpize"
    wrapper.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert stacks.stack("mptcp").command(["curl"]) == ("mptcpize", "run", "curl")


def test_without_the_wrapper_no_program_runs_on_mptcp(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(PlatformError, match="apt install mptcpize"):
        stacks.stack("mptcp").command(["curl"])


@pytest.mark.parametrize("name", ["userspace", "userspace-tcp"])
def test_no_other_program_runs_on_a_userspace_stack(name):
    with pytest.raises(
        PlatformError, match=f"the stack {name} cannot carry the connections of curl"
    ):
        stacks.stack(name).command(["curl"])


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
    stack = stacks.stack(name)
    assert (stack.protocol, stack.in_kernel) == (protocol, in_kernel)


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
    assert stacks.pairs() == (
        "mptcp/userspace",
        "tcp/userspace-tcp",
        "userspace/mptcp",
        "userspace-tcp/tcp",
    )
    source, target = stacks.ends("userspace/mptcp")
    assert (source.name, target.name) == ("userspace", "mptcp")
    assert [end.name for end in stacks.ends("tcp")] == ["tcp", "tcp"]
    with pytest.raises(InputError, match="unknown stack 'quic'"):
        stacks.ends("tcp/quic")
