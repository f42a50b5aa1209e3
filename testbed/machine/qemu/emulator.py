"""One run of QEMU."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from testbed.errors import PlatformError
from testbed.machine import guest, kernels, processes
from testbed.machine.kernels import Kernel
from testbed.machine.model import EMULATED, VARIABLE, Availability, Program
from testbed.machine.qemu import accelerator, initramfs, ports, virtiofs
from testbed.machine.qemu.accelerator import Processor
from testbed.machine.qemu.command import Wiring, command, tag

_PROGRAM: Final = "qemu-system-x86_64"
_MEMORY: Final = "1024M"
_MOST_CPUS: Final = 4
# For a short run: mitigations cost time, and the clock is as good as the emulator's.
_KERNEL_ARGUMENTS: Final = (
    "console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable no_timer_check audit=0 apparmor=0 "
    "cryptomgr.notests random.trust_cpu=on"
)


class Qemu:
    """QEMU with one kernel.  See :class:`testbed.machine.model.Machine`."""

    def __init__(self, kernel: str) -> None:
        self.name = f"qemu:{kernel}"
        self._kernel = kernel

    def availability(self) -> Availability:
        """Check for the programs and the kernel, without a boot or a download."""
        try:
            program_path()
            if virtiofs.daemon() is None:
                return Availability(
                    ok=False,
                    why="virtiofsd is missing",
                    remedy="apt install qemu-system-common (Debian 12) or virtiofsd",
                )
            if os.geteuid() != 0:
                return Availability(
                    ok=False,
                    why="only root may share all of this host's files with a guest",
                    remedy="run it as root, or use uml:..., which needs no root",
                )
            kernel = kernels.at_hand(self._kernel)
        except PlatformError as error:
            return Availability(ok=False, why=f"{error.what}: {error.why}", remedy=error.instead)
        if kernel is None:
            return Availability(ok=True, why="the kernel is not here yet, and will be fetched")
        return Availability(ok=True, why=f"Linux {kernel.release}")

    def execute(self, program: Program, *, console: Path, limit_s: float | None = None) -> int:
        """Boot, run the program, and return its exit status."""
        qemu = program_path()
        kernel = kernels.at_hand(self._kernel) or kernels.fetch(self._kernel)
        processor = accelerator.choose(qemu, kernel)
        program = msgspec.structs.replace(
            program,
            environment={
                **program.environment,
                VARIABLE: self.name,
                EMULATED: "1" if processor.emulated else "",
            },
        )
        with contextlib.ExitStack() as stack:
            log = stack.enter_context(console.open("ab"))
            pairs = {name: stack.enter_context(_Port()) for name in ports.NAMES}
            shares = [
                stack.enter_context(virtiofs.share(path, log, writable=number > 0))
                for number, path in enumerate((Path("/"), *program.writable))
            ]
            wiring = Wiring(
                initramfs=stack.enter_context(_memory(_initramfs(kernel, program))),
                console=log.fileno(),
                ports={name: port.theirs.fileno() for name, port in pairs.items()},
                shares=[it.fileno() for it in shares],
            )
            child = processes.start(
                _command(qemu, kernel, processor, wiring, program),
                descriptors=wiring.descriptors(),
                output=log,
                terminal=program.terminal,
            )
            stack.enter_context(_ended(child))
            for port in pairs.values():
                port.theirs.close()
            ours = {name: port.ours for name, port in pairs.items()}
            return ports.follow(self.name, ours, program, console, limit_s, child)


class _Port:
    """The two ends of a virtio port."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()

    def __enter__(self) -> _Port:
        return self

    def __exit__(self, *_: object) -> None:
        self.ours.close()
        self.theirs.close()


def _command(
    qemu: str, kernel: Kernel, processor: Processor, wiring: Wiring, program: Program
) -> list[str]:
    return command(
        qemu,
        kernel,
        wiring,
        processor=processor.options,
        cpus=min(_MOST_CPUS, len(os.sched_getaffinity(0))),
        memory=_MEMORY,
        arguments=f"{_KERNEL_ARGUMENTS} {processor.arguments}",
        terminal=program.terminal,
    )


def _initramfs(kernel: Kernel, program: Program) -> bytes:
    shares = [
        guest.Share(path=path, kind="virtiofs", source=tag(number))
        for number, path in enumerate(program.writable, start=1)
    ]
    inside = ports.inside(program, lower=initramfs.LOWER, modules=kernel.modules, shares=shares)
    return initramfs.build(kernel, guest.script(inside, program))


def program_path() -> str:
    """Return the path of QEMU.

    :raises PlatformError: QEMU is not installed, or cannot run this host's programs.
    """
    if platform.machine() not in kernels.ARCHITECTURES:
        raise PlatformError(
            f"guests cannot run on {platform.machine()}",
            why="guests have an x86-64 processor, which cannot run this host's programs",
            instead="use the machine host",
        )
    found = shutil.which(_PROGRAM)
    if found is None:
        raise PlatformError(
            f"{_PROGRAM} is missing",
            why="machines qemu:... run in it",
            instead="apt install qemu-system-x86",
        )
    return found


@contextlib.contextmanager
def _memory(content: bytes) -> Iterator[int]:
    """Yield a descriptor of a file in memory."""
    descriptor = os.memfd_create("testbed-initramfs")
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(content)
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _ended(child: subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        child.kill()
        child.wait()
