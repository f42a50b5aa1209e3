"""The meaning of a node's sysctls for our stacks: the kernel's obey them by themselves.  Pure.

Only those that a topology sets count: the kernel's own defaults are not ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from testbed.errors import InputError
from testbed.workload.stacks.model import Scalar
from testbed.workload.stacks.options import names
from testbed.workload.stacks.registry import kind


def _largest(value: str) -> int:
    """Return the last of ``min default max``: what a buffer may grow to."""
    return int(value.rsplit(maxsplit=1)[-1])


def _on(value: str) -> bool:
    return value.strip() == "1"


def _not_off(value: str) -> bool:
    return value.strip() != "0"


def _off(value: str) -> bool:
    return value.strip() == "0"


def _default(value: str) -> int:
    """Return the second of ``min default max``, up to the last: what a buffer is to begin with."""
    return min(int(value.split()[-2:][0]), _largest(value))


# The options that a sysctl means, and what its value is there.  See ip-sysctl.rst and
# mptcp-sysctl.rst in the kernel's documentation.
_MEANING: Final[tuple[tuple[str, str, Callable[[str], Scalar]], ...]] = (
    ("net.ipv4.tcp_congestion_control", "congestion", str.strip),
    ("net.ipv4.tcp_rmem", "receive_buffer", _largest),
    ("net.ipv4.tcp_rmem", "receive_buffer_initial", _default),
    ("net.ipv4.tcp_wmem", "send_buffer", _largest),
    ("net.ipv4.tcp_sack", "sack", _on),
    ("net.ipv4.tcp_timestamps", "timestamps", _not_off),
    ("net.ipv4.tcp_window_scaling", "window_scaling", _on),
    ("net.ipv4.tcp_ecn", "ecn", _on),
    ("net.ipv4.tcp_mtu_probing", "mtu_probing", _not_off),
    ("net.mptcp.checksum_enabled", "checksum", _on),
    ("net.mptcp.allow_join_initial_addr_port", "deny_join_initial", _off),
)


def meant(stack: str, sysctls: Mapping[str, str]) -> dict[str, Scalar]:
    """Return the options that a node's sysctls mean to one of our stacks.

    :param stack: its name.
    :raises InputError: a value is none.
    """
    known = names(kind(stack))
    found: dict[str, Scalar] = {}
    for name, option, read in _MEANING:
        value = sysctls.get(name)
        if value is not None and option in known:
            try:
                found[option] = read(value)
            except (ValueError, IndexError):
                raise InputError(f"{value!r} is no value of {name}") from None
    return found
