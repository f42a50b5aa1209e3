"""The possible obstacles to a second subflow, one function per cause."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import testbed.doctor.path as path
from testbed.doctor.case import Case, Finding
from testbed.prediction import Join
from testbed.sandbox.observation import Listener
from testbed.topology.forwarding import family_of, host
from testbed.topology.model import EndpointFlag, Family
from testbed.wire.netem import Netem, RandomLoss

Cause = Callable[[Case], Iterator[Finding]]


def kernel_without_mptcp(case: Case) -> Iterator[Finding]:
    """The kernel was built without MPTCP."""
    if case.states[case.client].limits is None:
        yield Finding(
            "no_mptcp",
            case.client,
            "this kernel has no MPTCP path manager",
            "boot a kernel with CONFIG_MPTCP=y",
        )


def disabled(case: Case) -> Iterator[Finding]:
    """``net.mptcp.enabled`` is 0 on one end: sockets behave as TCP."""
    for node in (case.client, case.server):
        if case.sysctl(node, "net.mptcp.enabled") == "0":
            yield Finding(
                "disabled",
                node,
                "net.mptcp.enabled is 0: connections are plain TCP",
                f"sysctl -w net.mptcp.enabled=1 on {node}",
            )


def subflow_limit(case: Case) -> Iterator[Finding]:
    """The limit of extra subflows is 0 on the end that opens or on the end that accepts them."""
    for node in (case.client, case.server):
        if case.states[node].limits is not None and case.limits(node).subflows == 0:
            yield Finding(
                "limit_subflows",
                node,
                "its limit of extra subflows is 0",
                f"ip mptcp limits set subflows 2 on {node}",
            )


def announcement_limit(case: Case) -> Iterator[Finding]:
    """The server announces addresses, but the client's limit does not allow connections to them."""
    announced = [c for c in case.candidates if c.owner == case.server]
    if announced and case.limits(case.client).add_addr_accepted == 0:
        addresses = ", ".join(sorted({c.destination for c in announced}))
        yield Finding(
            "limit_add_addr",
            case.client,
            f"its limit of accepted ADD_ADDRs is 0, but {case.server} announces {addresses}",
            f"ip mptcp limits set add_addr_accepted 2 on {case.client}",
        )


def no_endpoints(case: Case) -> Iterator[Finding]:
    """No endpoint requests the use of another address."""
    if case.candidates:
        return
    without = [
        f"{endpoint.address} at {node}"
        for node in (case.client, case.server)
        for endpoint in case.node(node).endpoints
        if not {EndpointFlag.SUBFLOW, EndpointFlag.SIGNAL} & set(endpoint.flags)
    ]
    seen = "no endpoint asks for another subflow"
    if without:
        seen += f" ({', '.join(without)} has neither the flag subflow nor signal)"
    yield Finding(
        "no_endpoint",
        case.client,
        seen,
        f"ip mptcp endpoint add ADDRESS dev INTERFACE subflow on {case.client}, "
        f"or signal on {case.server}",
    )


def endpoint_without_address(case: Case) -> Iterator[Finding]:
    """No interface of the node has the address of an endpoint."""
    for node in (case.client, case.server):
        own = {host(a.address) for a in case.states[node].addresses}
        for endpoint in case.node(node).endpoints:
            if endpoint.address not in own:
                interface = endpoint.interface or "INTERFACE"  # the endpoint may name no interface
                yield Finding(
                    "endpoint_without_address",
                    node,
                    f"endpoint {endpoint.id} is for {endpoint.address}, which no interface has",
                    f"ip address add {endpoint.address}/... dev {interface} on {node}",
                )


def interface_down(case: Case) -> Iterator[Finding]:
    """An interface with an endpoint is down, or the other end of its link is."""
    for node in (case.client, case.server):
        for interface in case.node(node).interfaces:
            link = case.states[node].link(interface.name)
            if link is None or (link.up and link.carrier):
                continue
            if link.up:
                state = "has no carrier: its link, or the other end, is down"
                card = case.node(node).card(interface) or interface
                remedy = f"testbed link SANDBOX {card.link} up"
            else:
                state, remedy = "is down", f"ip link set {interface.name} up on {node}"
            yield Finding("interface_down", node, f"interface {interface.name} {state}", remedy)


def routing_by_source(case: Case) -> Iterator[Finding]:
    """A packet from the second address has no route, or leaves through another interface."""
    for candidate in case.candidates:
        source = candidate.source
        if source is None:
            yield Finding(
                "no_route",
                case.client,
                f"no route to {candidate.destination}, which {candidate.owner} announces",
                f"ip route add {candidate.destination} dev INTERFACE on {case.client}",
            )
            continue
        own = case.interface_of(case.client, source)
        if own is None:
            continue
        hop = case.forwarding.hop(case.client, candidate.destination, source)
        if hop is None:
            if candidate.owner == case.client and _others_work(case, candidate):
                continue  # the source address has a path to an announced address instead
            seen = f"no route from {source} to {candidate.destination}"
        elif hop.interface.name != own:
            seen = (
                f"packets from {source} (on {own}) to {candidate.destination} leave through "
                f"{hop.interface.name}"
            )
        else:
            continue
        remedy = f"ip rule add from {source} lookup TABLE, and a route through {own} in TABLE"
        yield Finding("routing_by_source", case.client, seen, f"{remedy}, on {case.client}")


