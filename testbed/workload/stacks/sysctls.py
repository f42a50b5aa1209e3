"""The meaning of a node's sysctls for our own stacks. Pure.

The kernel's stacks obey sysctls by themselves. Only sysctls that a topology sets count, because the
kernel's defaults are not those of our stacks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from testbed.errors import InputError
from testbed.workload.stacks.model import Scalar
from testbed.workload.stacks.options import names
from testbed.workload.stacks.registry import kind


def _largest(value: str) -> int:
    """Return the last of ``min default max``, the largest size of a buffer."""
    return int(value.rsplit(maxsplit=1)[-1])


def _on(value: str) -> bool:
    return value.strip() == "1"


def _not_off(value: str) -> bool:
    return value.strip() != "0"


def _off(value: str) -> bool:
    return value.strip() == "0"


def _default(value: str) -> int:
    """Return the second of ``min default max``, at most the last: the initial size of a buffer."""
    return min(int(value.split()[-2:][0]), _largest(value))


# The option of each sysctl, and the function that converts its value.  See ip-sysctl.rst and
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
    ("net.ipv4.tcp_ecn", "ecn_granted", _not_off),
    ("net.ipv4.tcp_mtu_probing", "mtu_probing", _not_off),
    ("net.ipv4.tcp_syn_linear_timeouts", "syn_linear_timeouts", int),
    ("net.mptcp.checksum_enabled", "checksum", _on),
    ("net.mptcp.allow_join_initial_addr_port", "deny_join_initial", _off),
)


def meant(stack: str, sysctls: Mapping[str, str]) -> dict[str, Scalar]:
    """Return the options that correspond to a node's sysctls for one of our stacks.

    :param stack: the name of the stack.
    :raises InputError: a sysctl has an invalid value.
    """
    known = names(kind(stack))
    found: dict[str, Scalar] = {}
    for name, option, read in _MEANING:
        value = sysctls.get(name)
        if value is not None and option in known:
            try:
                found[option] = read(value)
            except (ValueError, IndexError):
                raise InputError(f"{value!r} is not a valid value of {name}") from None
    return found
