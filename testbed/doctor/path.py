"""The effect of the path on MPTCP: a comparison of the sent with the received segments.

The counters are those of ``net/mptcp/mib.c``. They cover all connections since the creation of the
node.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from testbed.doctor.case import Case, Finding

_CAPTURE = "`testbed capture` at both ends shows it; `testbed status` lists boxes of the topology"


class Both(NamedTuple):
    """The counters of a client and a server."""

    case: Case

    def client(self, counter: str) -> int:
        """Return a counter of the client's kernel."""
        return self.case.count(self.case.client, f"MPTcpExt{counter}")

    def server(self, counter: str) -> int:
        """Return a counter of the server's kernel."""
        return self.case.count(self.case.server, f"MPTcpExt{counter}")


def handshakes(case: Case) -> Iterator[Finding]:
    """The path removes MP_CAPABLE from a segment of the handshake, or drops SYNs with it."""
    both = Both(case)
    sent, came = both.client("MPCapableSYNTX"), both.server("MPCapableSYNRX")
    without = both.client("MPCapableFallbackSYNACK")
    dropped = both.client("MPCapableSYNTXDrop")
    if dropped and not came:
        yield Finding(
            "syn_dropped",
            case.client,
            f"SYNs with MP_CAPABLE got no answer, and one without did: something toward "
            f"{case.server} drops them (MPCapableSYNTXDrop: {dropped})",
            f"let TCP option 30 pass on the path; {_CAPTURE}",
        )
    if without and not _listens(case):
        yield Finding(
            "fallback",
            case.client,
            f"connections fell back to TCP: {case.server} answered without MP_CAPABLE, as its "
            f"sockets are plain TCP (MPCapableFallbackSYNACK: {without})",
            "start the server with IPPROTO_MPTCP, for example: mptcpize run COMMAND",
        )
    elif without:
        where = f"from SYN/ACKs toward {case.client}, as the SYNs arrived"
        if came < sent:
            where = f"from SYNs toward {case.server}, which got {came} of {sent}"
        yield Finding(
            "capable_removed",
            case.client,
            f"connections fell back to TCP: the path removes MP_CAPABLE {where} "
            f"(MPCapableFallbackSYNACK: {without})",
            f"let TCP option 30 pass on the path; {_CAPTURE}",
        )


def after_handshakes(case: Case) -> Iterator[Finding]:
    """The path removes MPTCP options from segments after the SYN."""
    for node, counter, what in (
        (case.server, "MPCapableFallbackACK", "the third ACK came without MP_CAPABLE"),
        (case.server, "DssFallback", "data came without a mapping"),
        (case.client, "DssFallback", "data came without a mapping"),
        (case.server, "MPCapableDataFallback", "the first data came without MP_CAPABLE"),
    ):
        count = case.count(node, f"MPTcpExt{counter}")
        if count:
            yield Finding(
                "options_removed",
                node,
                f"connections fell back to TCP: {what}, so the path removes options from segments "
                f"that have no SYN, toward {node} ({counter}: {count})",
                f"let TCP option 30 pass on the path; {_CAPTURE}",
            )


def joins(case: Case) -> Iterator[Finding]:
    """The path drops or changes a segment of the handshake of a further subflow."""
    both = Both(case)
    sent, came = both.client("MPJoinSynTx"), both.server("MPJoinSynRx")
    answered, acked = both.client("MPJoinSynAckRx"), both.server("MPJoinAckRx")
    if came < sent:
        yield Finding(
            "join_lost",
            case.client,
            f"{case.server} got {came} of {sent} SYNs with MP_JOIN (MPJoinSynTx, MPJoinSynRx): the "
            "path drops them or removes the option",
            f"let SYNs of further subflows pass; {_CAPTURE}",
        )
    refused = both.server("MPJoinRejected") + both.server("MPJoinNoTokenFound")
    if answered < came - refused:
        yield Finding(
            "join_answer_lost",
            case.client,
            f"it got {answered} SYN/ACKs with MP_JOIN for {came} SYNs that arrived "
            "(MPJoinSynAckRx, MPJoinSynRx): the path drops them or removes the option, or the "
            "connection ended before they came",
            f"let SYN/ACKs of further subflows pass; {_CAPTURE}",
        )
    wrong = both.client("MPJoinSynAckHMacFailure") + both.server("MPJoinAckHMacFailure")
    if acked + wrong < answered:
        yield Finding(
            "join_ack_lost",
            case.server,
            f"it got {acked} third ACKs with MP_JOIN of {answered} (MPJoinAckRx, MPJoinSynAckRx): "
            "the path removes options from segments that have no SYN",
            f"let TCP option 30 pass on the path; {_CAPTURE}",
        )


def announcements(case: Case) -> Iterator[Finding]:
    """Announced addresses do not arrive."""
    for sender, receiver in ((case.server, case.client), (case.client, case.server)):
        sent, came = (
            case.count(node, f"MPTcpExt{counter}")
            for node, counter in ((sender, "AddAddrTx"), (receiver, "AddAddr"))
        )
        dropped = case.count(receiver, "MPTcpExtAddAddrDrop")
        if sent and not came + dropped:
            yield Finding(
                "announcement_lost",
                receiver,
                f"{sender} sent {sent} ADD_ADDR, and none arrived (AddAddrTx, AddAddr): the path "
                "removes the option",
                f"let ADD_ADDR pass, or add an endpoint with the flag subflow at {receiver}; "
                f"{_CAPTURE}",
            )


def _listens(case: Case) -> bool:
    """Return whether the server may support MPTCP: no observation contradicts it."""
    listeners = case.states[case.server].listeners
    speaks = any(each.protocol == "mptcp" for each in listeners)
    return speaks or not listeners or case.serves_by_our_stack
