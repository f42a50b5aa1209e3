"""The execution of a script, in virtual time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from testbed.errors import InputError
from testbed.interchange.packetdrill.assertions import first_wrong
from testbed.interchange.packetdrill.calls import attempt, differs
from testbed.interchange.packetdrill.comparison import differences
from testbed.interchange.packetdrill.compose import Context, composed
from testbed.interchange.packetdrill.conversations import Conversations
from testbed.interchange.packetdrill.fast_open import ask_for_cookie
from testbed.interchange.packetdrill.flows import Conversation
from testbed.interchange.packetdrill.frame import Frame, Returned, World
from testbed.interchange.packetdrill.host import Host, Sent
from testbed.interchange.packetdrill.icmp import icmp_error
from testbed.interchange.packetdrill.model import (
    Assertion,
    Call,
    Icmp,
    Kind,
    Packet,
    Script,
    Shell,
    Timed,
    UnsupportedError,
    When,
)
from testbed.interchange.packetdrill.names import Addresses, Cookie, Keys
from testbed.interchange.packetdrill.notation import of_packet, of_time, of_written
from testbed.interchange.packetdrill.outcome import Mismatch
from testbed.interchange.packetdrill.queries import holds
from testbed.interchange.packetdrill.settings import Settings
from testbed.interchange.packetdrill.translate import translated
from testbed.interchange.packetdrill.versions import Version
from testbed.packet.segment import PSH, SYN, Segment
from testbed.packet.sequence import BITS_32
from testbed.stack.tcp.connection import TcpConnection

_US: Final = 1_000
_TOLERANCE_US: Final = 4_000  # the default of packetdrill, in microseconds
_PATIENCE_NS: Final = 600 * 10**9  # the limit for a packet that may be sent at any time


class Waiting(msgspec.Struct, frozen=True):
    """A call that waits, and the time at which it shall return."""

    frame: Frame
    ends: int


class Executor:
    """One run of a script.

    :param tell: a function that receives a line for each event.
    """

    def __init__(self, script: Script, version: Version, tell: Callable[[str], None]) -> None:
        self._script = script
        self._tell = tell
        self._version = version
        self._host = Host(version.local)
        self._settings = Settings(version.config, version.local)
        if "mtu" in script.options:
            self._settings.change_tcp(mtu=script.number("mtu", 0))
        self._world = World(self._host, self._settings, version.local, version.remote)
        self._keys = Keys()
        self._cookie = Cookie()
        self._addresses = Addresses(version.remote)
        self._conversations = Conversations(version.local, self._addresses)
        self._tolerance = _US * script.number("tolerance_usecs", _TOLERANCE_US)
        self._base = 0  # the time to which the next event is relative
        self._waiting: Waiting | None = None

    def run(self) -> None:
        """Run the script.

        :raises Mismatch: the stack does not do what the script expects.
        :raises UnsupportedError: the script needs an unsupported feature.
        :raises InputError: the script is invalid.
        """
        for shell in self._script.setup:
            self._shell(shell)
        for timed in self._script.events:
            self._one(timed)
        if self._waiting is not None:
            self._finish(self._waiting)

    def _one(self, timed: Timed) -> None:
        event, when = timed.event, timed.when
        start = when.at if when.kind is Kind.ABSOLUTE else self._base + when.at
        if isinstance(event, Packet) and not event.inbound:
            self._expect(event, when, start)
            return
        self._base = start
        self._pass(start)
        match event:
            case Packet():
                self._send(event)
            case Icmp():
                self._host.receive_icmp(icmp_error(event, self._conversations.current))
            case Call():
                self._call(event, when, start)
            case Shell():
                self._shell(event)
            case Assertion():
                self._assert(event)
        self._look_after_waiting()

    # Time

    def _pass(self, until: int) -> None:
        """Advance the virtual time."""
        while self._host.advance(until):
            self._look_after_waiting()

    # Packets

    def _context(self, packet: Packet, flow: Conversation) -> Context:
        return Context(self._script.file, packet, flow, self._keys, self._addresses, self._cookie)

    def _send(self, packet: Packet) -> None:
        """Deliver a segment of the script to the host."""
        if self._cookie.value is None and any(one.granted for one in packet.options or ()):
            self._cookie.learn(ask_for_cookie(self._host, self._version, packet.line))
        flow = self._conversations.inbound(packet)
        segment = composed(self._context(packet, flow))
        self._say(of_packet(packet))
        self._host.receive(segment)

    def _expect(self, packet: Packet, when: When, start: int) -> None:
        """Wait for a segment of the host, and compare it with the expected packet."""
        last = start + _PATIENCE_NS if when.kind is Kind.ANY else self._latest(when, start)
        found = self._await(packet, last + self._tolerance)
        flow = self._conversations.outbound(found.segment)
        self._conversations.bind(packet, found.segment)
        got = translated(found.segment, self._context(packet, flow))
        self._say(of_packet(got), found.at)
        wrong = differences(packet, got, self._addresses)
        if not self._in_time(when, start, found.at):
            wrong.append("time")
        if wrong:
            self._mismatch(packet, when, start, got, found.at, wrong)
        exact = when.kind is not Kind.ANY and when.until is None
        self._base = start if exact else found.at

    def _latest(self, when: When, start: int) -> int:
        return start if when.until is None else start + when.until - when.at

    def _in_time(self, when: When, start: int, at: int) -> bool:
        if when.kind is Kind.ANY:
            return True
        return start - self._tolerance <= at <= self._latest(when, start) + self._tolerance

    def _await(self, packet: Packet, last: int) -> Sent:
        """Return the segment for an expected packet of the script.

        Consecutive segments are joined, as the kernel may segment late.
        """
        while (found := self._take(packet)) is None:
            if self._host.now >= last:
                expected = of_packet(packet)
                seen = f"nothing until {of_time(last)}"
                raise Mismatch(packet.line, "nothing was sent", expected, seen)
            if not self._host.advance(last):
                continue
            self._look_after_waiting()
        while (
            len(found.segment.payload) < packet.range.length
            and (more := self._take(packet, found.segment)) is not None
        ):
            joined = _joined(found.segment, more.segment, pushed="P" in packet.flags)
            found = Sent(found.at, joined)
        return found

    def _take(self, packet: Packet, after: Segment | None = None) -> Sent | None:
        """Take the next segment, or the next one between the addresses that the script names.

        In which order a host sends on several subflows at one moment is its own business.

        :param after: a segment that the taken one must follow.
        """
        waiting = self._host.sent
        while waiting and not self._conversations.concerns(packet, waiting[0].segment):
            waiting.popleft()
        for at, one in enumerate(waiting):
            if self._conversations.matches(packet, one.segment) and _follows(after, one.segment):
                del waiting[at]
                return one
        return waiting.popleft() if waiting and after is None else None

    def _mismatch(
        self, packet: Packet, when: When, start: int, got: Packet, at: int, wrong: list[str]
    ) -> None:
        expected, seen = of_packet(packet), of_packet(got)
        if "time" in wrong:
            ends = self._latest(when, start)
            between = of_time(start) + (f"~{of_time(ends)}" * (ends > start))
            expected, seen = f"{between} {expected}", f"{of_time(at)} {seen}"
        raise Mismatch(packet.line, f"another packet: {', '.join(wrong)}", expected, seen)

    # Calls

    def _call(self, call: Call, when: When, start: int) -> None:
        if self._waiting is not None:
            self._finish(self._waiting)
        if call.name == "listen":
            self._conversations.leave()
        frame = Frame(self._world, call, self._script.file)
        opened = self._host.opened
        returned = attempt(frame)
        if self._host.opened > opened:  # as in packetdrill, old connections are ignored
            self._conversations.leave()
        if returned is not None and when.ends is None:
            self._check(call, returned)
            return
        ends = start + (0 if when.ends is None else when.ends - when.at)
        self._waiting = Waiting(frame, ends)
        if returned is not None:
            self._returned(self._waiting, returned)
        elif when.ends is None:
            self._finish(self._waiting)

    def _look_after_waiting(self) -> None:
        """Retry a call that waits."""
        if self._waiting is not None:
            returned = attempt(self._waiting.frame)
            if returned is not None:
                self._returned(self._waiting, returned)

    def _returned(self, waiting: Waiting, returned: Returned) -> None:
        self._waiting = None
        if abs(self._host.now - waiting.ends) > self._tolerance:
            call = waiting.frame.call
            at, ends = of_time(self._host.now), of_time(waiting.ends)
            raise Mismatch(call.line, f"{call.name} returns at another time", ends, at)
        self._check(waiting.frame.call, returned)

    def _finish(self, waiting: Waiting) -> None:
        """Advance the time until a call that waits returns."""
        last = waiting.ends + self._tolerance
        while self._waiting is not None:
            if self._host.now >= last:
                call = waiting.frame.call
                expected = f"{call.name} returns at {of_time(waiting.ends)}"
                raise Mismatch(call.line, f"{call.name} waits", expected, "it does not return")
            self._host.advance(last)
            self._look_after_waiting()

    def _check(self, call: Call, returned: Returned) -> None:
        seen = " ".join([str(returned.value), returned.errno]).strip()
        said = "".join(
            f", value {at + 1}: {of_written(value)}" for at, value in returned.said.items()
        )
        self._say(f"{call.name} = {seen}{said}")
        wanted = differs(call, returned)
        if wanted is not None:
            raise Mismatch(call.line, f"{call.name} returns something else", wanted, seen + said)

    # The rest

    def _shell(self, shell: Shell) -> None:
        before = self._settings.endpoints
        try:
            asked = self._settings.run(shell.text, shell.line)
        except (ValueError, IndexError) as error:
            raise InputError(
                f"an invalid command: {error}", file=self._script.file, line=shell.line
            ) from error
        if self._settings.endpoints != before:
            self._host.paths_are(self._settings.endpoints)
        for words in asked:
            if not holds(words, self._host.history, shell.line):
                raise Mismatch(shell.line, "a command fails", " ".join(words), "it does not hold")

    def _assert(self, assertion: Assertion) -> None:
        socket = self._world.last()
        connection = None if socket is None else socket.connection
        if connection is None:
            raise UnsupportedError("TCP_INFO without a connection", assertion.line)
        if not isinstance(connection, TcpConnection):
            raise UnsupportedError("TCP_INFO of MPTCP", assertion.line)
        self._host.look(connection)
        wrong = first_wrong(assertion.text, connection.info(), assertion.line)
        if wrong is not None:
            expected, _, got = wrong.partition(", but ")
            raise Mismatch(assertion.line, "an assertion is wrong", expected, got)

    def _say(self, text: str, at: int | None = None) -> None:
        self._tell(f"{of_time(self._host.now if at is None else at)} {text}")


def _follows(first: Segment | None, second: Segment) -> bool:
    """Return whether the data of a segment directly follows that of another one."""
    if first is None:
        return True
    ends = [(one.source, one.destination) for one in (first, second)]
    begins = (first.seq + bool(first.flags & SYN) + len(first.payload)) & BITS_32
    return ends[0] == ends[1] and second.seq == begins


def _joined(first: Segment, second: Segment, *, pushed: bool) -> Segment:
    """Join two segments.

    :param pushed: whether the script expects PSH. Linux sets it on each packet that is segmented
        late, and which packets are is its own choice.
    """
    flags = first.flags | second.flags | PSH * pushed
    return msgspec.structs.replace(first, payload=first.payload + second.payload, flags=flags)
