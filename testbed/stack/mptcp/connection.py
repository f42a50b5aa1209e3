"""A connection: one byte stream each way over all its subflows (RFC 8684)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

from testbed.packet.address import Address, Flow
from testbed.packet.mptcp import ResetReason
from testbed.stack.connection import ConnectionFailure, ErrorKind, Event
from testbed.stack.mptcp import plain
from testbed.stack.mptcp.config import MptcpConfig
from testbed.stack.mptcp.datafin import DataFin
from testbed.stack.mptcp.ending import Ending
from testbed.stack.mptcp.events import Events
from testbed.stack.mptcp.fail import Fail
from testbed.stack.mptcp.handshake import Handshake
from testbed.stack.mptcp.info import describe
from testbed.stack.mptcp.keys import Keys
from testbed.stack.mptcp.lifecycle import Lifecycle
from testbed.stack.mptcp.local_network import LocalNetwork
from testbed.stack.mptcp.path_manager.base import OpenSubflow, PathManager, SubflowPath
from testbed.stack.mptcp.paths import ConnectionPaths
from testbed.stack.mptcp.patience import CloseTimeout, Patience
from testbed.stack.mptcp.receiver import Receiver
from testbed.stack.mptcp.scheduler import SCHEDULERS
from testbed.stack.mptcp.sender import Sender
from testbed.stack.mptcp.state import DataState, Step
from testbed.stack.mptcp.streams import ReceiveStream, SendStream
from testbed.stack.mptcp.subflow import Subflow
from testbed.stack.mptcp.subflows import Subflows
from testbed.stack.mptcp.window import SharedWindow
from testbed.stack.options import NO_OPTIONS, SocketOptions
from testbed.stack.tcp.congestion.control import Group
from testbed.stack.tcp.connection import room_below
from testbed.stack.tcp.right_sizing import WindowMemory

# The counters of how the first subflow was opened: by this side, as plain TCP.
_MET: Final = {
    (True, False): "MPCapableSYNACKRX",
    (True, True): "MPCapableFallbackSYNACK",
    (False, False): "MPCapableACKRX",
    (False, True): "MPCapableFallbackACK",
}


class Host(Protocol):
    """The services of the endpoint that a connection needs."""

    @property
    def memory(self) -> WindowMemory:
        """What windows grow by."""

    def touch(self, connection: MptcpConnection) -> None:
        """Ask for a step."""

    def trace(self, name: str, now: int, connection: MptcpConnection, **fields: Any) -> None:
        """Tell of an event."""

    def count(self, name: str) -> None:
        """Count an event; its name is one of MPTcpExt."""

    def join(self, connection: MptcpConnection, command: OpenSubflow, now: int) -> None:
        """Send MP_JOIN; nothing happens where that cannot be done."""

    def opened(self, connection: MptcpConnection, subflow: Subflow, now: int) -> None:
        """Learn from how the first subflow was opened."""

    def release(self, local: Address) -> None:
        """Give back the port of a subflow that joined and has ended."""


class MptcpConnection:
    """See :class:`testbed.stack.connection.Connection`.

    Nothing happens in the methods the application calls: they record, and :meth:`step` acts.

    :param flow: the two ends of the first subflow.
    :param manager: decides on its paths.
    :param initiator: this side opened the connection.
    :param options: of the socket; ``config`` goes by them already.
    """

    __slots__ = ("_close_timeout", "_confirmed", "_detached", "_ending", "_events", "_fin", "_host",
                 "_last_words", "_life", "_met", "_mp_fail", "_options", "_patience", "_receiver",
                 "_stillborn", "_subflows", "_window", "config", "controls",
                 "fallback", "flow", "incoming", "initiator", "keys", "outgoing", "paths",
                 "sender")  # fmt: skip

    def __init__(
        self,
        host: Host,
        config: MptcpConfig,
        keys: Keys,
        flow: Flow,
        manager: PathManager,
        network: LocalNetwork,
        options: SocketOptions = NO_OPTIONS,
        *,
        initiator: bool,
    ) -> None:
        self.keys = keys
        self._options = options
        self.flow = flow
        self.config = config
        self.initiator = initiator
        self.outgoing = SendStream(config.send_buffer)
        self.incoming = ReceiveStream(config.first_window)
        self.controls = Group()  # the subflows' congestion controls
        self._life = Lifecycle()
        self.fallback = False  # it goes on as plain TCP (section 3.7)
        self._subflows = Subflows()
        count = self.count  # one object for all parts
        there = self._subflows.there
        self._met = False  # the handshake of its first subflow is done
        self._confirmed = False  # joins are possible
        self._stillborn = False  # its first subflow cannot be opened
        self.sender = Sender(
            self.outgoing,
            there,
            SCHEDULERS[config.scheduler](),
            opportunistic=config.opportunistic_retransmission,
            penalising=config.penalisation,
            corked=config.tcp.cork,
        )
        initial = SubflowPath(
            local_host=flow.local.host,
            local_port=flow.local.port,
            local_id=0,
            remote=flow.remote,
            remote_id=0,
        )
        self.paths = ConnectionPaths(
            self, keys, there, config, manager, network, initial, initiator=initiator
        )
        self._patience = Patience(config.tcp, self.outgoing, there)
        self._fin = DataFin(self.outgoing, there)
        self._mp_fail = Fail(keys, self.outgoing, self.incoming, there, count)
        self._ending = Ending(keys, self._subflows, count)
        self._receiver = Receiver(self.incoming, keys, config.receive_buffer, count)
        self._host = host
        self._window = SharedWindow(config, self.incoming, self._subflows, host.memory)
        self._events = Events(self.outgoing, self.incoming, config)
        self._detached = False  # the application has gone
        self._close_timeout = CloseTimeout(config.close_timeout_ns)
        self._last_words: ConnectionFailure | None = None  # of the last subflow

    # What the application and its driver call.

    @property
    def subflows(self) -> Sequence[Subflow]:
        """The subflows there are, those being opened too."""
        return self._subflows.there

    def aborts(self, subflow: Subflow) -> bool:
        """Tell whether the RST of a subflow carries MP_FASTCLOSE."""
        return self._ending.aborts(subflow)

    @property
    def fin_due(self) -> bool:
        """Whether DATA_FIN goes on each ACK without data."""
        return self._fin.due and not self.fallback

    @property
    def closed(self) -> bool:
        """Whether nothing more happens at the data level."""
        return self._life.over

    @property
    def state(self) -> DataState:
        """Its state."""
        return self._life.state

    @property
    def failure(self) -> ConnectionFailure | None:
        """Why it ended too early, if it did."""
        return self._life.failure

    def send(self, data: bytes | memoryview, *, eor: bool = False) -> int:
        """Take octets to send and return how many there was room for.

        :param data: as ``eor``, see :meth:`testbed.stack.connection.Connection.send`.
        :raises BrokenPipeError: the sending side is closed.
        """
        if self.outgoing.closed or self.closed:
            raise BrokenPipeError("the sending side is closed")
        config = self.config.tcp
        offered = data[: self._room] if config.notsent_lowat else data
        eor = (eor or config.eor) and len(offered) == len(data)
        taken = self.outgoing.write(offered, eor=eor)
        self._events.wrote(taken, len(data))
        if taken:
            self.touch()
        return taken

    def read(self, limit: int) -> bytes:
        """Return at most ``limit`` octets that have arrived."""
        data = self.incoming.read(limit)
        self._events.read(len(data))
        if self._window.worth_telling:
            self.touch()
        return data

    @property
    def at_eof(self) -> bool:
        """Whether the peer's DATA_FIN has come and all before it was read."""
        return self.incoming.finished and not self.incoming.readable

    @property
    def unsent(self) -> int:
        """Octets without Data ACK."""
        return self.outgoing.end - self.outgoing.una

    @property
    def delivered(self) -> bool:
        """Whether there is a Data ACK for everything, DATA_FIN included."""
        return self.outgoing.fin_acked

    def shutdown(self) -> None:
        """Send DATA_FIN after all data (section 3.3.3)."""
        if not self.outgoing.closed and not self.closed:
            self.outgoing.close()
            self.touch()

    def set_options(self, options: SocketOptions) -> None:
        """Change options of this connection and of its subflows, also of those to come.

        :raises ValueError: one cannot have its value, is none of MPTCP or cannot be changed any
            more.
        """
        options.require_later()
        self.config = self.config.with_options(options)
        self._options = self._options.changed_by(options)
        self.outgoing.resize(self.config.send_buffer)
        if options.receive_buffer is not None:
            self.incoming.grow(options.receive_buffer)
        self._patience.go_by(self.config.tcp)
        self._events.go_by(self.config)
        self._window.go_by(self.config)
        self.sender.cork(corked=self.config.tcp.cork)
        for subflow in self._subflows.there:
            subflow.tcp.set_options(options.of_subflows())
        self.touch()

    @property
    def subflow_options(self) -> SocketOptions:
        """The configuration of the TCP of each subflow."""
        return NO_OPTIONS if self._options is NO_OPTIONS else self._options.of_subflows()

    def close(self) -> None:
        """Close both sides; data that is or comes unread is answered by MP_FASTCLOSE.

        Before the peer has answered it is over at once, as TCP is (RFC 9293, section 3.10.4).
        """
        if self.config.tcp.linger and not self.config.tcp.linger_ns:
            self.abort()
        self.shutdown()
        self._detached = True
        unanswered = self.initiator and not any(one.accepted for one in self._subflows.there)
        if unanswered and self.state is DataState.OPENING:
            self._transit(Step.ABORT)
        self.touch()

    def abort(self) -> None:
        """End it at once, by MP_FASTCLOSE (section 3.5): on RST on every subflow, or on an ACK."""
        if self.closed:
            return
        open_ = self.state is not DataState.OPENING
        step = self._ending.abort(by_ack=self.config.fastclose_by_ack and open_)
        self._fail(ConnectionFailure(ErrorKind.ABORTED), step)

    def info(self) -> dict[str, Any]:
        """Return what MPTCP_INFO tells, and both tokens."""
        return describe(
            self.keys,
            self.outgoing,
            self.incoming,
            self._subflows.there,
            paths=self.paths.counts(),
            fallback=self.fallback,
            retransmits=self.sender.tries,
            reinjected=self.sender.reinjected,
            ended=self._subflows.ended,
        )

    def next_event(self) -> Event | None:
        """Return one thing that happened, or ``None``."""
        return self._events.next()

    # What the endpoint calls.

    def touch(self) -> None:
        """Ask for a step."""
        self._host.touch(self)

    def trace(self, name: str, now: int, **fields: Any) -> None:
        """Tell of an event of this connection."""
        self._host.trace(name, now, self, **fields)

    def count(self, name: str) -> None:
        """Count an event; its name is one of MPTcpExt."""
        self._host.count(name)

    def totals(self) -> dict[str, int]:
        """Return what this connection adds to the MIB counters of its host."""
        established = self.state not in (DataState.OPENING, DataState.CLOSED)
        return {
            "MPTcpExtMPCurrEstab": int(established and not self.fallback),
            "MPTcpExtMPTCPRetrans": self.sender.retransmissions,
        }

    def join(self, command: OpenSubflow, now: int) -> None:
        """Open a further subflow."""
        self._host.join(self, command, now)

    def new_subflow(
        self, handshake: Handshake, path: SubflowPath, *, backup: bool, initiated: bool
    ) -> Subflow:
        """Make a subflow: the first one, or one that joins."""
        number = self._subflows.next_number()
        subflow = Subflow(
            self, handshake, number=number, path=path, backup=backup, initiated=initiated
        )
        if not subflow.outside:
            self._subflows.add(subflow)
        return subflow

    def enter(self, subflow: Subflow) -> None:
        """Take in a subflow that the peer has opened: the peer has answered.

        Until then TCP alone keeps it.  Any host can send a SYN, so it must not cost a step.
        """
        if subflow.number and self._options is not NO_OPTIONS:  # they may have changed meanwhile
            subflow.tcp.set_options(self.subflow_options.begun())
        self._subflows.add(subflow)
        self.touch()

    def open_early(self, subflow: Subflow) -> None:
        """Be open before the handshake is over: the SYN's data is the application's (appendix B).

        What it answers waits for the peer's key, unless ``early_answer`` is chosen.
        """
        subflow.enter()
        self.incoming.begin(subflow.early.take(subflow.tcp, answer=self.config.early_answer))
        self._let_flow(subflow)
        self.touch()

    def discard(self, subflow: Subflow) -> None:
        """Drop a subflow that cannot be opened; a connection without its first one ends."""
        if not subflow.outside:
            self._subflows.discard(subflow)
        if subflow.initiated or not subflow.number:
            self._stillborn |= not subflow.number
            self.touch()

    def step(self, now: int) -> None:
        """Act on all that was recorded since the last step."""
        self._take_records()
        if self._stillborn:
            self._fail(ConnectionFailure(ErrorKind.RESET))
        if not self.closed:
            self._advance(now)
        if self.closed:
            self._end_subflows(now)

    def crash(self, error: Exception) -> Sequence[Subflow]:
        """Be closed by a fault of ours: an exception has happened in it.

        Nothing of it is relied on any more, the table of states included.  Return the subflows that
        there were, which the endpoint ends.
        """
        self._ending.abort()
        self._window.release()
        if not self.closed:
            self._life.crash(error)
            self._events.closed(self.failure)
        return self._subflows.take_all()

    def next_timer(self) -> int | None:
        """Return when :meth:`handle_timer` has something to do."""
        if self.closed:
            return self._ending.retry_ns
        times = [self._close_timeout.due_ns, self.paths.next_timer(), self._mp_fail.retry_ns]
        times.append(self._patience.due_ns)
        if not (self.fallback or self._mp_fail.waiting):
            times += (self._fin.retry_ns, self.sender.retry_ns)
        return min([time for time in times if time is not None], default=None)

    def handle_timer(self, now: int) -> None:
        """Do what is due; a step follows."""
        if self.closed:
            self._ending.handle_timer(now)
            return
        self._mp_fail.handle_timer(now)
        if not (self.fallback or self._mp_fail.waiting):
            self.sender.handle_timer(now)
            self._fin.handle_timer(now)
            if self._unheard():
                self._time_out("no Data ACK comes, though subflows work")
        self.paths.handle_timer(now)
        if tired := self._patience.gives_up(now):
            self._time_out(tired)
        if self._close_timeout.expired(now):
            if self._subflows.there:
                self._time_out("the peer does not close its side")
            else:
                self._fail(self._last_words or _timed_out("no subflow is left"))

    @property
    def _notsent(self) -> int:
        """Octets that were written and have not left once; after a fallback TCP has them."""
        return self.outgoing.unsent + sum(
            one.tcp.queued for one in self._subflows.there if one.fallback
        )

    @property
    def _room(self) -> int:
        """Octets that may be written, as far as the limit of what was not sent is concerned."""
        segment = max((one.segment_size for one in self._subflows.there), default=0)
        return room_below(self.config.tcp.notsent_lowat, self._notsent, segment)

    # The parts of a step.

    def _take_records(self) -> None:
        """Take what concerns the whole connection: Data ACKs, windows, DATA_FIN, a fallback."""
        outgoing = self.outgoing
        for subflow in self._subflows.there:
            if not subflow.stirred:
                continue
            inbound = subflow.inbound
            outgoing.acked(subflow.data_acked())
            outgoing.open_window(inbound.edge)
            fin = inbound.take_data_fin()
            if fin is not None:
                self.incoming.finish(fin)
            self.fallback |= subflow.fallback

    def _advance(self, now: int) -> None:
        for subflow in self._subflows.there[:]:
            if subflow.take_stirred() or self.fallback:
                self._absorb(subflow, now)
                if self.failure is not None:
                    return
        self._close_in_order()
        self.paths.step(now)
        self.sender.give(now)
        self._finish(now)
        if self.state is not DataState.OPENING:
            self._window.step(now, waits=self.keys.remote is None and not self.fallback)
        left = self._detached and self.state is DataState.FIN_WAIT_2
        self._close_timeout.watch(now, needed=left or not self._subflows.there)
        self._patience.watch(now, opening=self.state is DataState.OPENING)
        self._events.report(notsent=self._notsent if self.config.tcp.notsent_lowat else 0)

    def _absorb(self, subflow: Subflow, now: int) -> None:
        """Act on what one subflow has recorded."""
        _check(subflow)
        if subflow.refused is not None:
            subflow.reset(ResetReason.MPTCP)
        if subflow.inbound.fastclosed:
            self.count("MPFastcloseRx")
            self._establish_once(subflow, now)  # the same batch may have opened it
            self._fail(ConnectionFailure(ErrorKind.RESET, "the peer sent MP_FASTCLOSE"))
            return
        in_order = self._subflows.alone and subflow.carried.given == self.outgoing.next
        if subflow.stripped and not subflow.fallback:
            fell_back = plain.without_data_acks(subflow, self.incoming, plain=in_order)
            self.count("DssFallback" if fell_back else "FallbackFailed")
        self._receiver.move(subflow, plain=in_order)
        if subflow.fallback:
            plain.drop_others(subflow, self._subflows.there)
        self._establish_once(subflow, now)
        self._mp_fail.absorb(subflow, now)
        self._follow_fallback(subflow)
        if subflow.confirmed and not self._confirmed and not subflow.fallback:
            self._confirmed = True
            self.paths.start(subflow, now)
        if self.paths.absorb(subflow, now):
            self._fin.send_again()
        self._answer(subflow)
        if subflow.tcp.closed:
            self._lose(subflow, now)

    def _follow_fallback(self, subflow: Subflow) -> None:
        """Follow a subflow into plain TCP; after that, there are no further subflows."""
        self.fallback |= subflow.fallback
        self.paths.set_open(not (self.fallback or self._mp_fail.waiting))

    def _answer(self, subflow: Subflow) -> None:
        """Answer what a subflow's own end or the end of data asks for."""
        if subflow.inbound.take_ack_due():
            subflow.tcp.request_ack()
        if subflow.phase.retired and self.incoming.fin is None and not subflow.fallback:
            # The peer gives this subflow up, not the connection (section 3.3.3).
            subflow.tcp.shutdown()

    def _establish_once(self, subflow: Subflow, now: int) -> None:
        """Once the handshake of the first subflow is done, data can flow, if it did not before."""
        if self._met or not (subflow.accepted and subflow.phase.begun):
            return
        self._met = True
        if self.state is DataState.OPENING:
            self.outgoing.skip(subflow.early.sent)
            self._let_flow(subflow)
        self._host.opened(self, subflow, now)
        self.count(_MET[self.initiator, subflow.fallback])
        self.trace("created", now, **self.paths.described())

    def _let_flow(self, first: Subflow) -> None:
        self._transit(Step.ESTABLISH)
        # Until the first Data ACK, the window is that of the handshake (section 3.1).
        self.outgoing.open_window(first.tcp.send_window)
        self._events.connected()

    def _close_in_order(self) -> None:
        """Move through the states of appendix D."""
        if self.fallback:
            plain.follow_tcp(self.outgoing, self._subflows.there)
        while (step := self._life.due(self.outgoing, self.incoming)) is not None:
            self._transit(step)
            if step is Step.FIN_RECEIVED:
                last = self.closed and self.config.data_acks.behind_fin
                self._subflows.request_acks(last=last)
            elif step is Step.FIN_ACKED and self._detached and self.config.tcp.linger:
                self._events.delivered()
        if self._detached and self.incoming.readable:
            self.abort()

    def _finish(self, now: int) -> None:
        """Send DATA_FIN, or after a fallback FIN, once all data has been given to subflows."""
        if self.fallback:
            plain.finish(self.outgoing, self._subflows.there)
        else:
            self._fin.step(now)

    def _unheard(self) -> bool:
        """Tell whether data or DATA_FIN was sent in vain too often.

        A closed window may stay closed for ever, as long as data waits for it to open.
        """
        tcp = self.config.tcp
        limit = tcp.orphan_retries if self._detached else tcp.retries
        patient = not self._detached and self.sender.blocked
        return self._fin.tries > limit or (self.sender.tries > limit and not patient)

    def _lose(self, subflow: Subflow, now: int) -> None:
        """A subflow is gone: reinject what it carried, and tell the path manager."""
        self._remove(subflow)
        if subflow.inbound.reset is not None:
            self.count("MPRstRx")
        self.sender.lost(subflow)
        self._mp_fail.lost(subflow)
        self._follow_fallback(subflow)
        self._fin.send_again()
        failure = subflow.tcp.failure
        if subflow.fallback or self.keys.remote is None or self.state is DataState.OPENING:
            # Without a failure, TCP has closed in order: our FIN was acknowledged.
            if failure is None:
                self.outgoing.end_acked()
            if not (self.outgoing.fin_acked and self.incoming.finished):
                self._fail(failure or ConnectionFailure(ErrorKind.RESET))
            return
        self._last_words = failure
        self.paths.lost(subflow, now)

    def _remove(self, subflow: Subflow) -> None:
        self._subflows.remove(subflow)
        if subflow.initiated and subflow.number:
            self._host.release(subflow.tcp.flow.local)

    def _fail(self, failure: ConnectionFailure, step: Step = Step.ABORT) -> None:
        """Give the connection up, if it has not ended already."""
        if not self.closed:
            self._transit(step, failure)
            self.touch()

    def _time_out(self, detail: str) -> None:
        """Give it up, and tell the peer, who may still be there (section 3.5)."""
        self._ending.abort()
        self._fail(_timed_out(detail))

    def _transit(self, step: Step, failure: ConnectionFailure | None = None) -> None:
        """Go to another state; tell the application if that is the end."""
        unborn = self.state is DataState.OPENING and not self.initiator
        over = self.closed
        self._life.take(step, failure)
        if self.closed and not over:
            self._window.release()
            self.paths.set_open(False)
            if not unborn:
                self._events.closed(self.failure)

    def _end_subflows(self, now: int) -> None:
        """Close every subflow, and let those go that are closed.

        Who was not told that the connection was created is not told that it is closed.
        """
        if self._ending.begins() and self._met:
            self.trace("closed", now)
        self._ending.step(now)
        for subflow in self._subflows.there[:]:
            _check(subflow)
            self._ending.end(subflow, self.failure)
            if subflow.tcp.closed:
                self._remove(subflow)
                self.paths.forget(subflow, now)
        if self.state is DataState.FASTCLOSE_WAIT and not self._subflows.there:
            self._transit(Step.FASTCLOSED)


def _check(subflow: Subflow) -> None:
    """Raise the exception that has ended a subflow's TCP: it is one of the connection."""
    failure = subflow.tcp.failure
    if failure is not None and failure.cause is not None:
        raise failure.cause


def _timed_out(detail: str) -> ConnectionFailure:
    return ConnectionFailure(ErrorKind.TIMED_OUT, detail)
