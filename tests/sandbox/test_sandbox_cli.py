"""up, status, exec, shell and down, as a user types them."""

from __future__ import annotations

import json
import os
import pty
import secrets
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.sandbox

PROJECT = Path(__file__).parent.parent.parent
TESTBED = [sys.executable, "-m", "testbed"]
TOPOLOGY = PROJECT / "topologies" / "two_paths.yaml"


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*TESTBED, *words], cwd=PROJECT, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture(scope="module")
def lab() -> Iterator[str]:
    """A running sandbox of two paths."""
    name = f"lab-{secrets.token_hex(3)}"
    done = run("up", str(TOPOLOGY), "--name", name)
    assert done.returncode == 0, done.stderr
    try:
        yield name
    finally:
        assert run("down", name).returncode == 0


def test_status_lists_and_shows(lab: str) -> None:
    listed = json.loads(run("status", "--json").stdout)
    (mine,) = (each for each in listed if each["name"] == lab)
    assert mine["topology"]["name"] == "two_paths"
    assert mine["background"] is True
    assert lab in run("status").stdout
    shown = json.loads(run("status", lab, "--json").stdout)
    assert {"client", "server", "@wire"} == set(shown["observation"]["namespaces"])
    assert {wire["link"] for wire in shown["wires"]["wires"]} == {"wifi", "lte"}
    table = run("status", lab).stdout
    assert "10.0.1.1/24" in table
    rows = [line.split() for line in table.splitlines()]
    toward = [row[:2] for row in rows if row and row[0] in ("wifi", "lte")]
    assert sorted(toward) == [[it, n] for it in ("lte", "wifi") for n in ("client", "server")]


def test_doctor_says_how_to_run_a_remedy_in_a_node(lab: str) -> None:
    limits = ("exec", lab, "client", "--", "ip", "mptcp", "limits", "set", "add_addr_accepted")
    assert run(*limits, "0").returncode == 0
    try:
        done = run("doctor", lab)
    finally:
        assert run(*limits, "8").returncode == 0
    assert done.returncode == 1
    assert (
        f"to run a command in a node: testbed exec {lab} NODE -- COMMAND"
        in done.stdout.splitlines()
    )
    assert "in a node" not in run("doctor", lab).stdout


def test_doctor_sees_what_our_own_stack_has_counted() -> None:
    """A client of ours falls back before a server of plain TCP, and has ended when we ask."""
    name = f"own-{secrets.token_hex(3)}"
    serve = (
        "import socket; listener = socket.create_server(('10.0.1.2', 5001));"
        "print('ready', flush=True); connection, _ = listener.accept();"
        "connection.recv(1); connection.close()"
    )
    assert run("up", str(TOPOLOGY), "--name", name).returncode == 0
    try:
        serving = [*TESTBED, "exec", name, "server", "--", sys.executable, "-c", serve]
        with subprocess.Popen(serving, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            assert server.stdout.readline() == "ready\n"
            asking = ("exec", name, "client", "--", *TESTBED, "nc", "-w", "9", "10.0.1.2", "5001")
            done = subprocess.run(
                [*TESTBED, *asking],
                cwd=PROJECT,
                input="",
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
        found = json.loads(run("doctor", name, "--json").stdout)["findings"]
    finally:
        assert run("down", name).returncode == 0
    seen = [each["seen"] for each in found if each["node"] == "client"]
    assert any("fell back" in one and "(MPCapableFallbackSYNACK: 1)" in one for one in seen)


@pytest.mark.root
def test_a_sandbox_outside_of_a_container_does_not_show_in_it(lab: str) -> None:
    """A container may share the network namespace, and its names, but not the processes."""
    argv = ["unshare", "--pid", "--fork", "--mount-proc", *TESTBED, "status", "--json"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert lab not in done.stdout


def test_exec_passes_output_and_status_on(lab: str) -> None:
    done = run("exec", lab, "client", "--", "ip", "-br", "address")
    assert "10.0.1.1/24" in done.stdout
    assert run("exec", lab, "client", "sh", "-c", "exit 7").returncode == 7
    killed = run("exec", lab, "client", "--", "sh", "-c", "kill -9 $$")
    assert killed.returncode == 128 + signal.SIGKILL
    missing = run("exec", lab, "client", "--", "/no/such/program")
    assert missing.returncode == 127
    assert "/no/such/program" in missing.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("--stack", "userspace", "{lab}", "client", "--"),
        ("{lab}", "client", "--stack", "userspace-tcp(congestion=reno)", "--"),
        ("{lab}", "client", "--stack=userspace"),
    ],
)
def test_exec_runs_a_program_over_our_stack(lab: str, words: tuple[str, ...]) -> None:
    """The program uses a Unix socket in place of a TCP socket; its exit status is passed on."""
    code = (
        "import os, socket, sys; sock = socket.socket();"
        "number = os.fstat(sock.fileno()).st_ino; table = open('/proc/net/unix').read();"
        "sys.exit(7 if f' {number}' in table else 1)"
    )
    program = (sys.executable, "-c", code)
    assert run("exec", *(word.format(lab=lab) for word in words), *program).returncode == 7


def test_exec_works_on_a_terminal_that_is_not_ours(lab: str) -> None:
    """A console without job control: a terminal that controls no session."""
    near, far = pty.openpty()
    try:
        done = subprocess.run(
            [*TESTBED, "exec", lab, "client", "--", "echo", "hello"],
            stdin=far,
            cwd=PROJECT,
            capture_output=True,
            text=True,
            start_new_session=True,
            check=False,
        )
    finally:
        os.close(near)
        os.close(far)
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello\n", "")


@pytest.mark.parametrize(
    "words",
    [
        ("down", "nosuchlab"),
        ("status", "nosuchlab"),
        ("exec", "nosuchlab", "client", "--", "true"),
        ("exec", "--stack", "userspace", "nosuchlab", "client", "--", "true"),
        ("shell", "nosuchlab", "client"),
    ],
)
def test_unknown_sandbox_is_one_line_and_2(words: tuple[str, ...]) -> None:
    done = run(*words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("testbed: no sandbox named nosuchlab is running")
    assert done.stderr.count("\n") == 1


def test_an_unknown_engine_is_bad_input() -> None:
    done = run("up", str(TOPOLOGY), "--wire", "nettem")
    assert done.returncode == 2
    assert "'nettem' is not one of 'auto', 'netem', 'emulator'" in done.stderr


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["", "json"])
def test_a_sandbox_that_cannot_be_told_of_does_not_stay(options: tuple[str, ...]) -> None:
    name = f"lab-{secrets.token_hex(3)}"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*TESTBED, "up", str(TOPOLOGY), "--name", name, *options],
            cwd=PROJECT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 1
    assert done.stderr == "testbed: the output cannot be written: No space left on device\n"
    assert run("down", name).returncode == 2


