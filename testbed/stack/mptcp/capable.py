"""Starting a connection: MP_CAPABLE (RFC 8684, section 3.1) and its fallback (section 3.7)."""

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
    """Tell whether an MP_CAPABLE's flags allow MPTCP.

    The H flag is the one algorithm we have.  With B set the option must be ignored; bits D to G
    mean nothing.
    """
    return bool(option.flags & HMAC_SHA256) and not option.flags & EXTENSIBILITY


def agree_on_checksums(keys: Keys, option: MpCapable) -> None:
    """Use checksums if either host requires them (the A flag)."""
    if option.flags & CHECKSUM_REQUIRED:
        keys.require_checksums()


def _flags(keys: Keys, *, deny_join: bool) -> int:
    """Return the flags of our next MP_CAPABLE: from the answer on, A is what was agreed on."""
    return (
        HMAC_SHA256
        | (CHECKSUM_REQUIRED if keys.checksum else 0)
        | (DENY_JOIN_INITIAL if deny_join else 0)
    )


class CapableInitiator:
    """The side that sends the SYN.

    :param keys: with our key; the peer's is filled in.
    :param deny_join: send the C flag.
    :param tries: SYNs with the option.  It is left out then: something may swallow them.
    """

    def __init__(self, keys: Keys, *, deny_join: bool, tries: int) -> None:
        self._keys = keys
        self._deny_join = deny_join
        self._tries = tries
        self._syns = 0
        self.join_denied = self.peer_backup = self.swallowed = False
        self.reason = self.counter = ""

    def options(self, flags: int, mapping: Mapping | None) -> Sequence[Option] | None:
        """Return MP_CAPABLE without keys, then with both until a Data ACK has come.

        Data but the first goes with DSS: MP_CAPABLE and a mapping do not fit together.
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
        """Take the peer's key from its SYN/ACK; a Data ACK after that confirms it all.

        A mapping alone does not: it may answer the data of our SYN.  A segment without any option
        of MPTCP before that is a fallback (section 3.7).
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
            self.reason = "the SYN/ACK's MP_CAPABLE asks for what we do not have"
        else:
            self.join_denied = bool(option.flags & DENY_JOIN_INITIAL)
            agree_on_checksums(self._keys, option)
            self._keys.learn(option.sender_key)
            return Outcome.ACCEPTED
        return Outcome.FALLBACK


class CapableResponder:
    """The side that gets the SYN, which had a usable MP_CAPABLE.

    :param deny_join: send the C flag.
    :param syn: the option of the SYN.
    """

    def __init__(self, keys: Keys, *, deny_join: bool, syn: MpCapable) -> None:
        self._keys = keys
        self._deny_join = deny_join
        agree_on_checksums(keys, syn)
        self.join_denied = bool(syn.flags & DENY_JOIN_INITIAL)
        self.peer_backup = self.swallowed = False
        self.reason = self.counter = ""

    def options(self, flags: int, mapping: Mapping | None) -> Sequence[Option] | None:
        """Return MP_CAPABLE with our key for the SYN/ACK.

        Before the third ACK, data may leave that answers the SYN's.
        """
        if not flags & SYN:
            return () if mapping is None else None
        said = _flags(self._keys, deny_join=self._deny_join)
        return (MpCapable(flags=said, sender_key=self._keys.local),)

    def received(self, segment: Segment) -> Outcome:
        """Take the peer's key from the third ACK, with or without data.

        Without the option this is plain TCP.  DSS instead of it means that the third ACK was lost:
        its sender believes in MPTCP, and sends it again with our next SYN/ACK.
        """
        if segment.flags & (SYN | RST) or not segment.flags & ACK:
            return Outcome.PENDING
        option: MpCapable | None = find(segment.options, MpCapable)
        if option is not None and option.sender_key is not None:
            if option.receiver_key != self._keys.local:
                self.reason = "the third ACK's MP_CAPABLE does not have our key"
            elif option.version != VERSION or not usable(option):
                self.reason = "the third ACK's MP_CAPABLE asks for what we do not have"
            else:
                self._keys.learn(option.sender_key)
                return Outcome.CONFIRMED
            return Outcome.FALLBACK
        if find(segment.options, Dss) is not None:
            return Outcome.IGNORED
        self.reason = "the third ACK has no MP_CAPABLE"
        return Outcome.FALLBACK
