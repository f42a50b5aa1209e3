"""The data model of a packetdrill script."""

from __future__ import annotations

import enum
from collections.abc import Mapping

import msgspec

from testbed.errors import InputError, TestbedError


class UnsupportedError(TestbedError):
    """The stack or the runner lacks a feature: the script neither passes nor fails."""

    def __init__(self, reason: str, line: int = 0) -> None:
        super().__init__(reason)
        self.line = line


class Kind(enum.Enum):
    """The kinds of event times."""

    ABSOLUTE = "absolute"
    RELATIVE = "relative"
    ANY = "any"


class When(msgspec.Struct, frozen=True):
    """The time of an event, in nanoseconds.

    :param at: the time since the start of the script, or since the previous event.
    :param until: the latest time of a range ``A~B``.
    :param ends: the time at which a waiting call returns (``A...B``).
    """

    kind: Kind
    at: int = 0
    until: int | None = None
    ends: int | None = None


# Values of system calls.


class Anything(msgspec.Struct, frozen=True):
    """``...``: the runner chooses the value, or ignores it."""


class Word(msgspec.Struct, frozen=True):
    """Constants, joined by ``|``."""

    names: tuple[str, ...]


class Fields(msgspec.Struct, frozen=True):
    """A structure: ``{fd=3, events=POLLIN}``. Fields without names are ``0``, ``1`` and so on."""

    items: tuple[tuple[str, Value], ...]

    def get(self, name: str) -> Value | None:
        """Return the value of a field, or ``None`` if it is not given."""
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
    """A system call and its expected result.

    :param result: the returned value; -1 for a failed call, with the error's name in ``errno``.
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
    """A Python assertion on TCP_INFO."""

    line: int
    text: str


class Range(msgspec.Struct, frozen=True):
    """``1:1001(1000)``: sequence numbers and the octets of payload."""

    start: int
    end: int
    length: int


class Ends(msgspec.Struct, frozen=True):
    """``addr[a] > addr[b]``: names of addresses, empty if not given."""

    source: str = ""
    destination: str = ""


class ScriptOption(msgspec.Struct, frozen=True):
    """A TCP option: its name and its given values.

    :param values: the values by name; ``True`` for a name without a value.
    """

    name: str
    values: Mapping[str, object] = {}

    def number(self, name: str) -> int | None:
        """Return a number, or ``None`` if it is not given."""
        value = self.values.get(name)
        return value if type(value) is int else None

    @property
    def keys(self) -> tuple[tuple[str, int | None], ...]:
        """The names of MPTCP keys, with the given values."""
        keys = self.values.get("keys", ())
        return keys if isinstance(keys, tuple) else ()

    @property
    def address(self) -> tuple[str, str | None]:
        """The name of an address, with the address if it is given."""
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
        """A cookie of TCP Fast Open; empty for a cookie request."""
        cookie = self.values.get("cookie", b"")
        return cookie if isinstance(cookie, bytes) else b""

    @property
    def granted(self) -> bool:
        """Whether the cookie is the one that the host under test grants."""
        return isinstance(self.values.get("cookie"), str)


class Packet(msgspec.Struct, frozen=True, kw_only=True):
    """A segment: an inbound one (``<``), or an expected outbound one (``>``).

    :param flags: the letters of packetdrill; ``.`` is ACK.
    :param options: the options, or ``None`` for ``<...>``, any options.
    :param ip: the given ones of ``ttl``, ``tos`` and ``ecn``.
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
    """An ICMP error about a segment of the host under test.

    :param code: the name in packetdrill; ``range`` are the sequence numbers of the segment.
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
    """A complete script.

    :param options: the options ``--name=value`` of the first lines.
    :param setup: the shell commands before the first event.
    """

    file: str
    options: Mapping[str, str]
    setup: tuple[Shell, ...]
    events: tuple[Timed, ...]

    def number(self, option: str, otherwise: int) -> int:
        """Return a numeric option.

        :raises InputError: the option is no number.
        """
        text = self.options.get(option, str(otherwise))
        if not text.isdecimal():
            raise InputError(f"--{option}={text} is not a number", file=self.file)
        return int(text)