def no_way_back(case: Case) -> Iterator[Finding]:
    """The server, or a router between, cannot send back to the second address."""
    for candidate in case.candidates:
        source = candidate.source
        if source is None or not case.has_address(case.client, source):
            continue
        if not case.has_address(case.server, candidate.destination):
            continue
        there = case.forwarding.reaches(case.client, candidate.destination, source)
        if there and not case.forwarding.reaches(case.server, source, candidate.destination):
            yield Finding(
                "no_way_back",
                case.server,
                f"answers from {candidate.destination} do not reach {source}",
                f"ip route get {source} from {candidate.destination} on {case.server}, hop by hop",
            )


def strict_reverse_path(case: Case) -> Iterator[Finding]:
    """``rp_filter`` 1 drops packets whose answers would leave by another interface (RFC 3704)."""
    for candidate in case.candidates:
        for node, source, destination in (
            (case.server, candidate.source, candidate.destination),
            (case.client, candidate.destination, candidate.source),
        ):
            if source is None or destination is None:
                continue
            arrives = case.interface_of(node, destination)
            back = case.forwarding.hop(node, source)  # the filter ignores the rule by source
            if arrives is None or back is None or back.interface.name == arrives:
                continue
            if _reverse_path_filter(case, node, arrives) == 1:
                yield Finding(
                    "rp_filter",
                    node,
                    f"rp_filter is strict on {arrives}: packets from {source} are dropped, the "
                    f"way back to it is {back.interface.name}",
                    f"sysctl -w net.ipv4.conf.{arrives}.rp_filter=0 (and all) on {node}",
                )


def listener(case: Case) -> Iterator[Finding]:
    """The server does not listen with MPTCP, or not on the announced address."""
    listeners = [each for each in case.states[case.server].listeners if _serves(case, each)]
    if not listeners or case.serves_by_our_stack:
        return  # no server yet; or the server uses our stack, and the kernel only reserves the port
    mptcp = [each for each in listeners if each.protocol == "mptcp"]
    if not mptcp:
        ports = ", ".join(sorted({str(each.port) for each in listeners}))
        yield Finding(
            "listener_is_tcp",
            case.server,
            f"only plain TCP sockets listen (port {ports})",
            "start the server with IPPROTO_MPTCP, for example: mptcpize run COMMAND",
        )
        return
    for candidate in case.candidates:
        if candidate.owner != case.server or candidate.endpoint.port is not None:
            continue  # the kernel itself listens for an endpoint with a port
        if not any(_covers(each, candidate.destination) for each in mptcp):
            bound = ", ".join(sorted({f"{each.address}:{each.port}" for each in mptcp}))
            yield Finding(
                "listener_bound",
                case.server,
                f"the server listens on {bound} only; {candidate.destination} is announced, but "
                "a join to it is refused",
                "listen on 0.0.0.0 or ::, or give the endpoint a port of its own",
            )


def initial_address_closed(case: Case) -> Iterator[Finding]:
    """The server forbids joins to the dialled address (the C flag of RFC 8684, section 3.1)."""
    to_dialled = [c for c in case.candidates if c.destination == case.dialled]
    if not to_dialled or len(to_dialled) < len(case.candidates):
        return
    if case.sysctl(case.server, "net.mptcp.allow_join_initial_addr_port") == "0":
        yield Finding(
            "initial_address_closed",
            case.server,
            "net.mptcp.allow_join_initial_addr_port is 0: joins to the dialled address are "
            "not allowed",
            f"set it to 1 on {case.server}, or announce another address",
        )


def swallowed(case: Case) -> Iterator[Finding]:
    """The path of the second subflow silently loses every packet."""
    for candidate in case.candidates:
        if candidate.source is None:
            continue
        hops = (
            (case.client, candidate.destination, candidate.source),
            (case.server, candidate.source, candidate.destination),
        )
        for node, destination, source in hops:
            hop = case.forwarding.hop(node, destination, source)
            card = case.node(node).card(hop.interface) if hop else None
            link = case.topology.link(card.link) if card else None
            if link and any(_loses_all(netem) for netem in (link.toward_a, link.toward_b)):
                yield Finding(
                    "blackhole",
                    node,
                    f"link {link.name} loses every packet of {source} to {destination}",
                    f"reduce the loss of link {link.name}",
                )


