"""The conversion of sequence numbers and timestamps: scripts count from the ISNs."""

from __future__ import annotations

from typing import Final

from testbed.packet.address import Address
from testbed.packet.sequence import BITS_32

_HALF: Final = 1 << 31


class Space:
    """The sequence numbers of one direction.

    :ivar script: the ISN in the script; SYNs have absolute numbers, all other numbers are relative
        to the ISN.
    :ivar live: the ISN on the wire, ``None`` before the first SYN.
    """

    def __init__(self) -> None:
        self.script = 0
        self.live: int | None = None

    def begin(self, script: int, live: int) -> None:
        """Record the ISNs of a SYN."""
        self.script, self.live = script, live

    def to_live(self, number: int, *, syn: bool) -> int:
        """Return the number on the wire. ``syn`` is whether it is that of a SYN."""
        base = (self.live or 0) - (self.script if syn else 0)
        return (base + number) & BITS_32

    def to_script(self, number: int, *, syn: bool) -> int:
        """Return the number in the notation of a script."""
        relative = (number - (self.live or 0)) & BITS_32
        if relative >= _HALF:
            relative -= 1 << 32
        return relative + self.script if syn else relative


class Clock:
    """The conversion of our timestamps. The script's first one corresponds to our first one."""

    def __init__(self) -> None:
        self._first: tuple[int, int] | None = None
        self._seen: dict[int, int] = {}

    def learn(self, script: int, live: int) -> None:
        """Record a sent timestamp and its value in the script."""
        self._first = self._first or (script, live)
        self._seen[script] = live

    def to_live(self, script: int) -> int:
        """Return the wire value of an echo in the script."""
        if script in self._seen:
            return self._seen[script]
        if self._first is None or not script:
            return script
        return (self._first[1] + script - self._first[0]) & BITS_32

    def to_script(self, live: int) -> int:
        """Return the script value of our timestamp."""
        if self._first is None:
            return live
        return (self._first[0] + live - self._first[1]) & BITS_32


class Conversation:
    """A TCP connection of the script: a pair of addresses and its numbers.

    :param local: our end; ``remote`` is the script's.
    :ivar nonces: our nonce and the script's nonce of a join.
    :ivar over: whether the script has reset the connection or closed its side.
    """

    def __init__(self, local: Address, remote: Address) -> None:
        self.local = local
        self.remote = remote
        self.ours = Space()
        self.theirs = Space()
        self.clock = Clock()
        self.nonces: tuple[int, int] = (0, 0)
        self.over = False

    def join(self, ours: int, theirs: int) -> None:
        """Record the random numbers of a join."""
        self.nonces = (ours, theirs)

    def end(self) -> None:
        """Record that the script has closed its side."""
        self.over = True
