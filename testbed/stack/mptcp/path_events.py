"""Addresses and subflows as fields of the kernel's events (``ip mptcp monitor``)."""

from __future__ import annotations

from testbed.packet.address import Flow
from testbed.stack.mptcp.path_manager.base import RemoteAddress
from testbed.stack.mptcp.subflow import Subflow


def ends(flow: Flow) -> dict[str, object]:
    """Return both ends of a subflow."""
    (saddr, sport), (daddr, dport) = flow
    return {"saddr": saddr, "sport": sport, "daddr": daddr, "dport": dport}


def remote_address(remote: RemoteAddress) -> dict[str, object]:
    """Return the fields of an address that the peer announced."""
    host, port = remote.address
    return {"rem_id": remote.id, "daddr": host, "dport": port}


def subflow_fields(subflow: Subflow) -> dict[str, object]:
    """Return the fields of a subflow."""
    path = subflow.path
    numbers = {"loc_id": path.local_id, "rem_id": path.remote_id}
    return {**numbers, **ends(path.flow), "backup": subflow.backup}


def closed_subflow(subflow: Subflow) -> dict[str, object]:
    """Return the fields of a closed subflow, with those of the peer's RST, if there was one."""
    said = subflow.inbound.reset
    if said is None:
        return subflow_fields(subflow)
    flags = said.flags | said.transient
    return {**subflow_fields(subflow), "reset_reason": said.reason, "reset_flags": flags}
