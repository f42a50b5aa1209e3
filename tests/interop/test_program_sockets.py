"""The sockets of a program over our stack do what the kernel's do; and nothing is left of them."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.topology.model import Family
from testbed.workload import program_report
from testbed.workload.stacks.request import Request
from tests.interop.programs.side import ON_MPTCP, Ends, missing

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.skipif(missing("mptcpize") is not None, reason=str(missing("mptcpize"))),
]

FOLDER = Path(__file__).with_name("programs")
CHECKS, PEER = (str(FOLDER / name) for name in ("checks.py", "peer.py"))
ROOTLESS = FOLDER.parents[1] / "sandbox" / "rootless.py"
PORT = 5001
CARRIED = ("TcpActiveOpens", "TcpPassiveOpens")


async def peer(lab):
    """Start the other end of the checks on the server."""
    program = await lab.launcher.spawn("server", (*ON_MPTCP, sys.executable, PEER, str(PORT)))
    assert await program.stdout.readline() == b"ready\n"
    return program


def over(stack, report, *argv):
    return Request(stack=stack, report=str(report)).command(argv)


@pytest.mark.parametrize(
    ("stack", "family"),
    [("userspace", Family.IPV4), ("userspace-tcp", Family.IPV6)],
    ids=str,
)
def test_sockets_do_what_the_kernel_s_do(lab, tmp_path, stack, family):
    """Each check holds for the kernel's sockets, too; none of our sockets uses the kernel's TCP."""

    async def test(lab):
        serving = await peer(lab)
        argv = over(stack, tmp_path / "report", sys.executable, CHECKS, lab.address, str(PORT))
        program = await lab.launcher.spawn("client", argv, empty_input=True)
        said = (await program.stdout.read(-1)).decode()
        errors = (await program.stderr.read(-1)).decode()
        assert (await program.wait()).returncode == 0, said + errors
        counters = await lab.counters("client")
        assert not [name for name in counters if name.startswith("MPTcpExt") or name in CARRIED]
        serving.stdin.close()
        await serving.wait()

    lab([""], family, test)


@pytest.mark.skipif(missing("unshare") is not None, reason="there is no unshare")
def test_an_ordinary_user_may_in_a_namespace_of_its_own():
    """As documented: ``unshare -rn``; the program is its own peer, over the loopback interface."""
    checks = ("accepting", "listening", "other_sockets", "interrupted", "without_connection")
    program = shlex.join((sys.executable, CHECKS, "127.0.0.1", str(PORT), *checks))
    command = (
        f"ip link set lo up && {sys.executable} -m testbed with-stack -v userspace -- {program}"
    )
    argv = ("/usr/bin/unshare", "-rn", "sh", "-c", command)
    if os.geteuid() == 0:
        argv = (sys.executable, str(ROOTLESS), *argv)
    environment = {**os.environ, "PYTHONPATH": str(FOLDER.parents[2])}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(": ok") == len(checks)
    # Both ends of "accepting", whole: also what was on its way when a program closed its end.
    assert done.stderr.count("sent 4 octets, received 4,") == 2, done.stderr


def test_the_checks_hold_of_the_kernel_s_sockets(lab):
    async def test(lab):
        serving = await peer(lab)
        program = await lab.start("client", CHECKS, lab.address, str(PORT))
        said = (await program.stdout.read(-1)).decode()
        assert (await program.wait()).returncode == 0, said
        serving.stdin.close()
        await serving.wait()

    lab([""], Family.IPV4, test)


HOLD = """
import glob, os, socket, subprocess, sys
sock = socket.create_connection((sys.argv[1], int(sys.argv[2])))
sock.sendall(b"x")
assert sock.recv(1) == b"x"
child = subprocess.Popen(["sleep", "1000"], start_new_session=True).pid
parents = {}
for name in glob.glob("/proc/[0-9]*/stat"):
    try:
        text = open(name).read()
    except OSError:
        continue
    parents[int(text.split()[0])] = int(text.rpartition(")")[2].split()[1])
keeper = os.getppid()
supervisor = parents[keeper]
(heir,) = [pid for pid, parent in parents.items() if parent == supervisor and pid != keeper]
print(supervisor, keeper, heir, os.getpid(), child, flush=True)
sys.stdin.read()
"""


async def held(lab, report):
    """Start a program with a connection and a child in a session of its own; return who is who."""
    argv = over("userspace", report, sys.executable, "-c", HOLD, lab.address, str(PORT))
    program = await lab.launcher.spawn("client", argv)
    pids = (await program.stdout.readline()).split()
    return program, dict(
        zip(("supervisor", "keeper", "heir", "program", "child"), map(int, pids), strict=True)
    )


async def tell(lab, *argv):
    """Run a program on the client; return whether it succeeded."""
    program = await lab.launcher.spawn("client", argv, empty_input=True)
    return (await program.wait()).returncode == 0


GONE = """
import contextlib, os, select, sys
for pid in map(int, sys.argv[1:]):
    with contextlib.suppress(ProcessLookupError):
        select.select([os.pidfd_open(pid)], [], [])
