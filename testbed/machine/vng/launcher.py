"""Runs a guest that virtme-ng starts.

vng(1) boots the kernel with its own first process and this host's files. That process runs the
script of :mod:`testbed.machine.guest`, as on every other guest.
"""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from testbed.errors import MachineError, PlatformError
from testbed.machine import guest, kernels, processes
from testbed.machine.guest.watch import BOOT_S, last_line
from testbed.machine.kernels import Kernel
from testbed.machine.model import EMULATED, VARIABLE, Availability, Program
from testbed.machine.qemu import accelerator, ports, virtiofs
from testbed.machine.qemu.accelerator import Processor
from testbed.machine.qemu.emulator import program_path
from testbed.machine.vng import keeper
from testbed.machine.vng.command import command, mounted

_LIFE: Final = "life"  # name of the socket between testbed and QEMU's keeper
_END_S: Final = 10.0  # time for vng to end after its guest
_MEMORY: Final = "1024M"
_MOST_CPUS: Final = 4
_KERNEL_ARGUMENTS: Final = "mitigations=off tsc=reliable no_timer_check random.trust_cpu=on"


class Vng:
    """virtme-ng with one kernel.  See :class:`testbed.machine.model.Machine`."""

    def __init__(self, kernel: str) -> None:
        self.name = f"vng:{kernel}"
        self._kernel = kernel

    def availability(self) -> Availability:
        """Check for the programs and the kernel, without a boot."""
        try:
            vng_path()
            program_path()
            kernel = kernels.at_hand(self._kernel)
        except PlatformError as error:
            return Availability(ok=False, why=f"{error.what}: {error.why}", remedy=error.instead)
        return Availability(ok=True, why=f"Linux {kernel.release}" if kernel else "")

    def execute(self, program: Program, *, console: Path, limit_s: float | None = None) -> int:
        """Boot, run the program, and return its exit status."""
        vng, qemu = vng_path(), program_path()
        kernel = kernels.at_hand(self._kernel)
        assert kernel is not None  # noqa: S101 - paths and the running kernel are never fetched
        _check_sharing(kernel)
        processor = accelerator.choose(qemu, kernel)
        emulated = "1" if processor.emulated else ""
        environment = {**program.environment, VARIABLE: self.name, EMULATED: emulated}
        program = msgspec.structs.replace(program, environment=environment)
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(_folder()))
            paths = {name: folder / name for name in (_LIFE, *ports.NAMES)}
            listeners = {name: stack.enter_context(_listener(it)) for name, it in paths.items()}
            argv = self._command(vng, qemu, kernel, processor, folder, program)
            messages = stack.enter_context(_Messages(console))
            child = stack.enter_context(_running(argv, vng, messages))
            connections = {
                name: stack.enter_context(self._accepted(listener, child, messages))
                for name, listener in listeners.items()
            }
            return ports.follow(
                self.name,
                connections,
                program,
                console,
                limit_s,
                child,
                outputs={messages.descriptor: messages.log},
                on_up=lambda: shutil.rmtree(folder),  # removed early: kill -9 leaves no folder
            )

    def _command(
        self,
        vng: str,
        qemu: str,
        kernel: Kernel,
        processor: Processor,
        folder: Path,
        program: Program,
    ) -> list[str]:
        """Write the guest's files into a folder, and return the command that starts the guest."""
        script = folder / "init"
        script.write_text(ports.LINK + guest.script(_inside(kernel, program), program))
        running = self._kernel == kernels.RUNNING
        return command(
            vng,
            kernel.image if running else Path(self._kernel).resolve(),
            qemu=_kept(qemu, folder),
            script=script,
            ports={name: folder / name for name in ports.NAMES},
            writable=program.writable,
            kvm=not processor.emulated,
            cpus=min(_MOST_CPUS, len(os.sched_getaffinity(0))),
            memory=_MEMORY,
            arguments=f"{_KERNEL_ARGUMENTS} {processor.arguments}".strip(),
            terminal=os.ttyname(0) if program.terminal else None,
        )

    def _accepted(
        self, listener: socket.socket, child: subprocess.Popen[bytes], messages: _Messages
    ) -> socket.socket:
        """Return QEMU's connection to a socket.

        :raises MachineError: vng ended, or started no guest in time.
        """
        ended = os.pidfd_open(child.pid)
        try:
            ready, _, _ = select.select([listener.fileno(), ended], [], [], BOOT_S)
        finally:
            os.close(ended)
        if listener.fileno() in ready:
            return listener.accept()[0]
        what = f"ended with {child.wait()}" if ready else f"started no guest within {BOOT_S} s"
        raise MachineError(f"vng, for the machine {self.name}, {what}{messages.last()}")