def test_name_can_be_taken_once(lab: str) -> None:
    done = run("up", str(TOPOLOGY), "--name", lab)
    assert done.returncode == 1
    assert "already running" in done.stderr


class Terminal:
    """A terminal with a program in front of it."""

    def __init__(self, *words: str) -> None:
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.chdir(PROJECT)
            os.environ.update(SHELL="/bin/sh", PS1="prompt> ", TERM="dumb")
            os.execv(TESTBED[0], [*TESTBED, *words])
        self._seen = ""

    def type(self, keys: str) -> None:
        os.write(self._fd, keys.encode())

    def expect(self, text: str) -> None:
        """Wait for a text to appear after what has been waited for before."""
        deadline = time.monotonic() + 60
        while text not in self._seen:
            ready, _, _ = select.select([self._fd], [], [], deadline - time.monotonic())
            assert ready, f"{text!r} is not in {self._seen!r}"
            self._seen += os.read(self._fd, 4096).decode()
        self._seen = self._seen.partition(text)[2]

    def end(self) -> int:
        """Wait for the program's end and return its status."""
        _, status = os.waitpid(self.pid, 0)
        os.close(self._fd)
        return os.waitstatus_to_exitcode(status)


def test_shell_has_the_terminal_and_job_control(lab: str) -> None:
    terminal = Terminal("shell", lab, "client")
    terminal.expect("prompt> ")
    terminal.type('echo "in $TESTBED_SANDBOX $TESTBED_NODE"; tty\n')
    terminal.expect(f"in {lab} client")
    terminal.expect("/dev/pts/")
    terminal.expect("prompt> ")
    # The words are split, so that what is typed and echoed is not taken for what is printed.
    terminal.type("sh -c 'echo wait''ing; read line; echo \"read $line\"'\n")
    terminal.expect("waiting")
    terminal.type("\x1a")  # Ctrl-Z
    terminal.expect("Stopped")
    terminal.expect("prompt> ")
    terminal.type("fg\nthis\n")
    terminal.expect("read this")
    terminal.expect("prompt> ")
    terminal.type("sh -c 'echo wait''ing; read line'\n")
    terminal.expect("waiting")
    terminal.type("\x03")  # Ctrl-C
    terminal.expect("prompt> ")
    terminal.type("ip netns exec server ip -br address show wifi\n")
    terminal.expect("10.0.1.2/24")
    terminal.type("exit 5\n")
    assert terminal.end() == 5


def test_killed_exec_takes_its_program_along(lab: str) -> None:
    word = f"{secrets.randbelow(10**6) + 10**6}"
    process = subprocess.Popen(
        [*TESTBED, "exec", lab, "client", "--", "sh", "-c", f"echo up; exec sleep {word}"],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        process.kill()
        process.stdout.read()  # until nobody holds the other end any more
    assert not [
        each
        for each in Path("/proc").glob("[0-9]*/cmdline")
        if _read(each).split(b"\0")[:2] == [b"sleep", word.encode()]
    ]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