def checksums(case: Case) -> Iterator[Finding]:
    """The path changed data: DSS checksums failed (RFC 8684, section 3.7)."""
    for node in (case.client, case.server):
        failed = case.count(node, "MPTcpExtDataCsumErr")
        if failed:
            yield Finding(
                "checksum_failed",
                node,
                f"{failed} DSS checksums were wrong: something on the path changes the data, and "
                "the subflow is closed or the connection falls back",
                "look for a proxy or rewriting middlebox; net.mptcp.checksum_enabled=0 on both "
                "ends hides it",
            )
    client, server = (
        case.sysctl(node, "net.mptcp.checksum_enabled") for node in (case.client, case.server)
    )
    if None not in (client, server) and client != server:
        yield Finding(
            "checksum_mismatch",
            case.server,
            f"net.mptcp.checksum_enabled is {client} on {case.client} and {server} on "
            f"{case.server}: both will use checksums",
            "set both to the same value",
        )


# Not MPJoinSynTxConnectErr: with rules by source, Linux also tries addresses without a route.
_COUNTED: Final = {
    "MPTcpExtMPJoinSynTxBindErr": (
        "join_not_sent",
        "joins could not be sent: their source address cannot be used",
        "check that the address of the endpoint is on an interface that is up",
    ),
    "MPTcpExtMPJoinNoTokenFound": (
        "unknown_token",
        "joins carried a token of no connection here",
        "the join reached another host than the first subflow: check for a load balancer or NAT",
    ),
    "MPTcpExtMPJoinSynAckHMacFailure": (
        "hmac",
        "SYN/ACKs of joins carried a wrong HMAC",
        "the join was answered by another host, or options are rewritten",
    ),
    "MPTcpExtMPJoinAckHMacFailure": (
        "hmac",
        "third ACKs of joins carried a wrong HMAC",
        "options are rewritten on the path",
    ),
    "MPTcpExtMPJoinRejected": (
        "rejected",
        "joins were rejected by the path manager's limits",
        "raise the limit of subflows",
    ),
}


def counted(case: Case) -> Iterator[Finding]:
    """The MIB of an end has counted failed joins."""
    for node in (case.client, case.server):
        for whose, values in case.counters(node):
            for counter, (cause, meaning, remedy) in _COUNTED.items():
                if count := values.get(counter, 0):
                    short = counter.removeprefix("MPTcpExt")
                    yield Finding(cause, node, f"{meaning} ({short}{whose}: {count})", remedy)


def plain_sockets(case: Case) -> Iterator[Finding]:
    """The client's connections were plain TCP from the start."""
    if case.count(case.client, "TcpActiveOpens") and not any(
        case.count(case.client, counter)
        for counter in ("MPTcpExtMPCapableSYNTX", "MPTcpExtMPCapableSYNTXDrop")
    ):
        if case.sysctl(case.client, "net.mptcp.enabled") == "0":
            return  # ``disabled`` reports this
        yield Finding(
            "plain_tcp",
            case.client,
            "its connections so far were plain TCP: no MP_CAPABLE was ever sent",
            "use IPPROTO_MPTCP, for example: mptcpize run COMMAND",
        )


CAUSES: Final[tuple[Cause, ...]] = (
    kernel_without_mptcp,
    disabled,
    plain_sockets,
    no_endpoints,
    subflow_limit,
    announcement_limit,
    endpoint_without_address,
    interface_down,
    routing_by_source,
    no_way_back,
    strict_reverse_path,
    listener,
    initial_address_closed,
    swallowed,
    checksums,
    counted,
    path.handshakes,
    path.after_handshakes,
    path.joins,
    path.announcements,
)


def _others_work(case: Case, candidate: Join) -> bool:
    """Return whether the server announces an address that the same source can reach."""
    return any(
        other.source == candidate.source
        and other.owner == case.server
        and case.forwarding.connects(other.source, other.destination)
        for other in case.candidates
        if other.source is not None
    )


def _reverse_path_filter(case: Case, node: str, interface: str) -> int:
    """Return the effective filter: the maximum of ``all`` and the interface (ip-sysctl.rst)."""
    keys = ("net.ipv4.conf.all.rp_filter", f"net.ipv4.conf.{interface}.rp_filter")
    return max(int(case.sysctl(node, key) or 0) for key in keys)


def _serves(case: Case, each: Listener) -> bool:
    own = {host(a.address) for a in case.states[case.server].addresses}
    return each.address in ("0.0.0.0", "::") or (  # noqa: S104 - compares, binds nothing
        each.address in own and each.address not in ("127.0.0.1", "::1")
    )


def _covers(each: Listener, address: str) -> bool:
    if each.address == "::":
        return True  # also IPv4, except with IPV6_V6ONLY, which sock_diag does not report
    any_ipv4 = each.address == "0.0.0.0" and family_of(address) is Family.IPV4  # noqa: S104
    return any_ipv4 or each.address == address


def _loses_all(netem: Netem) -> bool:
    return isinstance(netem.loss, RandomLoss) and netem.loss.probability == 1
