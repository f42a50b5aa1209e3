"""The MP_CAPABLE handshake (RFC 8684, section 3.1) and its fallback (section 3.7)."""

from __future__ import annotations

from collections.abc import Sequence

from testbed.packet.mptcp import (
    CHECKSUM_REQUIRED,
    DENY_JOIN_INITIAL,
    EXTENSIBILITY,
    HMAC_SHA256,
    VERSION,
    Dss,
    MpCapable,
    MptcpOption,
)
from testbed.packet.options import Option, find
from testbed.packet.segment import ACK, RST, SYN, Segment
from testbed.stack.mptcp.handshake import Outcome
from testbed.stack.mptcp.keys import Keys
from testbed.stack.mptcp.mapping import Mapping


def usable(option: MpCapable) -> bool:
    """Return whether an MP_CAPABLE's flags allow MPTCP.

    The H flag must be set: it names the only algorithm of this stack. If B is set, the option must
    be ignored. Bits D to G have no meaning.
    """
    return bool(option.flags & HMAC_SHA256) and not option.flags & EXTENSIBILITY


def agree_on_checksums(keys: Keys, option: MpCapable) -> None:
    """Use checksums if either host requires them (the A flag)."""
    if option.flags & CHECKSUM_REQUIRED:
        keys.require_checksums()


def _flags(keys: Keys, *, deny_join: bool) -> int:
    """Return the flags of our next MP_CAPABLE. After the SYN, A is the agreed value."""
    return (
        HMAC_SHA256
        | (CHECKSUM_REQUIRED if keys.checksum else 0)
        | (DENY_JOIN_INITIAL if deny_join else 0)
    )


class CapableInitiator:
    """The side that sends the SYN.

    :param keys: with our key; the peer's is filled in.
    :param deny_join: send the C flag.
    :param tries: how many SYNs carry the option. Later SYNs leave it out, as the path may drop SYNs
        that have it.
    """

    def __init__(self, keys: Keys, *, deny_join: bool, tries: int) -> None:
        self._keys = keys
        self._deny_join = deny_join
        self._tries = tries
        self._syns = 0
        self.join_denied = self.peer_backup = self.swallowed = False
        self.peer_id: int | None = None
        self.reason = self.counter = ""

    def options(self, flags: int, mapping: Mapping | None) -> Sequence[Option] | None:
        """Return MP_CAPABLE without keys, then with both until a Data ACK has come.

        Only the first data goes with MP_CAPABLE. Later data goes with DSS: both options do not fit
        into one segment.
        """
        said = _flags(self._keys, deny_join=self._deny_join)
        if flags & SYN:
            self._syns += 1
            return (MpCapable(flags=said),) if self._syns <= self._tries else ()
        if mapping is not None and not mapping.in_capable:
            return None
        if self._keys.remote is None:
            return ()
        local, remote = self._keys.pair()
        option = MpCapable(
            flags=said,
            sender_key=local,
            receiver_key=remote,
            data_length=mapping.length if mapping else None,
            checksum=mapping.checksum if mapping else None,
        )
        return (option,)

    def received(self, segment: Segment) -> Outcome:
        """Take the peer's key from its SYN/ACK. A later Data ACK confirms the handshake.

        A mapping without a Data ACK does not confirm it: it may belong to the answer to our SYN's
        data. A segment without an MPTCP option before the confirmation is a fallback (section 3.7).
        """
        if segment.flags & SYN:
            return self._syn_ack(segment)
        if self._keys.remote is None or segment.flags & RST:
            return Outcome.PENDING
        dss = find(segment.options, Dss)
        if dss is not None and dss.data_ack is not None:
            return Outcome.CONFIRMED
        if find(segment.options, MptcpOption) is not None:
            return Outcome.PENDING  # a signal that left no room for DSS
        self.reason = "a segment without DSS came before the first Data ACK"
        return Outcome.FALLBACK

    def _syn_ack(self, segment: Segment) -> Outcome:
        if self._keys.remote is not None:
            return Outcome.PENDING  # a retransmission: our third ACK was lost
        option: MpCapable | None = find(segment.options, MpCapable)
        if not self._tries:
            self.reason = "the SYN had no MP_CAPABLE"
        elif option is None or option.sender_key is None or option.receiver_key is not None:
            self.reason = "the SYN/ACK has no MP_CAPABLE with a key"
            self.swallowed = self._syns == self._tries + 1
        elif option.version != VERSION or not usable(option):
            self.reason = "the SYN/ACK's MP_CAPABLE requires features that we lack"
        else:
            self.join_denied = bool(option.flags & DENY_JOIN_INITIAL)
            agree_on_checksums(self._keys, option)
            self._keys.learn(option.sender_key)
            return Outcome.ACCEPTED
        return Outcome.FALLBACK


class CapableResponder:
    """The side that receives a SYN with a usable MP_CAPABLE.

    :param deny_join: send the C flag.
    :param syn: the MP_CAPABLE of the SYN.
    """

    def __init__(self, keys: Keys, *, deny_join: bool, syn: MpCapable) -> None:
        self._keys = keys
        self._deny_join = deny_join
        agree_on_checksums(keys, syn)
        self.join_denied = bool(syn.flags & DENY_JOIN_INITIAL)
        self.peer_backup = self.swallowed = False
        self.peer_id: int | None = None
        self.reason = self.counter = ""

    def options(self, flags: int, mapping: Mapping | None) -> Sequence[Option] | None:
        """Return MP_CAPABLE with our key for the SYN/ACK.

        The answer to data of the SYN may leave before the third ACK arrives.
        """
        if not flags & SYN:
            return () if mapping is None else None
        said = _flags(self._keys, deny_join=self._deny_join)
        return (MpCapable(flags=said, sender_key=self._keys.local),)

    def received(self, segment: Segment) -> Outcome:
        """Take the peer's key from the third ACK, with or without data.

        Its A flag counts as that of the SYN does: the path may have hidden one of them from a host.
        A third ACK without the option means plain TCP. A DSS instead of it means that the third ACK
        was lost. Its sender uses MPTCP, and repeats the third ACK after our next SYN/ACK.
        """
        if segment.flags & (SYN | RST) or not segment.flags & ACK:
            return Outcome.PENDING
        option: MpCapable | None = find(segment.options, MpCapable)
        if option is not None and option.sender_key is not None:
            if option.receiver_key != self._keys.local:
                self.reason = "the third ACK's MP_CAPABLE does not have our key"
            elif option.version != VERSION or not usable(option):
                self.reason = "the third ACK's MP_CAPABLE requires features that we lack"
            else:
                agree_on_checksums(self._keys, option)
                self._keys.learn(option.sender_key)
                return Outcome.CONFIRMED
            return Outcome.FALLBACK
        if find(segment.options, Dss) is not None:
            return Outcome.IGNORED
        self.reason = "the third ACK has no MP_CAPABLE"
        return Outcome.FALLBACK
