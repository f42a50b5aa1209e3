"""The command line of vng(1).  Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path


def mounted(share: int) -> str:
    """Return the path of a writable directory in the guest, by its number."""
    return f"/run/testbed-share{share}"


def command(
    vng: str,
    kernel: Path,
    *,
    qemu: Path,
    script: Path,
    ports: Mapping[str, Path],
    writable: Sequence[Path],
    kvm: bool,
    cpus: int,
    memory: str,
    arguments: str,
    terminal: str | None,
) -> list[str]:
    """Return the command that starts a guest. The guest runs a script as root and ends with it.

    :param qemu: the program that vng starts in place of QEMU.
    :param script: a path of this host, and so also of the guest.
    :param ports: by name, the sockets on which testbed listens.
    :param arguments: arguments for the kernel, in addition to those of vng.
    :param terminal: a terminal of this host to use as the guest's ``/dev/hvc0``.
    """
    # vng copies these words unquoted to a shell command line.
    quoted = shlex.quote
    shares = [f"{mounted(number)}={path}" for number, path in enumerate(writable)]
    return [
        *(
            vng,
            "--qemu",
            quoted(str(qemu)),
            "--run",
            quoted(str(kernel)),
            "--user",
            "root",
            "--disable-monitor",
        ),
        *(() if kvm else ("--disable-kvm",)),
        *("--verbose", "--cpus", str(cpus), "--memory", memory, f"--append={arguments}"),
        *(word for share in shares for word in ("--rwdir", quoted(share))),
        *("--exec", f"exec sh {quoted(str(script))}"),
        f"--qemu-opts={shlex.join([*_ports(ports), *_terminal(terminal)])}",
    ]


def _ports(ports: Mapping[str, Path]) -> list[str]:
    words = ["-device", "virtio-serial-pci,id=testbed"]
    for name, path in ports.items():
        words += ["-chardev", f"socket,id=testbed-{name},path={path}"]
        words += ["-device", f"virtserialport,bus=testbed.0,chardev=testbed-{name},name={name}"]
    return words


def _terminal(path: str | None) -> list[str]:
    if path is None:
        return []
    return [
        *("-chardev", f"serial,id=testbed-terminal,path={path}"),
        *("-device", "virtconsole,bus=testbed.0,chardev=testbed-terminal"),
    ]