class _Messages:
    """The pipe with the output of vng and the kernel, and the console file to copy it to."""

    def __init__(self, console: Path) -> None:
        self._console = console
        self._file = console.open("ab")
        self.log = self._file.fileno()
        self.descriptor, self.theirs = os.pipe()

    def __enter__(self) -> _Messages:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)
        self._file.close()

    def last(self) -> str:
        """Copy the available output, and return its last line as the end of an error message."""
        os.set_blocking(self.descriptor, False)
        with contextlib.suppress(BlockingIOError):
            while octets := os.read(self.descriptor, 1 << 16):
                self._file.write(octets)
        self._file.flush()
        last = last_line(self._console)
        return f': "{last}"' if last else ""


@contextlib.contextmanager
def _running(
    argv: Sequence[str], vng: str, messages: _Messages
) -> Iterator[subprocess.Popen[bytes]]:
    """Start vng, and end it on exit."""
    try:
        # vng finds its own programs by the PATH.
        path = f"{Path(vng).parent}:{os.environ.get('PATH', os.defpath)}"
        child = processes.start(
            argv, output=messages.theirs, environment={**os.environ, "PATH": path}
        )
    finally:
        os.close(messages.theirs)
    try:
        yield child
    finally:
        # The connection to QEMU's keeper is closed: QEMU ends, and then vng.
        try:
            child.wait(timeout=_END_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _kept(qemu: str, folder: Path) -> Path:
    """Return a program that runs QEMU as long as testbed is connected to it."""
    program = folder / "qemu"
    words = [sys.executable, "-IS", keeper.__file__, str(folder / _LIFE), qemu]
    program.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
    program.chmod(0o755)
    return program


def _inside(kernel: Kernel, program: Program) -> guest.Guest:
    shares = [
        guest.Share(path=path, kind="none", source=mounted(number), options="bind")
        for number, path in enumerate(program.writable)
    ]
    return ports.inside(program, lower="/", modules=kernel.modules, shares=shares)


def vng_path() -> str:
    """Return the path of vng, from the PATH or the folder of this Python.

    :raises PlatformError: vng is not installed.
    """
    beside = Path(sys.executable).parent / "vng"
    found = shutil.which("vng") or shutil.which(beside)
    if found is None:
        raise PlatformError(
            "vng is missing",
            why="virtme-ng starts the machines vng:...",
            instead="pip install virtme-ng, or apt install virtme-ng",
        )
    return found


def _check_sharing(kernel: Kernel) -> None:
    """Check that vng can share this host's files with a guest, by virtiofs or 9p.

    :raises PlatformError: the kernel or the installed programs lack each of them.
    """
    if kernels.has_module(kernel, "9p"):
        return
    if kernels.has_module(kernel, "virtiofs") and _has_virtiofsd():
        return
    raise PlatformError(
        f"the kernel {kernel.release} has no module 9p",
        why="vng shares files with it if the virtiofsd written in Rust is missing",
        instead="apt install virtiofsd (Debian 13), or use another kernel: cloud kernels lack 9p",
    )


def _has_virtiofsd() -> bool:
    """Return whether a virtiofsd that vng supports is installed. QEMU 7's own is not supported."""
    daemon = virtiofs.daemon()
    if daemon is None:
        return False
    said = subprocess.run([daemon, "--help"], capture_output=True, text=True, check=False)
    return "--shared-dir" in said.stdout


@contextlib.contextmanager
def _folder() -> Iterator[str]:
    """Create a folder, and remove it on exit if it still exists."""
    folder = tempfile.mkdtemp(prefix="testbed-vng-")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _listener(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(1)
    return listener
