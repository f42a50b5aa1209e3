"""The command line as such: names, help, exit codes."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from testbed.cli import show
from testbed.cli.application import COMMANDS, application
from testbed.errors import InputError, NoSuchSandboxError, PlatformError, StoreError


def invoke(*arguments):
    return CliRunner().invoke(application, list(arguments))


@pytest.fixture
def raising(monkeypatch):
    """Make the command `show` raise."""

    def install(error):
        def command() -> None:
            """Raise."""
            raise error

        monkeypatch.setattr(show, "command", command)

    return install


def test_help_names_every_command_with_a_summary():
    output = invoke("--help").output
    for name in COMMANDS:
        assert f"\n  {name} " in output


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name):
    result = invoke(name, "--help")
    assert result.exit_code == 0
    assert f"testbed {name}" in result.output.partition("Usage:")[2].partition("\n")[2]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("bad", file="x.yaml", line=3), 2),
        (NoSuchSandboxError("gone"), 2),
        (StoreError("full"), 1),
        (PlatformError("no netem", why="x", instead="y"), 4),
    ],
)
def test_an_error_is_one_line_and_its_exit_code(raising, error, code):
    raising(error)
    result = invoke("show")
    assert result.exit_code == code
    assert result.stderr == f"testbed: {error}\n"
    assert result.stdout == ""


def test_an_interrupt_is_130(raising):
    raising(KeyboardInterrupt())
    assert invoke("show").exit_code == 130


def test_a_file_that_cannot_be_written_is_one_line_and_1(raising):
    raising(OSError(errno.EACCES, "Permission denied", "/some/file"))
    result = invoke("show")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "testbed: /some/file: Permission denied\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["serve"],
        ["bisect", "--good", "a", "--tree"],
        ["bisect", "--kernels", "uml:6.1,uml:7.3", "--"],
    ],
)
def test_a_name_that_no_file_can_have_is_one_line_and_2(arguments):
    result = invoke(*arguments, "x" * 300)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.endswith("x: File name too long\n")


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_that_cannot_be_written_is_one_line_and_1(option):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "testbed", option],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "testbed: the output cannot be written: No space left on device\n"


@pytest.mark.parametrize("arguments", [["--version"], ["metrics"], ["schema", "topology"]])
def test_a_closed_output_is_one_line_and_1(arguments):
    argv = [sys.executable, "-m", "testbed", *arguments]
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *argv], stderr=subprocess.PIPE, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == "testbed: the output cannot be written: Bad file descriptor\n"


def test_with_input_and_messages_closed_a_command_works():
    argv = [sys.executable, "-m", "testbed", "--version"]
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&- 2>&-', "sh", *argv],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert done.stdout.startswith("testbed ")


@pytest.mark.parametrize("arguments", [["frobnicate"], ["--frobnicate"], ["show"], []])
def test_wrong_usage_is_2(arguments):
    assert invoke(*arguments).exit_code == 2


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--"], "there is no program to run"),
        (["--", "/nowhere"], "testbed: /nowhere cannot be run: No such file or directory\n"),
        (["/"], "testbed: / cannot be run: Permission denied\n"),
    ],
)
def test_what_is_no_program_is_bad_input(argv, message):
    result = invoke("machine", "exec", "host", *argv)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_program_on_this_host_ends_when_we_are_killed(tmp_path, monkeypatch, number):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    argv = [sys.executable, "-m", "testbed", "machine", "exec", "host", "--"]
    argv += ["sh", "-c", "echo it runs; exec sleep infinity"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as child:
        assert child.stdout.readline() == b"it runs\n"
        child.send_signal(number)
        assert child.communicate(timeout=30) == (b"", None)  # the program held our output
        assert child.returncode == {signal.SIGTERM: 143, signal.SIGKILL: -9}[number]
    if number == signal.SIGTERM:
        assert list(tmp_path.iterdir()) == []  # no directory is left


def test_it_runs_as_a_module_and_tells_its_version():
    result = subprocess.run(
        [sys.executable, "-m", "testbed", "--version"], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("testbed ")


def test_help_loads_nothing_heavy():
    code = (
        "import sys\n"
        "sys.argv[1:] = ['--help']\n"
        "from testbed.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'numpy', 'scipy', 'networkx', 'pyroute2', 'rich', 'yaml'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_completion_knows_the_commands():
    done = subprocess.run(
        [sys.executable, "-m", "testbed"],
        env={
            "_TESTBED_COMPLETE": "complete_bash",
            "COMP_WORDS": "testbed sh",
            "COMP_CWORD": "1",
            "PATH": "/usr/bin:/bin",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert {"show", "shell"} <= set(done.stdout.split())
