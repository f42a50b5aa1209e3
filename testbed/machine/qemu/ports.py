"""The virtio ports of a guest in QEMU: its output, its status lines and Ctrl-C."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from testbed.machine import guest, processes
from testbed.machine.guest.watch import Interrupts, Watch, restored_terminal
from testbed.machine.model import Program

NAMES: Final = ("stdout", "stderr", "status", "interrupt")

_TERMINAL: Final = "/dev/hvc0"
# The emergency restart: QEMU has the option to end instead of a reboot.
_POWER_OFF: Final = "echo b > /proc/sysrq-trigger; sleep 60"

# Shell commands for the guest that give each port its name in /dev. Ports appear some time after
# their module is loaded.
LINK: Final = f"""\
for name in {" ".join(NAMES)}; do
    while ! grep -qsx "$name" /sys/class/virtio-ports/*/name; do sleep 0.02; done
    port=$(grep -lsx "$name" /sys/class/virtio-ports/*/name)
    port=${{port%/name}}
    ln -s "${{port##*/}}" "/dev/testbed-$name"
done
"""


def inside(
    program: Program, *, lower: str, modules: Path | None, shares: Sequence[guest.Share]
) -> guest.Guest:
    """Return a guest that uses these ports, or the terminal ``/dev/hvc0``."""
    terminal = _TERMINAL if program.terminal else None
    return guest.Guest(
        lower=lower,
        modules=modules,
        shares=shares,
        stdin=terminal or "/dev/null",
        stdout=terminal or "/dev/testbed-stdout",
        stderr=terminal or "/dev/testbed-stderr",
        status="/dev/testbed-status",
        interrupt="/dev/testbed-interrupt",
        power_off=_POWER_OFF,
    )


def follow(
    name: str,
    ports: Mapping[str, socket.socket],
    program: Program,
    console: Path,
    limit_s: float | None,
    child: subprocess.Popen[bytes],
    *,
    outputs: Mapping[int, int] | None = None,
    on_up: Callable[[], object] = lambda: None,
) -> int:
    """Wait for the end of the guest, and return the program's exit status.

    :param name: the name of the machine.
    :param ports: our ends of the ports, by :data:`NAMES`.
    :param console: the file of the kernel's messages.
    :param child: a process in whose session the guest's processes are.
    :param outputs: further descriptors to read from, each with the descriptor to copy its data to.
    :param on_up: called when the program starts.
    :raises MachineError: as :meth:`Watch.follow`.
    """
    sys.stdout.flush()
    watch = Watch(
        name,
        status=ports["status"].fileno(),
        outputs={
            ports["stdout"].fileno(): program.output,
            ports["stderr"].fileno(): 2,
            **(outputs or {}),
        },
        console=console,
        limit_s=limit_s,
        spent=processes.cpu_meter(child),
        on_up=on_up,
    )
    with (
        restored_terminal()
        if program.terminal
        else Interrupts(lambda: ports["interrupt"].sendall(b"\n"))
    ):
        return watch.follow()
