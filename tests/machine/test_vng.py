"""virtme-ng, started for real: what a program in its guest sees, and how a guest ends."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.errors import MachineError, PlatformError
from testbed.machine import Machine, Program, cache, kernels, packages
from testbed.machine.qemu.emulator import program_path
from testbed.machine.vng.launcher import vng_path
from tests.machines import usable

pytestmark = pytest.mark.timeout(400)  # emulation on a busy machine; nothing waits that long

ROOT = Path(__file__).parents[2]
# A kernel with 9p, which the smaller flavours lack.
PACKAGE = r"linux-image-6\.12\.\d+\+deb13-amd64"


@pytest.fixture(scope="module")
def vng() -> Machine:
    """Return virtme-ng with a Linux 6.12 of Debian's, fetched if it is not there."""
    try:
        vng_path()
        program_path()
    except PlatformError as error:
        pytest.skip(str(error))
    found = [it for it in cache.path("kernels").glob("*") if re.fullmatch(PACKAGE, it.name)]
    try:
        name = found[0].name if found else packages.search(PACKAGE)[-1]
        kernel = kernels.at_hand(name) or kernels.fetch(name)
    except (PlatformError, IndexError) as error:
        pytest.skip(f"no kernel for vng: {error}")
    return usable(f"vng:{kernel.image}")


def shell(script, **more):
    environment = {"PATH": os.environ["PATH"], "GREETING": "it's me"}
    return Program(argv=("sh", "-c", script), directory=ROOT, environment=environment, **more)


def test_a_program_finds_the_host_s_files_on_another_kernel(vng, tmp_path, capfd):
    kept, lost, console = tmp_path / "kept", tmp_path / "lost", tmp_path / "console"
    kept.mkdir()
    script = f"""
        uname -r; pwd; echo "$GREETING, $TESTBED_MACHINE"; head -n 1 pyproject.toml
        modprobe sch_netem && grep -c '^sch_netem ' /proc/modules
        echo kept > {kept}/file; echo lost > {lost}
        echo wrong >&2
        exit 7
    """
    status = vng.execute(shell(script, writable=(kept,)), console=console)
    said = capfd.readouterr()
    release, *lines = said.out.splitlines()
    assert status == 7
    assert release.startswith("6.12.")
    assert lines == [
        str(ROOT),
        f"it's me, {vng.name}",
        (ROOT / "pyproject.toml").read_text().splitlines()[0],
        "1",
    ]
    assert said.err == "wrong\n"
    assert (kept / "file").read_text() == "kept\n"
    assert not lost.exists()
    assert f"Linux version {release}" in console.read_text(errors="replace")


def test_a_guest_that_panics_says_so(vng, tmp_path):
    with pytest.raises(MachineError, match="Kernel panic"):
        vng.execute(shell("echo c > /proc/sysrq-trigger; sleep 60"), console=tmp_path / "console")


def test_vng_that_starts_no_guest_says_why(vng, tmp_path, monkeypatch):
    monkeypatch.setattr("testbed.machine.vng.launcher._MEMORY", "none")
    console = tmp_path / "console"
    with pytest.raises(MachineError, match=r"vng, for the machine .*, ended with 255: "):
        vng.execute(shell("true"), console=console)
    assert "Parameter 'size' expects" in console.read_text()


def test_nothing_is_left_when_testbed_is_killed(vng, tmp_path):
    argv = [sys.executable, "-m", "testbed", "machine", "exec", vng.name, "--"]
    process = subprocess.Popen(
        [*argv, "sh", "-c", "echo there; exec sleep 1000"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    with process, process.stdout as output:
        assert output.readline() == b"there\n"
        left = [os.pidfd_open(pid) for pid in _started(vng.name.removeprefix("vng:"))]
        process.send_signal(signal.SIGKILL)
    for each in left:
        select.select([each], [], [])  # until that process is gone
        os.close(each)
    assert left
    assert not list(tmp_path.glob("testbed-vng-*"))


def _started(image: str) -> list[int]:
    """Return the processes that vng has started for a kernel, QEMU among them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # the process is gone
            words = path.read_bytes().split(b"\0")
            if image.encode() in words and b"-kernel" in words:
                found.append(int(path.parent.name))
    return found
