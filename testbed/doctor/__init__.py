"""Why is there no second subflow?  Answered from what is observed.

A connection from ``client`` to ``dialled`` at ``server`` can get further subflows in two ways
(RFC 8684, sections 3.2 and 3.4.1): the client connects from another of its addresses to the
dialled one, or the server announces another address and the client connects to that.  Each way
that the endpoints ask for is a candidate (``case.py``); a cause (``causes.py``) says what stands
against one candidate, or against all.
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
    subflows: tuple[Subflow, ...]  # that can be set up as things are
    joined: int  # further subflows the client has set up so far, by its MIB
    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        """Whether a second subflow is possible and nothing speaks against it."""
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
    """Say which subflows a connection from ``client`` to ``server`` gets, and why not more.

    :param topology: the observed network, see :func:`observed_topology`.
    :param states: the observed state of each namespace.
    :param dialled: the server's address; by default its first of ``family`` that is listened on.
    :raises InputError: there is no such host or router, it has no address, or ``dialled`` is none.
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
        raise InputError(f"{name!r} is no host or router here", hint=nearest(name, names))


def _address(text: str) -> str:
    """Return an address as the kernel writes it."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise InputError(f"{text!r} is no address") from None


def _listened_on(
    topology: Topology, states: Mapping[str, NamespaceState], server: str, family: Family
) -> str:
    """Return the server's first address; where all listeners are bound, the first of those."""
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
    """Return the client and server to look at when none are named: first and last host.

    :raises InputError: there are not two hosts.
    """
    hosts = [node.name for node in topology.nodes if node.kind.is_end]
    if len(hosts) < 2:
        raise InputError("there are not two hosts in this sandbox")
    return hosts[0], hosts[-1]
