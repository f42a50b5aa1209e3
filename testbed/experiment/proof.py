"""The proof that a run used the protocol that it claims: a pure function of the evidence.

A run whose protocol cannot be proved is *invalid*: it is shown, but never averaged. The evidence
has two independent sources. The first is the kernel's MIB counters of both ends (``nstat``, from
``net/mptcp/mib.c``), which count every handshake of the run, because each run has its own
namespaces. The second is MPTCP_INFO of the sockets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from testbed.experiment import carried
from testbed.results.model import Proof

Counters = Mapping[str, int]

PREFIX: Final = "MPTcpExt"
# Each of these counts connections that requested MPTCP and continued, or started, without it.
_FALLBACKS: Final = ("MPCapableSYNTXDrop", "MPCapableSYNTXDisabled", "DSSNoMatchTCP", "Blackhole")
_FALLBACKS_LIKE: Final = ("Fallback", "InfiniteMap")
_OPENS: Final = ("TcpActiveOpens", "TcpPassiveOpens")


class ConnectionView(msgspec.Struct, frozen=True, kw_only=True):
    """One connection at one moment; ``subflows`` counts its established subflows.

    :param tokens: the MPTCP tokens of this end and the peer; ``None`` if one of them is unknown.
    """

    node: str
    fallback: bool
    subflows: int
    tokens: tuple[int, int] | None = None


class Lost(msgspec.Struct, frozen=True, kw_only=True):
    """Frames that a wire lost unintentionally."""

    link: str
    toward: str
    packets: int


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """The evidence.

    :param protocol: the protocol of the stack: ``tcp`` or ``mptcp``.
    :param ours: the nodes that use our own stack, not the kernel's.
    :param simulated: whether the run is simulated, so that no kernel counters exist.
    :param source: the node that connects; ``target`` is the node that listens.
    :param expected_subflows: the expected subflows of each MPTCP connection, with the first.
    :param counters: the increase of each counter, by node; a missing node has no counters.
    :param connections: every view of every MPTCP connection, in any order.
    :param lost: frames that the emulator lost because the machine was too busy.
    :param spoken: the protocol that each node observed on its last connection.
    :param differences: the differences between requested and used options, in words.
    :param programs: whether third-party programs sent the data.
    :param kernel: the protocols of the kernel's stacks on each node, for all flows of the run; by
        default those of this flow.
    :param shared: nodes that other flows also use.
    :param may_fall_back: whether a fallback counts, because the experiment blocks MPTCP.
    """

    protocol: str
    ours: tuple[str, ...] = ()
    simulated: bool = False
    source: str
    target: str
    expected_subflows: int
    counters: Mapping[str, Counters]
    connections: tuple[ConnectionView, ...] = ()
    lost: tuple[Lost, ...] = ()
    spoken: Mapping[str, str] = {}
    differences: tuple[str, ...] = ()
    programs: bool = False
    kernel: Mapping[str, tuple[str, ...]] = {}
    shared: tuple[str, ...] = ()
    may_fall_back: bool = False

    def kernel_speaks(self, node: str) -> tuple[str, ...]:
        """Return the protocols of the kernel's stacks on a node."""
        return self.kernel.get(node, () if node in self.ours else (self.protocol,))


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """The proof, or in ``invalid`` one sentence on why it is missing."""

    proof: Proof
    invalid: str | None


Check = Callable[[Evidence], str | None]


def judge(evidence: Evidence) -> Judgement:
    """Judge one run."""
    mptcp = evidence.protocol == "mptcp"
    proof = Proof(
        expected_subflows=evidence.expected_subflows if mptcp else None,
        subflows=_subflows(evidence) if mptcp else None,
        fell_back=_fallback(evidence) is not None if mptcp else None,
        counters={
            node: {name: moved for name, moved in counters.items() if _relevant(name)}
            for node, counters in evidence.counters.items()
        },
    )
    return Judgement(
        proof=proof,
        invalid=next(filter(None, (check(evidence) for check in _checks(evidence))), None),
    )


