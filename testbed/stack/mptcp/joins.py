"""Additional subflows of a host's connections, opened by either side (RFC 8684, section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from testbed.packet.address import Address, Flow
from testbed.packet.mptcp import MpJoinSyn, MpTcprst, ResetReason
from testbed.packet.options import Option, find
from testbed.packet.segment import Segment
from testbed.stack.connection import Randomness
from testbed.stack.mptcp.connection import MptcpConnection
from testbed.stack.mptcp.join import JoinInitiator, JoinOffer, JoinResponder
from testbed.stack.mptcp.local_network import LocalNetwork
from testbed.stack.mptcp.path_manager.base import OpenSubflow, SubflowPath
from testbed.stack.mptcp.subflow import Subflow
from testbed.stack.mptcp.tokens import Tokens
from testbed.stack.tcp.connection import TcpConnection
from testbed.stack.tcp.extension import Extension, Refuse

REFUSED: Final = (MpTcprst(reason=ResetReason.MPTCP),)  # the answer of section 3.2 to a join


class Host(Protocol):
    """The services of the endpoint that joins need."""

    def dial(self, flow: Flow, now: int, subflow: Subflow) -> TcpConnection:
        """Open a TCP connection for a subflow.  Raises OSError."""

    def expect(self, subflow: Subflow, flow: Flow) -> None:
        """Attach a subflow to its TCP connection as soon as that exists."""

    def fault(self, connection: MptcpConnection | None, error: Exception) -> None:
        """Record an exception, which may belong to a connection."""

    def count(self, name: str) -> None:
        """Increment the MPTcpExt counter that has this name."""


class Joins:
    """The joins of one endpoint. It also accepts joins on ports without a listener.

    For those ports it is an :class:`~testbed.stack.tcp.extension.Acceptor`.

    :param rng: the source of nonces.
    """

    def __init__(self, host: Host, tokens: Tokens, rng: Randomness, network: LocalNetwork) -> None:
        self._host = host
        self._tokens = tokens
        self._rng = rng
        self._network = network

    # Joins that this side begins

    def open(self, connection: MptcpConnection, command: OpenSubflow, now: int) -> None:
        """Send MP_JOIN, or do nothing if that is impossible."""
        offer = JoinOffer(
            address_id=command.local_id, nonce=self._rng.getrandbits(32), backup=command.backup
        )
        remote = command.remote
        handshake = JoinInitiator(connection.keys, offer)
        try:
            port = self._network.port_for(command.local_host, remote.address)
        except OSError:  # no port is free
            self._host.count("MPJoinSynTxBindErr")
            return
        path = SubflowPath(
            local_host=command.local_host,
            local_port=port,
            local_id=command.local_id,
            remote=remote.address,
            remote_id=remote.id,
        )
        flow = path.flow
        try:
            subflow = connection.new_subflow(handshake, path, backup=command.backup, initiated=True)
            self._dial(connection, subflow, flow, now)
        except Exception as error:
            self.release(flow.local)
            if not isinstance(error, OSError):  # OSError: this flow exists already
                raise
            self._host.count("MPJoinSynTxConnectErr")

    def release(self, local: Address) -> None:
        """Release the local port of a joined subflow that has ended."""
        try:
            self._network.release_port(local)
        except Exception as error:  # an exception of the driver: no connection is at fault
            self._host.fault(None, error)

    def _dial(self, connection: MptcpConnection, subflow: Subflow, flow: Flow, now: int) -> None:
        try:
            subflow.attach(self._host.dial(flow, now, subflow))
            self._host.count("MPJoinSynTx")
        except Exception:
            connection.discard(subflow)
            raise

    # Joins that the peer begins

    def admit(self, join: MpJoinSyn, flow: Flow, *, listening: bool) -> Extension:
        """Accept a join. The token identifies its connection, not the port.

        :param listening: whether its port is open.
        :raises Refuse: the token is unknown, or the limit of subflows is reached.
        """
        self._host.count("MPJoinSynRx")
        if join.backup:
            self._host.count("MPJoinSynBackupRx")
        connection = self._tokens.find(join.token)
        if connection is None or connection.closed or connection.keys.remote is None:
            self._host.count("MPJoinNoTokenFound")
            raise Refuse("no connection has this token", REFUSED)
        try:
            return self._admit(connection, join, flow, listening=listening)
        except Refuse:
            raise
        except Exception as error:
            self._host.fault(connection, error)
            raise Refuse("the connection failed in the stack", REFUSED) from error

    def _admit(
        self, connection: MptcpConnection, join: MpJoinSyn, flow: Flow, *, listening: bool
    ) -> Extension:
        paths, host = connection.paths, flow.local.host
        address_id = paths.local_id(host)
        if address_id is None or not paths.accepts_join(flow.local, listening=listening):
            self._host.count("MPJoinRejected")
            said = REFUSED if listening else ()  # a closed port sends RST without a reason
            raise Refuse("the connection accepts no further subflow", said)
        backup = paths.is_backup(host)
        nonce = self._rng.getrandbits(32)
        offer = JoinOffer(address_id=address_id, nonce=nonce, backup=backup)
        handshake = JoinResponder(connection.keys, offer, join)
        path = SubflowPath(
            local_host=flow.local.host,
            local_port=flow.local.port,
            local_id=offer.address_id,
            remote=flow.remote,
            remote_id=join.address_id,
        )
        subflow = connection.new_subflow(handshake, path, backup=backup, initiated=False)
        self._host.expect(subflow, flow)
        return subflow

    # SYNs to ports without a listener

    def accept(self, syn: Segment) -> Extension:
        """Accept or refuse a SYN.

        :raises Refuse: the SYN is no join, or the join is refused.
        """
        join: MpJoinSyn | None = find(syn.options, MpJoinSyn)
        if join is None:
            raise Refuse("no socket listens on this port")
        return self.admit(join, Flow(syn.destination, syn.source), listening=False)

    def offer(self, _syn: Segment) -> Sequence[Option] | None:
        """Return nothing: a join needs state, as both nonces must be kept."""
        return None

    def resume(self, _ack: Segment) -> Extension | None:
        """Refuse: no join was answered without state.

        :raises Refuse: always.
        """
        raise Refuse("no socket listens on this port")