"""


async def until_gone(lab, *pids):
    async with asyncio.timeout(20):
        assert await tell(lab, sys.executable, "-c", GONE, *map(str, pids))


@pytest.mark.parametrize("whom", ["supervisor", "keeper"])
def test_nothing_is_left_when_one_is_killed(lab, tmp_path, whom):
    async def test(lab):
        serving = await peer(lab)
        program, pids = await held(lab, tmp_path / "report")
        assert await tell(lab, "kill", "-KILL", str(pids[whom]))
        assert (await program.wait()).returncode == -signal.SIGKILL
        await until_gone(lab, *pids.values())
        program.stdin.close()
        serving.stdin.close()
        await serving.wait()

    lab([""], Family.IPV4, test)


def test_a_program_goes_on_when_the_heir_is_killed(lab, tmp_path):
    async def test(lab):
        serving = await peer(lab)
        program, pids = await held(lab, tmp_path / "report")
        assert await tell(lab, "kill", "-KILL", str(pids["heir"]))
        program.stdin.close()
        await until_gone(lab, pids["program"])
        assert await tell(lab, "kill", "-TERM", str(pids["supervisor"]))
        assert (await program.wait()).returncode == 0
        await until_gone(lab, *pids.values())
        serving.stdin.close()
        await serving.wait()

    lab([""], Family.IPV4, test)


WAIT = """
import os, socket
keeper = os.getppid()
server = socket.create_server(("", 5010))
supervisor = open(f"/proc/{keeper}/stat").read().rpartition(")")[2].split()[1]
print(supervisor, keeper, flush=True)
try:
    server.accept()
finally:
    print("accept returned", flush=True)
"""


def test_no_call_fails_before_the_program_is_killed(lab, tmp_path):
    """However late the keeper ends a program without a supervisor: its calls wait until then."""

    async def test(lab):
        argv = over("userspace", tmp_path / "report", sys.executable, "-c", WAIT)
        program = await lab.launcher.spawn("server", argv, empty_input=True)
        supervisor, keeper = (await program.stdout.readline()).decode().split()
        assert await tell(lab, "kill", "-STOP", keeper)
        assert await tell(lab, "kill", "-KILL", supervisor)
        assert (await program.wait()).returncode == -signal.SIGKILL
        assert await tell(lab, "kill", "-CONT", keeper)
        assert await program.stdout.read(-1) == b""
        assert await program.stderr.read(-1) == b""

    lab([""], Family.IPV4, test)


def test_what_a_killed_program_has_started_goes_on_until_it_is_told_to_end(lab, tmp_path):
    async def test(lab):
        serving = await peer(lab)
        program, pids = await held(lab, tmp_path / "report")
        assert await tell(lab, "kill", "-KILL", str(pids["program"]))
        await until_gone(lab, pids["program"])
        assert await tell(lab, "kill", "-0", str(pids["child"]))
        assert await tell(lab, "kill", "-TERM", str(pids["supervisor"]))
        assert (await program.wait()).returncode == -signal.SIGKILL
        await until_gone(lab, *pids.values())
        program.stdin.close()
        serving.stdin.close()
        await serving.wait()

    lab([""], Family.IPV4, test)


WATCH = """
import socket
server = socket.create_server(("", 5009))
print("ready", flush=True)
sock, _ = server.accept()
print("accepted", flush=True)
try:
    while True:
        sock.sendall(b"x")
except ConnectionError as error:
    print(type(error).__name__, flush=True)
"""


@pytest.mark.parametrize("whom", ["supervisor", "program"])
def test_the_peer_sees_a_reset_when_one_is_killed(lab, tmp_path, whom):
    """The peer sends, so that it has unread data at our end, or none to send it to any more."""

    async def test(lab):
        watching = await lab.start("server", "-c", WATCH)
        assert await watching.stdout.readline() == b"ready\n"
        code = (
            "import os, signal, socket, sys; s = socket.create_connection((sys.argv[1], 5009));"
            "k = os.getppid(); t = open(f'/proc/{k}/stat').read();"
            "print(t.rpartition(')')[2].split()[1], os.getpid(), flush=True); signal.pause()"
        )
        argv = over("userspace-tcp", tmp_path / "report", sys.executable, "-c", code, lab.address)
        program = await lab.launcher.spawn("client", argv, empty_input=True)
        pids = (await program.stdout.readline()).decode().split()
        assert await watching.stdout.readline() == b"accepted\n"
        victim = pids[0] if whom == "supervisor" else pids[1]
        assert await tell(lab, "kill", "-KILL", victim)
        assert await watching.stdout.readline() in (b"ConnectionResetError\n", b"BrokenPipeError\n")
        await program.wait()
        await watching.wait()

    lab([""], Family.IPV4, test)


READ = """
import socket, sys
server = socket.create_server(("::", 5009), family=socket.AF_INET6, dualstack_ipv6=True)
print("ready", flush=True)
sock, _ = server.accept()
print("accepted", flush=True)
try:
    print("read", sock.recv(1), flush=True)
