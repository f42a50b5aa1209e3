"""A build that does not come to its end: nothing goes on behind our back, the next one continues.

The compiler is a script that makes one file, then another one only when it is started again.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from testbed.cli.application import application
from testbed.cli.building import Lines
from testbed.errors import MachineError
from testbed.machine import packages
from testbed.machine.uml import build, builds
from tests import processes

MAKE = """\
#!/bin/sh
for word in "$@"; do
    case $word in
    O=*) objects=${word#O=} ;;
    allnoconfig | linux) target=$word ;;
    esac
done
if [ $target = allnoconfig ]; then
    for name in HOSTFS OVERLAY_FS NET_NS VETH NET_SCH_NETEM MPTCP MPTCP_IPV6; do
        echo CONFIG_$name=y
    done > $objects/.config
elif [ -e $objects/one.o ]; then
    echo "  CC      two.o"
    touch $objects/two.o $objects/linux
else
    echo "  CC      one.o"
    touch $objects/one.o
    [ -z "$BROKEN" ] || exit 1
    exec 3> "$COMPILER"
    sleep infinity &  # the compiler, which make(1) ends with itself
    trap 'kill $!; exit 1' TERM
    echo it runs >&3
    wait
fi
"""
LIMIT_MS = 30_000
TOUCH_OUTPUT = '#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done; touch "$2"\n'


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """Put our make and compiler before the system's, and the cache into a folder of this test's."""
    folder = tmp_path / "tools"
    folder.mkdir()
    scripts = {"make": MAKE, "gcc": TOUCH_OUTPUT, "strip": TOUCH_OUTPUT}
    for name in ("make", "gcc", "strip", "flex", "bison", "bc"):
        script = folder / name
        script.write_text(scripts.get(name, ""))
        script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def tree(tmp_path):
    """Return a source tree, or what looks like one."""
    return source_tree(tmp_path / "tree")


def source_tree(path: Path) -> Path:
    (path / "arch" / "um").mkdir(parents=True)
    (path / "arch" / "um" / "Kconfig").touch()
    (path / "Makefile").write_text("VERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL = 4\n")
    return path


class Compiler:
    """The compiler and its make(1), which hold the writing end of a FIFO while they live."""

    def __init__(self, fifo: Path) -> None:
        os.mkfifo(fifo)
        self._ours = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)

    def wait_until_it_runs(self) -> None:
        assert self._read() == b"it runs\n"

    def wait_until_it_has_ended(self) -> None:
        assert self._read() == b""

    def close(self) -> None:
        os.close(self._ours)

    def _read(self) -> bytes:
        poll = select.poll()
        poll.register(self._ours, select.POLLIN)
        assert poll.poll(LIMIT_MS), "nothing has happened"
        return os.read(self._ours, 100)


@pytest.fixture
def compiler(tmp_path, monkeypatch):
    """Return what tells of the compiler."""
    monkeypatch.setenv("COMPILER", str(tmp_path / "compiler"))
    with contextlib.closing(Compiler(tmp_path / "compiler")) as found:
        yield found


@pytest.fixture
def start(tools, tree, compiler, tmp_path, monkeypatch):
    """Start a build of the tree; return once the compiler runs."""
    monkeypatch.setenv("TESTBED_MARK", str(tmp_path))

    def begin() -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, "-m", "testbed", "machine", "build", "uml", "--source", str(tree)],
            stderr=subprocess.PIPE,
            text=True,
        )
        compiler.wait_until_it_runs()
        return child

    return begin


def test_ctrl_c_ends_the_compiler_and_the_next_build_goes_on(start, tree, tmp_path):
    child = start()
    child.send_signal(signal.SIGINT)
    said = child.communicate()[1].splitlines()
    assert (child.returncode, said[-1]) == (130, "testbed: interrupted")
    assert processes.marked(str(tmp_path)) == {}

    done = CliRunner().invoke(application, ["machine", "build", "uml", "--source", str(tree)])
    assert done.exit_code == 0, done.stderr
    assert done.stderr.splitlines()[1].startswith("continuing to compile")
    (built,) = builds.built()
    assert "two.o" in Path(built.directory, "build.log").read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_compiler_ends_when_we_are_killed(start, compiler, number):
    child = start()
    child.send_signal(number)
    child.communicate()
    compiler.wait_until_it_has_ended()


def test_while_it_is_built_prune_leaves_it_alone_and_removes_it_once_interrupted(start, tree):
    child = start()
    assert CliRunner().invoke(application, ["machine", "prune"]).stdout == ""
    child.send_signal(signal.SIGINT)
    child.communicate()
    done = CliRunner().invoke(application, ["machine", "prune"])
    why = f"an interrupted build of {tree}, Linux 7.3.4 (0 MB)"
    assert [line.partition(": ")[2] for line in done.stdout.splitlines()] == [why]
    assert CliRunner().invoke(application, ["machine", "prune"]).stdout == ""


def test_debians_sources_are_unpacked_once(tools, tmp_path, monkeypatch):
    package = "linux-source-7.3"

    def unpack(names, into):
        """Make what the package holds: an archive of the sources."""
        assert names == [package]
        source_tree(tmp_path / package)
        (into / "usr" / "src").mkdir(parents=True)
        archive = into / "usr" / "src" / f"{package}.tar.xz"
        subprocess.run(["tar", "-C", tmp_path, "-cJf", archive, package], check=True)

    monkeypatch.setattr(packages, "search", lambda _: [package])
    monkeypatch.setattr(packages, "unpack", unpack)
    monkeypatch.setenv("BROKEN", "1")
    with pytest.raises(MachineError, match="the build of the kernel failed"):
        build.build("debian:7.3", Lines())

    monkeypatch.delattr(packages, "search")
    monkeypatch.delattr(packages, "unpack")
    built = build.build("debian:7.3", Lines())
    assert (built.version, builds.find("7.3")) == ("7.3.4", built)
    assert sorted(path.name for path in Path(built.directory).iterdir()) == [
        "build.json",
        "build.log",
        "entropy.so",
        "linux",
        "regset.so",
    ]
    built.regset.unlink()  # a build of an older testbed lacks this file
    assert build.build("debian:7.3", Lines()) == built
    assert built.regset.exists()


def test_the_rest_of_the_time_is_said_from_time_to_time(capsys):
    moments = iter((0.0, 5.0, 25.0, 26.0, 42.0))
    lines = Lines(now=lambda: next(moments))
    lines.step("compiling")
    for done in (100, 200, 500, 510, 900):
        lines.compiled(done, 1300)
    assert capsys.readouterr().err.splitlines() == [
        "compiling",
        "500 of about 1300 files compiled, some 1 min left",
        "900 of about 1300 files compiled, some 1 min left",
    ]
