"""The number spaces of a connection: a script counts from the ISNs, the wire does not."""

from __future__ import annotations

from typing import Final

from testbed.packet.address import Address
from testbed.packet.sequence import BITS_32

_HALF: Final = 1 << 31


class Space:
    """The sequence numbers of one direction.

    :ivar script: the ISN that the script says; only numbers of SYNs count from 0 as written.
    :ivar live: the ISN on the wire, ``None`` before there is one.
    """

    def __init__(self) -> None:
        self.script = 0
        self.live: int | None = None

    def begin(self, script: int, live: int) -> None:
        """Take the numbers of a SYN."""
        self.script, self.live = script, live

    def to_live(self, number: int, *, syn: bool) -> int:
        """Return the number on the wire; ``syn``: it is one of a SYN."""
        base = (self.live or 0) - (self.script if syn else 0)
        return (base + number) & BITS_32

    def to_script(self, number: int, *, syn: bool) -> int:
        """Return the number as a script would say it."""
        relative = (number - (self.live or 0)) & BITS_32
        if relative >= _HALF:
            relative -= 1 << 32
        return relative + self.script if syn else relative


class Clock:
    """Our side's timestamps: the script's first one stands for our first one."""

    def __init__(self) -> None:
        self._first: tuple[int, int] | None = None
        self._seen: dict[int, int] = {}

    def learn(self, script: int, live: int) -> None:
        """Take a timestamp that has left, and what the script says for it."""
        self._first = self._first or (script, live)
        self._seen[script] = live

    def to_live(self, script: int) -> int:
        """Return what a script's echo is on the wire."""
        if script in self._seen:
            return self._seen[script]
        if self._first is None or not script:
            return script
        return (self._first[1] + script - self._first[0]) & BITS_32

    def to_script(self, live: int) -> int:
        """Return what a timestamp of ours is in the script."""
        if self._first is None:
            return live
        return (self._first[0] + live - self._first[1]) & BITS_32


class Conversation:
    """A TCP connection of the script: a pair of addresses and its numbers.

    :param local: our end; ``remote`` is the script's.
    :ivar nonces: of a join: ours and the script's.
    :ivar over: the script has reset it or closed its side.
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
        """Take the random numbers of a join."""
        self.nonces = (ours, theirs)

    def end(self) -> None:
        """Note that the script has ended its side."""
        self.over = True
