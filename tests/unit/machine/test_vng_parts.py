"""Properties of virtme-ng's guests, tested without a start."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.errors import InputError, PlatformError
from testbed.machine import Program, kernels, machine
from testbed.machine.kernels import Kernel
from testbed.machine.vng import keeper, launcher
from testbed.machine.vng.command import command


def words(**changes):
    arguments = {
        "qemu": Path("/folder/qemu"),
        "script": Path("/a folder/init"),
        "ports": {"status": Path("/folder/status")},
        "writable": [Path("/a results"), Path("/b")],
        "kvm": False,
        "cpus": 2,
        "memory": "1024M",
        "arguments": "quiet",
        "terminal": None,
    }
    return command("vng", Path("/linux tree"), **(arguments | changes))


def value(argv, option):
    return argv[argv.index(option) + 1]


def test_vng_gets_words_that_survive_its_shell():
    argv = words()
    assert shlex.split(value(argv, "--run")) == ["/linux tree"]
    assert shlex.split(value(argv, "--rwdir")) == ["/run/testbed-share0=/a results"]
    assert value(argv, "--exec") == "exec sh '/a folder/init'"
    (options,) = [it.removeprefix("--qemu-opts=") for it in argv if it.startswith("--qemu-opts=")]
    assert "socket,id=testbed-status,path=/folder/status" in shlex.split(options)


def test_kvm_is_off_where_it_does_not_work_and_a_terminal_is_a_console():
    assert "--disable-kvm" in words()
    assert "--disable-kvm" not in words(kvm=True)
    assert "serial,id=testbed-terminal,path=/dev/pts/7" in words(terminal="/dev/pts/7")[-1]


@pytest.mark.parametrize("name", ["vng:", "vng:6.1", "vng:/nowhere", "vng:linux-image-6.1.0-50"])
def test_names_of_no_kernel(name):
    with pytest.raises(InputError):
        machine(name)


@pytest.fixture
def image(tmp_path):
    """Return a file with the beginning of a bzImage of Linux 6.1."""
    content = bytearray(0x400)
    content[0x202:0x206] = b"HdrS"
    content[0x20E:0x210] = (0x100).to_bytes(2, "little")
    content[0x300:0x306] = b"6.1.2 "
    path = tmp_path / "bzImage"
    path.write_bytes(content)
    return path


def test_without_vng_it_is_named_with_how_to_get_it(image, monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    found = machine(f"vng:{image}")
    available = found.availability()
    assert (available.ok, available.why) == (
        False,
        "vng is missing: virtme-ng starts the machines vng:...",
    )
    assert "pip install virtme-ng" in available.remedy
    program = Program(argv=("true",), directory=Path("/"), environment={})
    with pytest.raises(PlatformError, match="vng is missing"):
        found.execute(program, console=tmp_path / "console")


def test_vng_beside_our_python_is_found(image, monkeypatch):
    beside = str(Path(sys.executable).parent / "vng")

    def which(name):
        return str(name) if str(name) in (beside, "qemu-system-x86_64") else None

    monkeypatch.setattr(shutil, "which", which)
    assert machine(f"vng:{image}").availability().why == "Linux 6.1.2"


@pytest.mark.parametrize(
    ("modules", "shared"),
    [("kernel/fs/9p/9p.ko.xz: kernel/net/9p/9pnet.ko.xz\n", True), ("kernel/fs/x/x.ko:\n", False)],
)
def test_a_kernel_that_could_not_see_the_host_s_files_is_refused(
    tmp_path, monkeypatch, modules, shared
):
    monkeypatch.setattr(launcher, "_has_virtiofsd", lambda: False)
    (tmp_path / "modules.dep").write_text(modules)
    kernel = Kernel(image=tmp_path / "bzImage", release="6.1.2", modules=tmp_path)
    assert kernels.has_module(kernel, "9p") is shared
    if shared:
        launcher._check_sharing(kernel)
        return
    with pytest.raises(PlatformError, match=r"6\.1\.2 has no module 9p"):
        launcher._check_sharing(kernel)


def test_qemu_ends_when_the_connection_closes(tmp_path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "life"))
        listener.listen(1)
        reading, writing = os.pipe()
        script = 'echo "$$"; exec sleep 1000'
        kept = subprocess.Popen(
            [sys.executable, keeper.__file__, tmp_path / "life", "/bin/sh", "-c", script],
            stdout=writing,
        )
        os.close(writing)
        with listener.accept()[0], os.fdopen(reading) as output:
            assert output.readline()
            assert kept.poll() is None
        # Only now is the program gone, and with it the last one that could write.
        assert kept.wait() == 256 - 9 or kept.returncode == -9


def test_qemu_s_status_is_its_keeper_s(tmp_path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "life"))
        listener.listen(1)
        argv = [sys.executable, keeper.__file__, tmp_path / "life", "/bin/sh", "-c", "exit 3"]
        assert subprocess.run(argv, check=False).returncode == 3
