"""How flows and the paths of a flow share the network."""

from __future__ import annotations

from typing import Final

from testbed.analysis.derived.derivation import Derivation, Numbers
from testbed.analysis.derived.observed import FlowSeen, Observed
from testbed.analysis.instance import Instance
from testbed.metric import Better, Metric, Source, Subject

METRICS: Final = (
    Metric(
        name="share",
        unit="1",
        better=Better.NEITHER,
        definition="of a flow: its part of the goodput of all flows; of a path: its part of the "
        "acknowledged octets of the flow",
        source=Source.DERIVED,
        of=(Subject.FLOW, Subject.PATH),
        several=True,
    ),
    Metric(
        name="sum",
        unit="bit/s",
        better=Better.HIGHER,
        definition="sum of the goodput of all flows",
        source=Source.DERIVED,
        of=(Subject.RUN,),
        several=True,
    ),
    Metric(
        name="jain",
        unit="1",
        better=Better.HIGHER,
        definition="Jain's index of the goodput of all n flows: at least 1/n, and 1 if all are "
        "equal (Jain, Chiu and Hawe, 1984)",
        source=Source.DERIVED,
        of=(Subject.RUN,),
        several=True,
    ),
    Metric(
        name="aggregation_benefit",
        unit="1",
        better=Better.HIGHER,
        definition="used part of the capacity that the other paths add to the fastest path: 0 is "
        "the fastest path alone, 1 all paths together, -1 nothing (Paasch, Ferlin, Alay and "
        "Bonaventure, CoNEXT 2013); the rates are those of the topology; not defined if two paths "
        "share a link",
        source=Source.DERIVED,
    ),
)


def derive(observed: Observed) -> Numbers:
    """Return the shares, the fairness, and the benefit of multiple paths."""
    goodputs = {
        flow.name: value
        for flow in observed.flows
        if (value := observed.metric(flow, "goodput")) is not None
    }
    total = sum(goodputs.values())
    if len(goodputs) > 1:
        yield Instance(metric="sum"), total
        if total > 0:
            squares = sum(value * value for value in goodputs.values())
            yield Instance(metric="jain"), total * total / (len(goodputs) * squares)
            for name, value in goodputs.items():
                yield Instance(metric="share", flow=name), value / total
    for flow in observed.flows:
        yield from _shares_of_paths(flow)
        benefit = aggregation_benefit(goodputs.get(flow.name), rates(flow))
        if benefit is not None and _disjoint(flow):
            yield Instance(metric="aggregation_benefit", flow=flow.name), benefit


def _shares_of_paths(flow: FlowSeen) -> Numbers:
    acked: dict[str, int] = {path.link: 0 for path in flow.record.paths}
    for subflow in flow.sender.subflows:
        if subflow.link is not None:
            acked[subflow.link] = acked.get(subflow.link, 0) + (subflow.last.bytes_acked or 0)
    total = sum(acked.values())
    for link, octets in acked.items() if total else ():
        yield Instance(metric="share", flow=flow.name, link=link), octets / total


def _disjoint(flow: FlowSeen) -> bool:
    """Return whether the paths of a flow have no common link. Otherwise rates do not add up."""
    links = [link for path in flow.record.paths for link in path.links]
    return len(links) == len(set(links))


def rates(flow: FlowSeen) -> list[int | None]:
    """Return the rate of each path in the direction of the data in bit/s."""
    back = flow.sender is flow.target
    return [path.reverse if back else path.forward for path in flow.record.paths]


def aggregation_benefit(goodput: float | None, capacities: list[int | None]) -> float | None:
    """Return the benefit (Paasch et al., section 4.1); ``None`` if it is not defined.

    :param goodput: the goodput in bit/s. The capacities of the paths have the same unit.
    """
    known = [capacity for capacity in capacities if capacity]
    if goodput is None or len(known) < 2 or len(known) < len(capacities):
        return None
    best = max(known)
    if goodput < best:
        return (goodput - best) / best
    return (goodput - best) / (sum(known) - best)


DERIVATION: Final = Derivation(metrics=METRICS, derive=derive)
