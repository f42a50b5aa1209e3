"""A diagnosis, from observed state, of why a connection has no second subflow.

A connection from ``client`` to ``dialled`` at ``server`` can get further subflows in two ways (RFC
8684, sections 3.2 and 3.4.1): the client connects from another of its addresses to the dialled one,
or the server announces another address and the client connects to that address. Each further
subflow that the endpoints request is a candidate (``case.py``). A cause (``causes.py``) reports an
obstacle to one candidate, or to all.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

import msgspec

from testbed.doctor.case import Case, Finding
from testbed.doctor.causes import CAUSES
from testbed.errors import InputError
from testbed.hints import nearest
from testbed.prediction import Subflow, address_of, subflows
from testbed.sandbox.observation import NamespaceState
from testbed.topology.forwarding import family_of, host
from testbed.topology.model import Family, Kind, Topology

__all__ = ["Case", "Diagnosis", "Finding", "diagnose", "first_pair"]


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """The plan of the kernel's path manager, and the obstacles to more subflows."""

    client: str
    server: str
    dialled: str
    subflows: tuple[Subflow, ...]  # the subflows that are possible in the present state
    joined: int  # how many further subflows the client has created so far, by its MIB
    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        """Whether a second subflow is possible and has no obstacle."""
        return len(self.subflows) > 1 and not self.findings


def diagnose(
    topology: Topology,
    states: Mapping[str, NamespaceState],
    client: str,
    server: str,
    *,
    family: Family = Family.IPV4,
    dialled: str | None = None,
) -> Diagnosis:
    """Return the subflows of a connection from ``client`` to ``server``, and why it has no more.

    :param topology: the observed network, see :func:`observed_topology`.
    :param states: the observed state of each namespace.
    :param dialled: the server's address; by default its first address of ``family`` with a
        listener.
    :raises InputError: no host or router has the name, it has no address, or ``dialled`` is no
        address.
    """
    for name in (client, server):
        _check_node(topology, name)
    if dialled is None:
        dialled = _listened_on(topology, states, server, family)
    else:
        dialled = _address(dialled)
    case = Case(topology=topology, states=states, client=client, server=server, dialled=dialled)
    findings = [finding for cause in CAUSES for finding in cause(case)]
    try:
        possible = subflows(topology, client, server, family_of(dialled), dialled)
    except InputError as unreachable:
        possible = ()
        findings.insert(
            0, Finding("unreachable", client, unreachable.message, "repair the first path first")
        )
    if len(possible) < 2 and not findings:
        findings.append(_unexplained(case))
    return Diagnosis(
        client=client,
        server=server,
        dialled=dialled,
        subflows=possible,
        joined=case.count(client, "MPTcpExtMPJoinSynAckRx"),
        findings=tuple(dict.fromkeys(findings)),
    )


def _check_node(topology: Topology, name: str) -> None:
    names = [node.name for node in topology.nodes if node.kind is not Kind.SWITCH]
    if name not in names:
        raise InputError(f"{name!r} is not a host or router here", hint=nearest(name, names))


def _address(text: str) -> str:
    """Return an address in the kernel's notation."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise InputError(f"{text!r} is not an address") from None


def _listened_on(
    topology: Topology, states: Mapping[str, NamespaceState], server: str, family: Family
) -> str:
    """Return the server's first address, or the first bound one if all listeners are bound."""
    first = address_of(topology, server, family)
    own = {host(a) for i in topology.node(server).interfaces for a in i.addresses}
    bound = [each.address for each in states[server].listeners if each.protocol == "mptcp"]
    if any(address in ("0.0.0.0", "::", first) for address in bound):  # noqa: S104 - compares
        return first
    return next((a for a in bound if a in own and family_of(a) is family), first)


def _unexplained(case: Case) -> Finding:
    seen = f"the endpoints ask for {len(case.candidates)} more subflows, none of which is possible"
    return Finding("unexplained", case.client, seen, "compare `testbed status NAME --json`")


def first_pair(topology: Topology) -> tuple[str, str]:
    """Return the default client and server: the first and the last host.

    :raises InputError: the topology has fewer than two hosts.
    """
    hosts = [node.name for node in topology.nodes if node.kind.is_end]
    if len(hosts) < 2:
        raise InputError("this sandbox has fewer than two hosts")
    return hosts[0], hosts[-1]
