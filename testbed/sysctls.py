"""Sysctls: their files, and checks of their values on this kernel.

The value of some sysctls is the name of a part of the kernel: a scheduler, a path manager, a
congestion control. The kernel lists the names that it accepts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from testbed.errors import InputError
from testbed.hints import nearest

_ROOT: Final = Path("/proc/sys")


class _Part(msgspec.Struct, frozen=True):
    """A sysctl whose value names a part of the kernel.

    :param names: the sysctl that lists the names that a namespace may use.
    :param loaded: the sysctl that lists all loaded names. The kernel loads others when they are
        written. None means that all existing names may be used, and the kernel loads none.
    """

    kind: str
    names: str
    loaded: str | None = None


# Documentation/networking/mptcp-sysctl.rst and ip-sysctl.rst of the kernel.
_PARTS: Final = {
    "net.mptcp.scheduler": _Part("MPTCP scheduler", "net.mptcp.available_schedulers"),
    "net.mptcp.path_manager": _Part("MPTCP path manager", "net.mptcp.available_path_managers"),
    "net.ipv4.tcp_congestion_control": _Part(
        "congestion control",
        "net.ipv4.tcp_allowed_congestion_control",
        "net.ipv4.tcp_available_congestion_control",
    ),
}


def path(key: str) -> Path:
    """Return the file of a sysctl. Its name has dots, or slashes as in sysctl(8).

    Examples: ``net.ipv4.ip_forward``, ``net/ipv4/conf/eth0.5/rp_filter``. With slashes a dot is
    part of a component.
    """
    return _ROOT / (key if "/" in key else key.replace(".", "/"))


def wrong(key: str, value: str) -> InputError | None:
    """Return the certain error in a sysctl of the network on this kernel."""
    return _absent(key) or wrong_name(key, value)


def wrong_name(key: str, value: str) -> InputError | None:
    """Return an error if this kernel certainly does not allow the named part in a namespace."""
    part = _PARTS.get(key)
    if part is None or not path(key).parent.is_dir():
        return None
    if not path(key).exists():
        return InputError(f"this kernel has no sysctl {key}", hint="a later kernel has it")
    names = _words(part.names)
    if not names or value in names:
        return None
    if part.loaded is None:
        return InputError(f"this kernel has no {part.kind} {value!r}", hint=taken(key))
    if value in _words(part.loaded):
        wrong = f"this kernel allows the {part.kind} {value!r} only in its first namespace"
        return InputError(wrong, hint=taken(key))
    return None  # the kernel may load it


def taken(key: str) -> str | None:
    """Return a hint: the names that a sysctl accepts in a namespace, if the kernel lists them."""
    names = _words(_PARTS[key].names) if key in _PARTS else []
    return f"available in nodes: {', '.join(names)}" if names else None


def _words(key: str) -> list[str]:
    try:
        return path(key).read_text().split()
    except OSError:  # an older kernel does not list them
        return []


def _absent(key: str) -> InputError | None:
    """Return an error if the sysctl does not exist.

    A sysctl of an interface exists only with the interface, so that of ``default`` is checked.
    """
    if not key.startswith("net.") or not path("net").is_dir():
        return None
    parts = key.split(".")
    if len(parts) > 4 and parts[2] in ("conf", "neigh"):
        parts[3] = "default"
    file = path("/".join(parts))
    if file.exists():
        return None
    known = [entry.name for entry in file.parent.iterdir()] if file.parent.is_dir() else []
    return InputError("this kernel has no such sysctl", hint=nearest(file.name, known))
