"""TUN interfaces as a device, with addresses that the kernel does not have.

The kernel is the router of the stack. It receives the packets that we write, and we read the
packets that it routes to the interface (Documentation/networking/tuntap.rst). This needs no
privilege except the right to use the interface, which its owner has.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import random
import socket
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NoReturn

import msgspec

from testbed.driver.device import Packet
from testbed.errors import InputError, PlatformError
from testbed.host.devices import echo, frames
from testbed.host.devices.base import FrameDevice, OwnAddresses
from testbed.host.devices.buffers import Buffers
from testbed.host.devices.far_ends import FarEnds
from testbed.host.devices.ports import OwnPorts
from testbed.host.devices.received import Received
from testbed.host.devices.rtnetlink import Interface
from testbed.packet.segment import Segment

_CONTROL: Final = "/dev/net/tun"
_REQUEST: Final = struct.Struct("=16sH22x")  # struct ifreq: name, flags
_KIND: Final = "/sys/class/net/{}/tun_flags"
# linux/if_tun.h
_TUNSETIFF, _TUNSETOFFLOAD = 0x400454CA, 0x400454D0
_IFF_TUN, _IFF_NO_PI, _IFF_VNET_HDR = 0x0001, 0x1000, 0x4000
_IFF_MULTI_QUEUE: Final = 0x0100
_CSUM, _TSO4, _TSO6, _TSO_ECN = 0x01, 0x02, 0x04, 0x08
# Sets of offloads, the largest first.  Older kernels refuse a set with unknown flags.
_OFFLOADS: Final = (_CSUM | _TSO4 | _TSO6 | _TSO_ECN, _CSUM | _TSO4 | _TSO6, _CSUM)
_PLAIN: Final = bytes(frames.VNET_HEADER)  # the header of a packet without offloads
# Nothing has arrived, or the interface is down or gone.
_HARMLESS: Final = (errno.EAGAIN, errno.EINTR, errno.EIO, errno.EBADFD, errno.ENODEV)


class Tun:
    """The far end of one TUN interface, which only one process can have.

    :ivar name: the name of the interface when it was opened. ``index`` is its index.
    :raises InputError: the interface does not exist, or is no TUN.
    :raises PlatformError: this process may not use it, or another process does.
    """

    def __init__(self, name: str, buffers: Buffers) -> None:
        self._buffers = buffers
        self.name = name
        try:
            self.index = socket.if_nametoindex(name)
        except OSError:
            raise InputError(
                f"there is no interface {name!r} in this network namespace",
                hint=f"create it as root: ip tuntap add dev {name} mode tun user USER && "
                f"ip link set {name} up && ip address add ADDRESS peer OURS dev {name}",
            ) from None
        self._fd = _opened()
        flags = _IFF_TUN | _IFF_NO_PI | _IFF_VNET_HDR
        try:
            fcntl.ioctl(self._fd, _TUNSETIFF, _REQUEST.pack(os.fsencode(name), flags))
        except OSError as error:
            self.close()
            _refuse(name, error)
        any(self._takes(offloads) for offloads in _OFFLOADS)  # the first set that the kernel takes

    def _takes(self, offloads: int) -> bool:
        """Request offloads; return whether the interface has them now."""
        try:
            fcntl.ioctl(self._fd, _TUNSETOFFLOAD, offloads)
        except OSError:
            return False
        return True

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._fd

    def receive(self) -> Sequence[Received]:
        """Return a batch of waiting packets. The next batch of any interface overwrites them."""
        return list(self._waiting())

    def _waiting(self) -> Iterator[Received]:
        for slot in self._buffers.slots:
            try:
                length = os.readv(self._fd, (slot,))
            except OSError as error:
                if error.errno in _HARMLESS:
                    return
                raise
            yield frames.unpack(slot[:length], 0)

    def write(self, head: bytes, payload: bytes) -> None:
        """Send a packet; see :class:`testbed.host.devices.output.Sink`."""
        os.writev(self._fd, (head, payload))

    def close(self) -> None:
        """Release the interface."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class TunDevice(FrameDevice, OwnAddresses):
    """TUN interfaces. The stack has the kernel's peer addresses there.

    :param interfaces: their names.
    :param rng: chooses ports.
    :raises InputError: an interface is no TUN, or gives the stack no address.
    :raises PlatformError: this process may not use them.
    """

    def __init__(self, interfaces: Sequence[str], rng: random.Random) -> None:
        self.name = "+".join(interfaces)
        buffers = Buffers()
        with contextlib.ExitStack() as opened:
            tuns = [
                opened.enter_context(contextlib.closing(Tun(name, buffers))) for name in interfaces
            ]
            self._tuns = {tun.index: tun for tun in tuns}
            self._far_ends = FarEnds(list(self._tuns), self._addresses_changed)
            opened.callback(self._far_ends.close)
            if not self._far_ends.hosts:
                _refuse_without_address(interfaces)
            opened.pop_all()
        super().__init__(self._far_ends, OwnPorts(rng), tuns, self._sink)

    def send(self, segments: Sequence[Segment], now: int) -> None:
        """Send segments. Those to our own addresses return at once."""
        if any(self.is_local(one.destination.host) for one in segments):
            mine = [one for one in segments if self.is_local(one.destination.host)]
            self._returned += [msgspec.structs.replace(one, ext=None) for one in mine]
            segments = [one for one in segments if not self.is_local(one.destination.host)]
        super().send(segments, now)

    def _take_other(self, packet: bytes, packets: list[Packet]) -> None:
        reply = echo.answer(packet)
        if reply is None:
            super()._take_other(packet, packets)
        else:
            self._send_reply(reply)

    def _send_reply(self, reply: bytes) -> None:
        """Send a generated packet by the interface of its source."""
        six = reply[0] >> 4 == 6
        at, size = (8, 16) if six else (12, 4)
        family = socket.AF_INET6 if six else socket.AF_INET
        index = self._far_ends.interface_of(socket.inet_ntop(family, reply[at : at + size]))
        if index is not None:
            with contextlib.suppress(OSError):
                self._tuns[index].write(_PLAIN, reply)

    def _sink(self, interface: Interface) -> Tun:
        return self._tuns[interface.index]

    def _view_changed(self) -> None:
        super()._view_changed()
        for index in self._tuns.keys() - self._far_ends.interfaces:
            tun = self._tuns.pop(index)
            self.lost.append(tun.name)
            self._lose(tun, index)