def _checks(evidence: Evidence) -> tuple[Check, ...]:
    """Return the checks that prove a run, for the kernel's stack and our own."""
    own: tuple[Check, ...] = (_as_asked, _own_views)
    mptcp: tuple[Check, ...] = (_same_connection, _set_up, _enough_subflows)
    if evidence.protocol != "mptcp":
        mptcp = ()
    elif _fallback(evidence) is not None:
        mptcp = (_asked_for,) if evidence.may_fall_back else (_fallback,)
    if evidence.simulated:
        return (*own, *mptcp)
    kernel = _CHECKS.get(evidence.protocol, (_unknown,))
    return (
        _wires,
        _counters_are_there,
        *own,
        *kernel,
        *mptcp,
        _kernel_carried_nothing,
        _programs_data,
    )


def _kernel_nodes(evidence: Evidence) -> tuple[str, ...]:
    """Return the ends whose stack is the kernel's."""
    return tuple(node for node in (evidence.source, evidence.target) if node not in evidence.ours)


def _wires(evidence: Evidence) -> str | None:
    for lost in evidence.lost:
        return (
            f"the emulator could not keep up: {lost.packets} frames on {lost.link} toward "
            f"{lost.toward} were lost although no loss is configured"
        )
    return None


def _counters_are_there(evidence: Evidence) -> str | None:
    for node in (evidence.source, evidence.target):
        if node not in evidence.counters:
            return f"there are no MIB counters of {node}, so nothing proves which protocol ran"
    return None


def _tcp(evidence: Evidence) -> str | None:
    nodes = _kernel_nodes(evidence)
    for node in nodes:
        if "mptcp" in evidence.kernel_speaks(node):  # the counters include other flows
            if evidence.spoken.get(node) != "tcp":
                return f"nothing proves that {node} used tcp: another flow there uses mptcp"
            continue
        for name, moved in evidence.counters[node].items():
            if name.startswith(PREFIX) and moved:
                return f"tcp must run without MPTCP, but {name} of {node} increased by {moved}"
    if nodes and not any(_opened(evidence, node) for node in nodes):
        return "no TCP connection was opened (TcpActiveOpens stayed 0)"
    return None


def _opened(evidence: Evidence, node: str) -> bool:
    """Return whether a node's kernel opened a connection, or accepted one from our own stack."""
    counters = evidence.counters[node]
    passive = node == evidence.target and evidence.source in evidence.ours
    return bool(counters.get("TcpPassiveOpens" if passive else "TcpActiveOpens"))


def _fallback(evidence: Evidence) -> str | None:
    """Return the evidence that MPTCP fell back to TCP, or ``None`` if it did not."""
    for node in evidence.ours:
        if evidence.spoken.get(node) == "tcp":
            return f"mptcp was expected, but {node} used tcp"
    flagged = [view.node for view in evidence.connections if view.fallback]
    for node in flagged:
        if node in evidence.ours:
            return f"mptcp fell back to TCP: {node} reports it for its connection"
    nodes = _kernel_nodes(evidence)
    for node in nodes:
        for name, moved in evidence.counters.get(node, {}).items():
            if moved and _is_fallback(name):
                return f"mptcp fell back to TCP: {name} of {node} increased by {moved}"
    for node in flagged:
        if node in nodes:
            return f"mptcp fell back to TCP: MPTCP_INFO of {node} has the fallback flag"
    return None


def _asked_for(evidence: Evidence) -> str | None:
    """Check that a kernel that connects requested MPTCP, with or without success."""
    node = evidence.source
    name = f"{PREFIX}MPCapableSYNTX"
    if evidence.simulated or node in evidence.ours or evidence.counters[node].get(name):
        return None
    return f"no MPTCP connection was attempted: {name} of {node} stayed 0"


def _set_up(evidence: Evidence) -> str | None:
    nodes = _kernel_nodes(evidence)
    for node in nodes:
        name = "MPCapableSYNACKRX" if node == evidence.source else "MPCapableACKRX"
        if not evidence.counters[node].get(PREFIX + name):
            return f"no MPTCP connection was set up: {PREFIX}{name} of {node} stayed 0"
    if nodes and not any(view.node in nodes for view in evidence.connections):
        return "no MPTCP_INFO was read, so the number of subflows is unknown"
    return None


