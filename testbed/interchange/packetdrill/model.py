"""The contents of a packetdrill script, as values."""

from __future__ import annotations

import enum
from collections.abc import Mapping

import msgspec

from testbed.errors import InputError, TestbedError


class UnsupportedError(TestbedError):
    """A script needs what the stack or the runner does not have: it neither passes nor fails."""

    def __init__(self, reason: str, line: int = 0) -> None:
        super().__init__(reason)
        self.line = line


class Kind(enum.Enum):
    """How the time of an event is given."""

    ABSOLUTE = "absolute"
    RELATIVE = "relative"
    ANY = "any"


class When(msgspec.Struct, frozen=True):
    """The time of an event, in nanoseconds.

    :param at: since the start of the script, or after the event before.
    :param until: the latest, of a range ``A~B``.
    :param ends: when a call that waits returns (``A...B``).
    """

    kind: Kind
    at: int = 0
    until: int | None = None
    ends: int | None = None


# Values of system calls.


class Anything(msgspec.Struct, frozen=True):
    """``...``: the runner chooses it, or does not look at it."""


class Word(msgspec.Struct, frozen=True):
    """Constants, joined by ``|``."""

    names: tuple[str, ...]


class Fields(msgspec.Struct, frozen=True):
    """A structure: ``{fd=3, events=POLLIN}``; without names they are ``0``, ``1`` and so on."""

    items: tuple[tuple[str, Value], ...]

    def get(self, name: str) -> Value | None:
        """Return a field's value, ``None`` if it is not said."""
        return dict(self.items).get(name)


class Items(msgspec.Struct, frozen=True):
    """An array: ``[1]``."""

    items: tuple[Value, ...]


class Made(msgspec.Struct, frozen=True):
    """A function of values: ``inet_addr("192.0.2.1")``."""

    name: str
    arguments: tuple[Value, ...]


Value = int | str | Anything | Word | Fields | Items | Made


# Events.


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A system call, and what it returns.

    :param result: its value; of a call that fails -1, and ``errno`` is the name of the error.
    """

    line: int
    name: str
    arguments: tuple[Value, ...]
    result: Value
    errno: str = ""
    note: str = ""


class Shell(msgspec.Struct, frozen=True, kw_only=True):
    """Commands for a shell."""

    line: int
    text: str


class Assertion(msgspec.Struct, frozen=True, kw_only=True):
    """Python about TCP_INFO."""

    line: int
    text: str


class Range(msgspec.Struct, frozen=True):
    """``1:1001(1000)``: sequence numbers and the octets of payload."""

    start: int
    end: int
    length: int


class Ends(msgspec.Struct, frozen=True):
    """``addr[a] > addr[b]``: names of addresses, empty where none is said."""

    source: str = ""
    destination: str = ""


class ScriptOption(msgspec.Struct, frozen=True):
    """A TCP option: its name, and what is said of it.

    :param values: by name; a name that is there without a value has ``True``.
    """

    name: str
    values: Mapping[str, object] = {}

    def number(self, name: str) -> int | None:
        """Return a number, ``None`` where none is said."""
        value = self.values.get(name)
        return value if type(value) is int else None

    @property
    def keys(self) -> tuple[tuple[str, int | None], ...]:
        """Names of keys of MPTCP, and the values that are said."""
        keys = self.values.get("keys", ())
        return keys if isinstance(keys, tuple) else ()

    @property
    def address(self) -> tuple[str, str | None]:
        """The name of an address, and the address if it is said."""
        match self.values.get("addr"):
            case (str(name), str(host)):
                return name, host
            case (str(name), _):
                return name, None
            case _:
                return "", None

    @property
    def blocks(self) -> tuple[tuple[int, int], ...]:
        """Blocks of SACK."""
        blocks = self.values.get("blocks", ())
        return blocks if isinstance(blocks, tuple) else ()

    @property
    def cookie(self) -> bytes:
        """A cookie of TCP Fast Open; empty: one is asked for."""
        cookie = self.values.get("cookie", b"")
        return cookie if isinstance(cookie, bytes) else b""

    @property
    def granted(self) -> bool:
        """Whether the cookie is the one that the host under test gives."""
        return isinstance(self.values.get("cookie"), str)


class Packet(msgspec.Struct, frozen=True, kw_only=True):
    """A segment: that comes in (``<``), or is expected to leave (``>``).

    :param flags: letters, as packetdrill writes them; ``.`` is ACK.
    :param options: ``None``: ``<...>``, any.
    :param ip: ``ttl``, ``tos`` and ``ecn``, those that are said.
    """

    line: int
    inbound: bool
    flags: str
    range: Range
    ack: int | None = None
    window: int | None = None
    urgent: int | None = None
    options: tuple[ScriptOption, ...] | None = ()
    ends: Ends = Ends()
    ip: Mapping[str, object] = {}


class Icmp(msgspec.Struct, frozen=True, kw_only=True):
    """An ICMP error about a segment of ours.

    :param code: as packetdrill names it; ``range`` are numbers of the segment it is about.
    """

    line: int
    version: int
    type: str
    code: str
    mtu: int = 0
    range: Range | None = None


Event = Call | Shell | Assertion | Packet | Icmp


class Timed(msgspec.Struct, frozen=True):
    """An event and its time."""

    when: When
    event: Event


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """A whole file.

    :param options: ``--name=value`` of its first lines.
    :param setup: commands before the first event.
    """

    file: str
    options: Mapping[str, str]
    setup: tuple[Shell, ...]
    events: tuple[Timed, ...]

    def number(self, option: str, otherwise: int) -> int:
        """Return an option that is a number.

        :raises InputError: it is none.
        """
        text = self.options.get(option, str(otherwise))
        if not text.isdecimal():
            raise InputError(f"--{option}={text} is no number", file=self.file)
        return int(text)
