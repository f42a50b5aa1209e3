"""Messages of WireGuard (linux/wireguard.h): the keys and peers of an interface."""

from __future__ import annotations

import base64
import ipaddress
import socket
import struct
from collections.abc import Iterable
from typing import Final

from testbed.netlink import codec, generic
from testbed.netlink.codec import NESTED, Attributes, Request
from testbed.netlink.transport import Netlink
from testbed.topology.devices import Peered

_NAME, _VERSION = "wireguard", 1
_GET_DEVICE, _SET_DEVICE = 0, 1
# WGDEVICE_A_*
_IFINDEX, _PRIVATE_KEY, _FLAGS, _LISTEN_PORT, _FWMARK, _PEERS = 1, 3, 5, 6, 7, 8
_REPLACE_PEERS: Final = 1
# WGPEER_A_*
_PUBLIC_KEY, _PEER_FLAGS, _ENDPOINT, _ALLOWED = 1, 3, 4, 9
_REPLACE_ALLOWED: Final = 2
# WGALLOWEDIP_A_*
_FAMILY, _ADDRESS, _MASK = 1, 2, 3
_EVERYTHING: Final = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))
_FAMILIES: Final = {4: socket.AF_INET, 6: socket.AF_INET6}
_SOCKADDR: Final = {
    socket.AF_INET: struct.Struct("=H2s4s8x"),  # family, port, address
    socket.AF_INET6: struct.Struct("=H2s4x16s4x"),
}


def number(netlink: Netlink) -> int | None:
    """Return the number of WireGuard's family, or None if this kernel has no WireGuard."""
    return generic.number(netlink, _NAME)


def set_device(family: int, index: int, peered: Peered) -> Request:
    """Return the request that sets the key and the only peer of an interface."""
    allowed = b"".join(
        codec.nested(
            NESTED,
            codec.u16(_FAMILY, _FAMILIES[each.version]),
            codec.attribute(_ADDRESS, each.network_address.packed),
            codec.u8(_MASK, each.prefixlen),
        )
        for each in _EVERYTHING
    )
    peer = codec.nested(
        NESTED,
        codec.attribute(_PUBLIC_KEY, base64.b64decode(peered.peer_key)),
        codec.u32(_PEER_FLAGS, _REPLACE_ALLOWED),
        codec.attribute(_ENDPOINT, _sockaddr(peered.endpoint, peered.port)),
        codec.nested(_ALLOWED | NESTED, allowed),
    )
    return generic.request(
        family,
        _VERSION,
        _SET_DEVICE,
        codec.u32(_IFINDEX, index),
        codec.u32(_FLAGS, _REPLACE_PEERS),
        codec.attribute(_PRIVATE_KEY, base64.b64decode(peered.private_key)),
        codec.u16(_LISTEN_PORT, peered.port),
        codec.u32(_FWMARK, peered.mark),
        codec.nested(_PEERS | NESTED, peer),
    )


def read_device(netlink: Netlink, family: int, index: int) -> Peered | None:
    """Return key and peer of an interface.

    Return None without a key, or without a single peer for all addresses.
    """
    asked = generic.request(family, _VERSION, _GET_DEVICE, codec.u32(_IFINDEX, index))
    return read(netlink.dump(asked))


def read(bodies: Iterable[bytes]) -> Peered | None:
    """Decode the messages about one interface, as :func:`read_device`."""
    found = [codec.attributes(body, generic.ATTRIBUTES) for body in bodies]
    listed = (octets for each in found for octets in codec.values(each.get(_PEERS, b"")))
    peers = [codec.attributes(octets, 0) for octets in listed]
    if len(peers) != 1 or _PRIVATE_KEY not in found[0] or not _takes_everything(peers[0]):
        return None
    (peer,) = peers
    endpoint, port = _read_sockaddr(peer.get(_ENDPOINT, b""))
    device = found[0]
    return Peered(
        private_key=base64.b64encode(device[_PRIVATE_KEY]).decode(),
        peer_key=base64.b64encode(peer[_PUBLIC_KEY]).decode(),
        endpoint=endpoint,
        port=port if port == device.number(_LISTEN_PORT) else 0,
        mark=device.number(_FWMARK),
    )


def _takes_everything(peer: Attributes) -> bool:
    listed = codec.values(peer.get(_ALLOWED, b""))
    seen = [codec.attributes(each, 0) for each in listed]
    return {(each.number(_FAMILY), each.number(_MASK)) for each in seen} == {
        (family, 0) for family in _FAMILIES.values()
    }


def _sockaddr(host: str, port: int) -> bytes:
    family = codec.family(host)
    packed = socket.inet_pton(family, host)
    return _SOCKADDR[family].pack(family, port.to_bytes(2, "big"), packed)


def _read_sockaddr(octets: bytes) -> tuple[str, int]:
    """Return address and port of a ``struct sockaddr_in`` or ``_in6``, else ``("", 0)``."""
    for family, form in _SOCKADDR.items():
        if len(octets) == form.size:
            _, port, packed = form.unpack(octets)
            return socket.inet_ntop(family, packed), int.from_bytes(port, "big")
    return "", 0