def _enough_subflows(evidence: Evidence) -> str | None:
    seen, expected = _subflows(evidence), evidence.expected_subflows
    if seen >= expected:
        return None
    sent, answered = (
        evidence.counters.get(evidence.source, {}).get(PREFIX + name, 0)
        for name in ("MPJoinSynTx", "MPJoinSynAckRx")
    )
    why = (
        f" ({evidence.source} has MPJoinSynTx {sent}, MPJoinSynAckRx {answered})"
        if evidence.source in _kernel_nodes(evidence) and not evidence.simulated
        else ""
    )
    return (
        f"mptcp never opened its {_ordinal(seen + 1)} subflow: {seen} of {expected}{why}; "
        "try `testbed doctor`"
    )


def _as_asked(evidence: Evidence) -> str | None:
    """Check that each requested option was used."""
    return next(iter(evidence.differences), None)


def _own_views(evidence: Evidence) -> str | None:
    """Check that each end with our own stack inspected its connection and found the protocol."""
    for node in evidence.ours:
        spoken = evidence.spoken.get(node)
        if spoken is None:
            return f"{node} did not inspect its connection, so nothing proves which protocol ran"
        if spoken not in (evidence.protocol, "tcp"):
            return f"{evidence.protocol} was expected, but {node} used {spoken}"
    return None


def _same_connection(evidence: Evidence) -> str | None:
    """Check that both ends, if they use our own stack, have the same pair of tokens.

    One common pair is enough: an end may not have inspected each of several connections.
    """
    if _kernel_nodes(evidence):
        return None
    here, there = (
        {view.tokens for view in evidence.connections if view.node == node and view.tokens}
        for node in (evidence.source, evidence.target)
    )
    if here & {(theirs, ours) for ours, theirs in there}:
        return None
    return (
        f"the tokens of {evidence.source} {sorted(here)} and {evidence.target} {sorted(there)} "
        "do not match: they belong to different connections"
    )


def _kernel_carried_nothing(evidence: Evidence) -> str | None:
    for node in evidence.ours:
        if evidence.kernel_speaks(node):  # for other flows
            continue
        for name, moved in evidence.counters[node].items():
            if moved and (name.startswith(PREFIX) or name in _OPENS):
                return f"the kernel's own stack took part: {name} of {node} increased by {moved}"
    return None


def _programs_data(evidence: Evidence) -> str | None:
    """Check that a program sent its data over the proved connections."""
    nodes = evidence.counters.items() if evidence.programs else ()
    doubts = (
        carried.doubt(node, counters, evidence.protocol)
        for node, counters in nodes
        if node not in evidence.shared  # the counters include the data of other flows
    )
    return next(filter(None, doubts), None)


def _unknown(evidence: Evidence) -> str:
    return f"no evidence can prove the protocol {evidence.protocol!r}"


# The checks that prove a protocol of the kernel, beside those of MPTCP. A new one without checks
# proves nothing.
_CHECKS: Final[Mapping[str, tuple[Check, ...]]] = {"tcp": (_tcp,), "mptcp": ()}


def _subflows(evidence: Evidence) -> int:
    """Return the maximum number of simultaneous subflows of a connection.

    Both ends must confirm a subflow. The number is at most that of the joins that the passive end
    saw completed or, if an end uses our own stack, the minimum of what both ends saw.
    """
    if evidence.ours:
        return min(_most(evidence, node) for node in (evidence.source, evidence.target))
    looks = max((view.subflows for view in evidence.connections), default=0)
    return min(looks, 1 + _total(evidence, "MPJoinAckRx"))


def _most(evidence: Evidence, node: str) -> int:
    return max((view.subflows for view in evidence.connections if view.node == node), default=0)


def _total(evidence: Evidence, name: str) -> int:
    return sum(counters.get(PREFIX + name, 0) for counters in evidence.counters.values())


def _is_fallback(name: str) -> bool:
    plain = name.removeprefix(PREFIX)
    return name.startswith(PREFIX) and (
        plain in _FALLBACKS or any(word in plain for word in _FALLBACKS_LIKE)
    )


def _relevant(name: str) -> bool:
    return name.startswith(PREFIX) or name == "TcpActiveOpens"


def _ordinal(number: int) -> str:
    names = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")
    return names[number - 1]
