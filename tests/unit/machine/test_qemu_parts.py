"""Properties of guests, tested without a start."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
from pathlib import Path

import pytest

from testbed.errors import InputError, MachineError, PlatformError
from testbed.machine import Program, guest, kernels, machine, packages, processes
from testbed.machine.guest.patience import Patience
from testbed.machine.guest.watch import Watch
from testbed.machine.kernels import Kernel
from testbed.machine.qemu import cpio
from testbed.machine.qemu.command import Wiring, command


@pytest.fixture
def program():
    return Program(argv=("echo", "it's", "$HOME"), directory=Path("/"), environment={"A": "b 'c'"})


def test_the_guest_s_script_is_shell_and_quotes_what_it_is_given(program):
    inside = guest.Guest(
        lower="/", shares=(), stdout="/o", stderr="/e", status="/s", power_off="poweroff"
    )
    text = guest.script(inside, program)
    subprocess.run(["sh", "-n"], input=text, text=True, check=True)
    job = text.partition("END-OF-JOB'\n")[2].partition("\nEND-OF-JOB")[0]
    line = job.splitlines()[-1].removeprefix("exec ")
    said = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True).stdout
    assert said == "it's $HOME\n"


@pytest.mark.parametrize("name", ["vbox:6.1", "", "host:6.1", "qemu:", "qemu:new", "qemu:/nowhere"])
def test_names_of_no_machine(name):
    with pytest.raises(InputError):
        machine(name)


@pytest.mark.parametrize("name", ["running", "6.1", "6.12.107", "linux-image-6.1.0-50-amd64"])
def test_names_of_kernels(name):
    assert machine(f"qemu:{name}").name == f"qemu:{name}"


def test_the_smallest_flavour_s_newest_kernel_is_taken(tmp_path, monkeypatch):
    offered = [
        "linux-image-6.1.0-9-cloud-amd64",
        "linux-image-6.1.0-10-cloud-amd64",
        "linux-image-6.1.0-11-amd64",
        "linux-image-6.12.1-cloud-amd64",
        "linux-image-6.1.0-12-cloud-amd64-dbg",
    ]
    fetched = []

    def unpack(names, into):
        fetched.extend(names)
        image = into / "boot" / "vmlinuz-6.1.0-10"
        image.parent.mkdir(parents=True)
        image.write_bytes(bzimage("6.1.0-10 (someone)"))
        modules = into / "lib" / "modules" / "6.1.0-10" / "modules.dep"
        modules.parent.mkdir(parents=True)
        modules.touch()

    offer(monkeypatch, tmp_path, offered, unpack)
    assert kernels.at_hand("6.1") is None
    assert kernels.fetch("6.1").release == "6.1.0-10"
    assert fetched == ["linux-image-6.1.0-10-cloud-amd64"]
    assert kernels.at_hand("6.1") == kernels.fetch("6.1")
    assert kernels.cached() == ["6.1"]


def test_an_image_whose_modules_the_archive_has_dropped_is_no_guest_s_kernel(tmp_path, monkeypatch):
    def unpack(names, into):
        image = into / "boot" / "vmlinuz-6.19.6"
        image.parent.mkdir(parents=True)
        image.write_bytes(bzimage("6.19.6 (someone)"))

    offer(monkeypatch, tmp_path, ["linux-image-6.19.6-cloud-amd64"], unpack)
    for get in (kernels.fetch, kernels.at_hand):
        with pytest.raises(PlatformError, match="has no modules"):
            get("6.19")


def offer(monkeypatch, cache, offered, unpack):
    """Let an archive have packages."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setattr(
        packages,
        "search",
        lambda pattern: [it for it in offered if re.fullmatch(pattern, it)],
    )
    monkeypatch.setattr(packages, "needed", lambda name, _: [name])
    monkeypatch.setattr(packages, "unpack", unpack)


def bzimage(release):
    image = bytearray(0x400)
    image[0x202:0x206] = b"HdrS"
    image[0x20E:0x210] = (0x100).to_bytes(2, "little")
    image[0x300 : 0x300 + len(release)] = release.encode()
    return bytes(image)


def test_what_is_no_kernel_is_refused(tmp_path):
    path = tmp_path / "vmlinux"
    path.write_bytes(b"\x7fELF" + bytes(0x400))
    with pytest.raises(InputError, match="is not a bzImage"):
        kernels.at_hand(str(path))


def test_archives_are_cpio_s():
    archive = cpio.archive(cpio.directory("d"), cpio.file("d/f", b"four", executable=True))
    assert archive.startswith(b"070701")
    assert len(archive) % 512 == 0
    # Name and content begin at multiples of four octets.
    assert archive.index(b"d/f\0") % 4 == 110 % 4
    assert archive.index(b"four") % 4 == 0


def test_qemu_s_command_line_names_each_share_and_port():
    kernel = Kernel(image=Path("/k"), release="6.1", modules=None)
    wiring = Wiring(initramfs=5, console=6, ports={"status": 7}, shares=(8, 9))
    words = command(
        "qemu", kernel, wiring, processor=(), cpus=2, memory="1G", arguments="a", terminal=False
    )
    devices = [word for before, word in itertools.pairwise(words) if before == "-device"]
    assert devices == [
        "virtio-serial-pci",
        "virtserialport,chardev=status,name=status",
        "vhost-user-fs-pci,chardev=root,tag=root",
        "vhost-user-fs-pci,chardev=share1,tag=share1",
    ]
    assert wiring.descriptors() == (5, 6, 7, 8, 9)


def follow(status, tmp_path, *, console=""):
    """Watch a guest that has written ``status`` and is gone."""
    (tmp_path / "console").write_text(console)
    read, write = os.pipe()
    os.write(write, status.encode())
    os.close(write)
    watch = Watch(
        "m",
        status=read,
        outputs={},
        console=tmp_path / "console",
        limit_s=None,
        spent=lambda: 0.0,
    )
    try:
        return watch.follow()
    finally:
        os.close(read)


def test_a_guest_s_exit_status_is_its_program_s(tmp_path):
    assert follow("up\nalive\nexit 3\n", tmp_path) == 3


@pytest.mark.parametrize(
    ("status", "why"),
    [
        ("", "did not start"),
        ("up\n", "ended before its program did"),
        ("up\nfull\nexit 1\n", "has no memory left"),
        ("up\nexit 137\n", "killed its program"),
    ],
)
def test_a_guest_without_an_end_is_an_error_with_its_last_words(tmp_path, status, why):
    with pytest.raises(MachineError, match=f"m .*{why}.*Kernel panic"):
        follow(status, tmp_path, console="booting\nKernel panic - oh\nstack\n")


@pytest.mark.parametrize(
    ("waited_s", "used_s", "over"),
    [
        (100, 0, False),  # not long enough yet
        (130, 0, True),  # an idle guest never ends
        (130, 130, True),  # the guest spins
        (130, 10, False),  # the guest works on a busy host
        (600, 100, False),
        (1300, 100, True),  # the guest works for too long
    ],
)
def test_a_guest_on_a_busy_host_does_not_hang(waited_s, used_s, over):
    spent = 50.0
    patience = Patience(120, lambda: spent)
    patience.begin()
    spent += used_s
    assert patience.is_over(waited_s) is over


def test_the_time_of_a_session_is_that_of_all_its_processes():
    """A shell that waits for a program that uses the processor, and one that is dead."""
    script = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"
    child = subprocess.Popen(
        ["sh", "-c", f"sh -c '{script}'; echo; read line"],
        start_new_session=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with child:
        child.stdout.readline()
        assert processes.cpu_meter(child)() > 0
        child.stdin.close()
