"""A network namespace of a sandbox, for its holder."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from typing import Final

from testbed import sysctls
from testbed.errors import OperationError
from testbed.netlink.transport import Netlink
from testbed.sandbox import syscalls
from testbed.sandbox.holder.birth import NETNS_FOLDER
from testbed.sandbox.netlink.links import read_links

_SYSCTLS: Final = "/proc/sys/net/"


class Namespace:
    """A network namespace: its descriptor, its interfaces' indices and its netlink sockets."""

    def __init__(self, name: str, descriptor: int, indices: dict[str, int]) -> None:
        self.name = name
        self.descriptor = descriptor
        self.indices = indices
        self._sockets: dict[int, Netlink] = {}
        self._folders: dict[str, int] = {}  # descriptors of the folders of sysctls, by protocol

    @classmethod
    def current(cls, name: str) -> Namespace:
        """Return this thread's namespace; publish its name for ip-netns(8).

        If ip_tunnel, ip_gre or sit is loaded, a new namespace has more than its loopback interface.
        """
        descriptor = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        place = NETNS_FOLDER / name
        place.touch()
        syscalls.mount(f"/proc/self/fd/{descriptor}", str(place), flags=syscalls.MS_BIND)
        return cls(name, descriptor, {each: index for index, each in socket.if_nameindex()})

    def index(self, interface: str, operation: object) -> int:
        """Return the index of an interface that an operation names.

        :raises OperationError: no interface has the name.
        """
        try:
            return self.indices[interface]
        except KeyError:
            raise OperationError(
                str(operation),
                wanted=f"an interface {interface} in {self.name}",
                seen=", ".join(sorted(self.indices)),
            ) from None

    def refresh(self) -> None:
        """Read the interfaces again.

        Others may have changed them, for example with ``ip link`` in a shell.
        """
        self.indices = {link.name: link.index for link in read_links(self.socket(), counters=False)}

    def socket(self, family: int = socket.NETLINK_ROUTE) -> Netlink:
        """Return this namespace's netlink socket, which stays open until :meth:`release`."""
        if family not in self._sockets:
            with self.entered():
                self._sockets[family] = Netlink(family)
        return self._sockets[family]

    def release(self) -> None:
        """Close the sockets and the folders of sysctls."""
        for each in self._sockets.values():
            each.close()
        self._sockets.clear()
        for folder in self._folders.values():
            os.close(folder)
        self._folders.clear()

    def open_sysctl(self, key: str, flags: int) -> int:
        """Open a sysctl; this thread must be in the namespace.

        To find the folder of a protocol, the kernel examines those of all namespaces one after the
        other (proc_sys_compare). So the folder is looked up only once per namespace.

        :raises OSError: as open(2).
        """
        path = str(sysctls.path(key))
        protocol, _, name = path.removeprefix(_SYSCTLS).partition("/")
        if not name or not path.startswith(_SYSCTLS):
            return os.open(path, flags)
        if protocol not in self._folders:
            self._folders[protocol] = os.open(_SYSCTLS + protocol, os.O_PATH | os.O_DIRECTORY)
        return os.open(name, flags, dir_fd=self._folders[protocol])

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Keep this thread and the processes that it starts in the namespace for the context."""
        back = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        syscalls.setns(self.descriptor, syscalls.CLONE_NEWNET)
        try:
            yield
        finally:
            syscalls.setns(back, syscalls.CLONE_NEWNET)
            os.close(back)