def _opened() -> int:
    try:
        return os.open(_CONTROL, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise PlatformError(
            "this machine has no TUN interfaces",
            why=f"{_CONTROL} is not there",
            instead="load the kernel module tun (modprobe tun), or use the device packet",
        ) from error
    except OSError as error:
        raise PlatformError(
            "this process may not use TUN interfaces",
            why=f"{_CONTROL}: {error.strerror}; its mode allows only root",
            instead="run it as root, let root allow it (chmod 0666 /dev/net/tun, the mode that "
            "udev gives it), or use the device packet",
        ) from error


def _refuse(name: str, error: OSError) -> NoReturn:
    if error.errno == errno.EINVAL and _flags(name) & _IFF_MULTI_QUEUE:
        raise InputError(
            f"the TUN interface {name!r} has several queues, and the stack uses one",
            hint=f"create it without multi_queue: ip tuntap add dev {name} mode tun user USER",
        ) from None
    if error.errno == errno.EINVAL:
        raise InputError(
            f"{name!r} is not a TUN interface",
            hint=f"create one with ip tuntap add dev {name} mode tun",
        ) from None
    if error.errno == errno.EBUSY:
        raise PlatformError(
            f"the interface {name!r} is in use",
            why="only one process at a time can use a TUN interface",
            instead="end the other process, or use another interface",
        ) from error
    raise PlatformError(
        f"this process may not use the interface {name!r}",
        why=f"{error.strerror}: it belongs to another user",
        instead=f"create it as root for this user: ip tuntap add dev {name} mode tun user $USER",
    ) from error


def _flags(name: str) -> int:
    """Return the flags with which an interface was created; 0 if it is no TUN or TAP."""
    try:
        return int(Path(_KIND.format(name)).read_text(), 16)
    except (OSError, ValueError):
        return 0


def _refuse_without_address(interfaces: Sequence[str]) -> NoReturn:
    name = interfaces[0]
    raise InputError(
        f"{' and '.join(interfaces)} give the stack no address: no peer address is set",
        hint=f"set 10.9.0.2, for example: ip address add 10.9.0.1 peer 10.9.0.2 dev {name}",
    )
