"""SYN cookies: a full backlog keeps no state for a SYN (RFC 4987, section 3.6).

The sequence number of the SYN/ACK encodes the state, protected by a keyed hash. The rest of the
state is in the timestamp, which the peer echoes. A peer without timestamps gets no window scaling,
SACK or ECN.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Final

from testbed.packet.address import Flow
from testbed.packet.options import (
    MaximumSegmentSize,
    Option,
    SackPermitted,
    Timestamps,
    WindowScale,
    find,
)
from testbed.packet.segment import ACK, CWR, ECE, SYN, Segment
from testbed.packet.sequence import BITS_32
from testbed.stack.tcp.config import SECOND, TcpConfig

# A cookie: 5 bits of a counter of periods, 3 that choose from these, 24 of a keyed hash.
_SIZES: Final = (64, 216, 536, 1024, 1220, 1380, 1440, 1460)
_PERIOD_NS: Final = 64 * SECOND
_PERIODS: Final = 2  # periods for which a cookie is valid: as in Linux, up to two minutes
VALID_NS: Final = _PERIODS * _PERIOD_NS
# The lowest bits of the timestamp: 4 of the peer's window shift, SACK, ECN.
_STAMP_BITS: Final = 6
_UNSCALED: Final = 15
_SACK: Final = 1 << 4
_ECN: Final = 1 << 5


class SynCookies:
    """Creates and checks the cookies of one endpoint."""

    __slots__ = ("_config", "_secret")

    def __init__(self, config: TcpConfig, secret: bytes) -> None:
        self._config = config
        self._secret = secret[:32]

    def number(self, flow: Flow, syn: Segment, now: int) -> int | None:
        """Return the sequence number of a SYN/ACK; ``None`` if the MSS is too small."""
        option = find(syn.options, MaximumSegmentSize)
        default = 1220 if ":" in flow.local.host else 536
        mss = default if option is None else option.mss
        index = max((at for at, size in enumerate(_SIZES) if size <= mss), default=None)
        if index is None:
            return None
        return self._number(flow, syn.seq, now // _PERIOD_NS, index)

    @staticmethod
    def options(syn: Segment, clock: int, mss: int, config: TcpConfig) -> tuple[Option, ...]:
        """Return TCP's own options of the SYN/ACK.

        :param clock: the timestamp without a cookie. The cookie sets it back by at most 63.
        :param mss: the MSS to advertise.
        :param config: the configuration of the future connection.
        """
        found: list[Option] = [MaximumSegmentSize(mss)]
        timestamps = find(syn.options, Timestamps) if config.timestamps else None
        if timestamps is None:
            return tuple(found)
        stamp = _UNSCALED
        scale = find(syn.options, WindowScale) if config.window_scaling else None
        if scale is not None:
            stamp = min(scale.shift, 14)
        if config.sack and find(syn.options, SackPermitted) is not None:
            stamp |= _SACK
            found.append(SackPermitted())
        if config.grants_ecn and syn.flags & (ECE | CWR) == ECE | CWR:
            stamp |= _ECN
        value = clock & ~((1 << _STAMP_BITS) - 1) | stamp
        if value > clock:
            value -= 1 << _STAMP_BITS
        found.append(Timestamps(value & BITS_32, timestamps.value))
        if scale is not None:
            found.append(WindowScale(config.window_shift))
        return tuple(found)

    def restore(self, flow: Flow, ack: Segment, now: int) -> Segment | None:
        """Return the SYN of an ACK's cookie, or ``None`` if it has no recent cookie.

        The SYN has only the fields that the cookie keeps.
        """
        cookie = (ack.ack - 1) & BITS_32
        irs = (ack.seq - 1) & BITS_32
        index = cookie >> 24 & 7
        for period in range(now // _PERIOD_NS, now // _PERIOD_NS - _PERIODS, -1):
            if cookie == self._number(flow, irs, period, index):
                break
        else:
            return None
        options: list[Option] = [MaximumSegmentSize(_SIZES[index])]
        flags = SYN
        timestamps = find(ack.options, Timestamps) if self._config.timestamps else None
        if timestamps is not None:
            options.append(Timestamps(timestamps.value, 0))
            if timestamps.echo & _SACK:
                options.append(SackPermitted())
            if timestamps.echo & _UNSCALED != _UNSCALED:
                options.append(WindowScale(timestamps.echo & _UNSCALED))
            if timestamps.echo & _ECN:
                flags |= ECE | CWR
        return Segment(
            source=ack.source,
            destination=ack.destination,
            seq=irs,
            flags=flags,
            window=0xFFFF,
            options=tuple(options),
        )

    @staticmethod
    def answer(
        syn: Segment, number: int, options: tuple[Option, ...], config: TcpConfig
    ) -> Segment:
        """Return the SYN/ACK."""
        stamp = find(options, Timestamps)
        agrees = stamp is not None and stamp.value & _ECN
        return Segment(
            source=syn.destination,
            destination=syn.source,
            seq=number,
            ack=(syn.seq + 1) & BITS_32,
            flags=SYN | ACK | (ECE if agrees else 0),
            window=min(0xFFFF, config.first_window),
            options=options,
            traffic_class=config.traffic_class,
            hop_limit=config.hop_limit,
        )

    def _number(self, flow: Flow, irs: int, period: int, index: int) -> int:
        text = f"{flow.local} {flow.remote}".encode()
        parts = struct.pack("!IQB", irs, period & 0xFFFF_FFFF_FFFF_FFFF, index)
        digest = hashlib.blake2s(
            parts + text, digest_size=3, key=self._secret, person=b"cookie"
        ).digest()
        return (period & 31) << 27 | index << 24 | int.from_bytes(digest, "big")
