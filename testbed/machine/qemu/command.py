"""QEMU's command line.  Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from testbed.machine.kernels import Kernel
from testbed.machine.qemu.initramfs import ROOT_TAG


class Wiring(msgspec.Struct, frozen=True, kw_only=True):
    """The descriptors that QEMU inherits.

    :param initramfs: a file with the initramfs archive.
    :param console: the destination of the serial console.
    :param ports: by name, sockets for the host's ends of virtio ports.
    :param shares: connections to virtiofsd, that of the root first.
    """

    initramfs: int
    console: int
    ports: Mapping[str, int]
    shares: Sequence[int]

    def descriptors(self) -> tuple[int, ...]:
        """Return all descriptors."""
        return (self.initramfs, self.console, *self.ports.values(), *self.shares)


def tag(share: int) -> str:
    """Return the name of a share in the guest, by its index in ``Wiring.shares``."""
    return f"share{share}" if share else ROOT_TAG


def command(
    qemu: str,
    kernel: Kernel,
    wiring: Wiring,
    *,
    processor: Sequence[str],
    cpus: int,
    memory: str,
    arguments: str,
    terminal: bool,
) -> list[str]:
    """Return the command that starts a guest. QEMU ends when the guest restarts.

    :param processor: arguments that choose accelerator and CPU.
    :param arguments: the arguments for the kernel.
    :param terminal: whether the terminal is the guest's ``/dev/hvc0``.
    """
    return [
        *(qemu, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-M", "q35,memory-backend=memory", *processor, "-smp", str(cpus), "-m", memory),
        *("-object", f"memory-backend-memfd,id=memory,size={memory},share=on"),
        *("-kernel", str(kernel.image), "-initrd", f"/proc/self/fd/{wiring.initramfs}"),
        *("-append", arguments),
        *("-add-fd", f"fd={wiring.console},set=1"),
        *("-chardev", "file,id=console,path=/dev/fdset/1,append=on", "-serial", "chardev:console"),
        *("-device", "virtio-serial-pci"),
        *_ports(wiring.ports),
        *_shares(wiring.shares),
        *(_TERMINAL if terminal else ()),
    ]


_TERMINAL = (
    *("-chardev", "stdio,id=terminal,signal=off"),
    *("-device", "virtconsole,chardev=terminal"),
)


def _ports(ports: Mapping[str, int]) -> list[str]:
    words = []
    for name, descriptor in ports.items():
        words += ["-chardev", f"socket,id={name},fd={descriptor}"]
        words += ["-device", f"virtserialport,chardev={name},name={name}"]
    return words


def _shares(shares: Sequence[int]) -> list[str]:
    words = []
    for number, descriptor in enumerate(shares):
        words += ["-chardev", f"socket,id={tag(number)},fd={descriptor}"]
        words += ["-device", f"vhost-user-fs-pci,chardev={tag(number)},tag={tag(number)}"]
    return words
