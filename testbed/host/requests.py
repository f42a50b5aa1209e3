"""Commands on paths as JSON: their names and fields are those of linux/mptcp_pm.h."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Any

import msgspec

from testbed.packet.address import Address, Flow
from testbed.stack.mptcp.path_manager.base import (
    Announce,
    CloseSubflow,
    Command,
    OpenSubflow,
    RemoteAddress,
    SetBackup,
    Withdraw,
)

_Id = Annotated[int, msgspec.Meta(ge=0, le=255)]
_Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
_HOSTS = ("saddr", "daddr")
_BAD = (msgspec.MsgspecError, RecursionError)


class RequestError(ValueError):
    """A line is no valid command.

    :ivar ref: the reference of the line, if it has one.
    """

    def __init__(self, message: str, ref: Any) -> None:
        super().__init__(message)
        self.ref = ref


class Request(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="command"
):
    """The base class of commands.

    :param token: the token of the connection.
    :param ref: any value, which the answer returns.
    """

    token: int
    ref: Any = None

    def __post_init__(self) -> None:
        for name in _HOSTS:
            host = getattr(self, name, None)
            if host is not None:
                msgspec.structs.force_setattr(self, name, str(ipaddress.ip_address(host)))

    @property
    def name(self) -> str:
        """The name of the command."""
        return str(self.__struct_config__.tag)

    def as_command(self) -> Command:
        """Return the command for :class:`testbed.stack.mptcp.path_control.PathControl`."""
        raise NotImplementedError


class AnnounceRequest(Request, frozen=True, kw_only=True, tag="announce"):
    """MPTCP_PM_CMD_ANNOUNCE; without ``sport`` the port is the connection's."""

    loc_id: _Id
    saddr: str
    sport: _Port | None = None

    def as_command(self) -> Command:
        """Return the command for :class:`testbed.stack.mptcp.path_control.PathControl`."""
        return Announce(id=self.loc_id, host=self.saddr, port=self.sport)


class RemoveRequest(Request, frozen=True, kw_only=True, tag="remove"):
    """MPTCP_PM_CMD_REMOVE; the id 0 is that of the first subflow's address."""

    loc_id: _Id

    def as_command(self) -> Command:
        """Return the command for :class:`testbed.stack.mptcp.path_control.PathControl`."""
        return Withdraw(id=self.loc_id)


class SubflowCreateRequest(Request, frozen=True, kw_only=True, tag="subflow_create"):
    """MPTCP_PM_CMD_SUBFLOW_CREATE; ``rem_id`` is the id of an address that was announced."""

    loc_id: _Id
    rem_id: _Id = 0
    saddr: str
    daddr: str
    dport: _Port
    backup: bool = False

    def as_command(self) -> Command:
        """Return the command for :class:`testbed.stack.mptcp.path_control.PathControl`."""
        remote = RemoteAddress(self.rem_id, Address(self.daddr, self.dport))
        return OpenSubflow(
            local_host=self.saddr, local_id=self.loc_id, remote=remote, backup=self.backup
        )


class SubflowDestroyRequest(Request, frozen=True, kw_only=True, tag="subflow_destroy"):
    """MPTCP_PM_CMD_SUBFLOW_DESTROY."""

    saddr: str
    sport: _Port
    daddr: str
    dport: _Port

    def as_command(self) -> Command:
        """Return the command for :class:`testbed.stack.mptcp.path_control.PathControl`."""
        return CloseSubflow(flow=_flow(self))


class SetFlagsRequest(Request, frozen=True, kw_only=True, tag="set_flags"):
    """MPTCP_PM_CMD_SET_FLAGS; the one flag of a subflow is ``backup``."""

    saddr: str
    sport: _Port
    daddr: str
    dport: _Port
    backup: bool

    def as_command(self) -> Command:
        """Return the command for :class:`testbed.stack.mptcp.path_control.PathControl`."""
        return SetBackup(flow=_flow(self), backup=self.backup)


_Any = (
    AnnounceRequest | RemoveRequest | SubflowCreateRequest | SubflowDestroyRequest | SetFlagsRequest
)


def read(line: bytes) -> Request:
    """Return the command of a line.

    :raises RequestError: the line is no valid command.
    """
    try:
        request: Request = msgspec.json.decode(line, type=_Any)
    except _BAD as error:
        raise RequestError(str(error), _ref(line)) from None
    return request


def _ref(line: bytes) -> Any:
    try:
        found = msgspec.json.decode(line)
    except _BAD:
        return None
    return found.get("ref") if isinstance(found, dict) else None


def _flow(request: SubflowDestroyRequest | SetFlagsRequest) -> Flow:
    return Flow(Address(request.saddr, request.sport), Address(request.daddr, request.dport))