except ConnectionError as error:
    print(type(error).__name__, flush=True)
"""


@pytest.mark.parametrize(
    ("peers", "family"),
    [("the kernel's", Family.IPV4), ("ours", Family.IPV6)],
    ids=["the kernel's", "ours"],
)
@pytest.mark.parametrize(
    ("whom", "sees"),
    [("supervisor", b"ConnectionResetError\n"), ("keeper", b"read b''\n"),
     ("program", b"read b''\n")],
)  # fmt: skip
def test_a_peer_that_only_reads(lab, tmp_path, whom, sees, peers, family):
    """A killed program leaves nothing unread: to the kernel that is a close.  See ``heir``."""

    async def test(lab):
        argv = (sys.executable, "-c", READ)
        if peers == "ours":
            argv = over("userspace-tcp", tmp_path / "theirs", *argv)
        reading = await lab.launcher.spawn("server", argv, empty_input=True)
        assert await reading.stdout.readline() == b"ready\n"
        code = (
            "import os, socket, sys, time; s = socket.create_connection((sys.argv[1], 5009));"
            "k = os.getppid(); t = open(f'/proc/{k}/stat').read();"
            "print(t.rpartition(')')[2].split()[1], k, os.getpid(), flush=True); s.recv(1)"
        )
        argv = over("userspace-tcp", tmp_path / "ours", sys.executable, "-c", code, lab.address)
        program = await lab.launcher.spawn("client", argv, empty_input=True)
        pids = (await program.stdout.readline()).decode().split()
        assert await reading.stdout.readline() == b"accepted\n"
        await noted(tmp_path / "ours")
        victim = dict(zip(("supervisor", "keeper", "program"), pids, strict=True))[whom]
        assert await tell(lab, "kill", "-KILL", victim)
        async with asyncio.timeout(20):
            assert await reading.stdout.readline() == sees
        await program.wait()
        await reading.wait()

    lab([""], family, test)


async def noted(report):
    """Wait until the supervisor has looked at its connection often.

    A poll: nothing tells that the report, a growing file, has become longer.
    """
    while len(program_report.read(report).looks) < 3:
        await asyncio.sleep(0.02)


def test_status_and_report(lab, tmp_path):
    """The exit status is the program's; the report has its connection, with two subflows."""
    report = tmp_path / "report"

    async def test(lab):
        serving = await peer(lab)
        code = (
            "import socket, sys, time; s = socket.create_connection((sys.argv[1], 5001));"
            "s.sendall(bytes(300000)); n = 0\n"
            "while n < 300000: n += len(s.recv(65536))\n"
            "s.close(); sys.exit(7)"
        )
        argv = over("userspace", report, sys.executable, "-c", code, lab.address)
        program = await lab.launcher.spawn("client", argv, empty_input=True)
        assert (await program.wait()).returncode == 7
        serving.stdin.close()
        await serving.wait()

    lab(["delay 5ms", "delay 5ms"], Family.IPV4, test)
    seen = program_report.read(report)
    (end,) = seen.ends
    assert end.look.view.mptcp_info.info.bytes_received == 300_000
    assert end.look.view.mptcp_info.established == 2
    assert end.used["congestion"]
    assert seen.counted.values["TcpInSegs"] > 0
    assert seen.begun_ns < end.look.t_ns < seen.ended_ns


def test_a_program_that_is_not_there(lab, tmp_path):
    async def test(lab):
        argv = over("userspace", tmp_path / "report", "no-such-program")
        program = await lab.launcher.spawn("client", argv, empty_input=True)
        assert (await program.wait()).returncode == 127
        assert b"cannot run no-such-program" in await program.stderr.read(-1)

    lab([""], Family.IPV4, test)


def test_only_one_supervisor(lab, tmp_path):
    """seccomp(2) has one listener for each process: the second one says so, and what to do."""

    async def test(lab):
        inner = over("userspace", tmp_path / "inner", "true")
        program = await lab.launcher.spawn(
            "client", over("userspace", tmp_path / "outer", *inner), empty_input=True
        )
        assert (await program.wait()).returncode == 4
        assert b"already runs under a supervisor" in await program.stderr.read(-1)

    lab([""], Family.IPV4, test)


def test_ends_prove_themselves(lab, tmp_path):
    """A helper of other tests refuses an end whose kernel has carried something."""

    async def test(lab):
        serving = await peer(lab)
        ends = Ends(lab, "client", tmp_path)
        code = f"import socket; socket.create_connection(({lab.address!r}, {PORT})).close()"
        await ends.run(sys.executable, "-c", code, on_stack=False)
        with pytest.raises(AssertionError, match="TcpActiveOpens"):
            await ends.prove(1)
        serving.stdin.close()
        await serving.wait()

    lab([""], Family.IPV4, test)
