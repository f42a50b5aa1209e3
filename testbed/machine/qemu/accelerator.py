"""Chooses KVM if it works, and software emulation otherwise."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path
from typing import Final

import msgspec

from testbed.machine import cache, processes
from testbed.machine.kernels import Kernel


class Processor(msgspec.Struct, frozen=True, kw_only=True):
    """The accelerator and the processor of a guest.

    :param options: the options for QEMU.
    :param arguments: the arguments for the kernel.
    """

    emulated: bool
    options: tuple[str, ...]
    arguments: str = ""


KVM: Final = Processor(emulated=False, options=("-accel", "kvm", "-cpu", "host"))
# Python's numerical libraries need x86-64-v2. Nehalem is the first processor with it. But QEMU 7.2
# wrongly emulates cmpxchg16b without a lock prefix, which corrupts Linux 6.12 and later. So the
# kernel must not use it: X86_FEATURE_CX16, word 4, bit 13.
EMULATION: Final = Processor(
    emulated=True,
    options=("-accel", "tcg,thread=multi,tb-size=512", "-cpu", "Nehalem"),
    arguments="clearcpuid=141",
)
_DEVICE: Final = Path("/dev/kvm")
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_PROBE_S: Final = 10


def choose(qemu: str, kernel: Kernel) -> Processor:
    """Return KVM if it works with a kernel, otherwise emulation."""
    return KVM if kvm_works(qemu, kernel) else EMULATION


def kvm_works(qemu: str, kernel: Kernel) -> bool:
    """Return whether a kernel boots with KVM.

    The existence of /dev/kvm is not enough, because guests may hang with nested virtualisation. The
    result is cached until the host boots again.
    """
    if not os.access(_DEVICE, os.R_OK | os.W_OK):
        return False
    facts = f"{_BOOT_ID.read_text()}{kernel.image}{Path(qemu).stat().st_mtime_ns}"
    answer = cache.folder("kvm") / hashlib.sha256(facts.encode()).hexdigest()[:16]
    if not answer.exists():
        answer.write_text("yes" if _boots(qemu, kernel) else "no")
    return answer.read_text() == "yes"


def _boots(qemu: str, kernel: Kernel) -> bool:
    """Boot without a root file system: the kernel panics, resets, and QEMU ends by itself."""
    child = processes.start(
        [
            *(qemu, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
            *("-M", "q35", "-m", "512", *KVM.options),
            *("-kernel", str(kernel.image), "-append", "panic=-1 quiet"),
        ],
        output=subprocess.DEVNULL,
    )
    try:
        return child.wait(timeout=_PROBE_S) == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        child.kill()
        child.wait()
