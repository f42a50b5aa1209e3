"""Machines by name: ``KIND`` or ``KIND:KERNEL``."""

from __future__ import annotations

import importlib
from typing import Final, Protocol, cast

from testbed.errors import InputError
from testbed.machine.model import HOST, Machine

# The modules of the kinds.
_KINDS: Final = {
    HOST: "testbed.machine.host",
    "qemu": "testbed.machine.qemu.kind",
    "uml": "testbed.machine.uml.kind",
    "vng": "testbed.machine.vng.kind",
}
_EXAMPLES: Final = (
    "host, qemu:running, qemu:6.1, qemu:PATH (of a bzImage or a build tree), uml:7.3, uml:PATH or "
    "vng:PATH"
)


class Kind(Protocol):
    """The interface of the module of a kind."""

    def machine(self, kernel: str) -> Machine:
        """Return the machine with a kernel, which may not work here.

        :param kernel: the part of the name after the colon; empty if there is none.
        :raises InputError: the name of the kernel is invalid.
        """

    def machines(self) -> list[Machine]:
        """Return the machines whose kernels exist or can be fetched or built."""


def kind(name: str) -> Kind:
    """Return a kind of machine by its name: ``qemu``.

    :raises InputError: the kind is unknown.
    """
    if name not in _KINDS:
        raise InputError(f"{name!r} is not a machine", hint=f"machines: {_EXAMPLES}")
    return cast("Kind", importlib.import_module(_KINDS[name]))


def machine(name: str) -> Machine:
    """Return a machine by its name: ``qemu:6.1``.

    :raises InputError: the kind is unknown, or the name of the kernel is invalid.
    """
    before, _, kernel = name.partition(":")
    return kind(before).machine(kernel)


def machines() -> list[Machine]:
    """Return the machines that may be used here, this host first."""
    return [found for name in _KINDS for found in kind(name).machines()]
