"""One direction of a wire in the kernel: the qdiscs of the interface that sends its frames.

In the middle of a wire without a queue, this is only netem. With a queue, and at the sender, the
rate is a class of htb with netem below: see :mod:`testbed.sandbox.netlink.queues`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from testbed.errors import PlatformError
from testbed.netlink.codec import Request
from testbed.netlink.transport import Netlink
from testbed.sandbox.netlink import netem as kernel
from testbed.sandbox.netlink import qdiscs, queues
from testbed.sandbox.observation import QdiscState
from testbed.units import format_rate
from testbed.wire.netem import Limit, Netem, Rate, WireCounters
from testbed.wire.queues import grammar
from testbed.wire.queues.kinds import kind_of
from testbed.wire.steps import every

_BELOW_HTB: Final = kernel.Place(queues.CLASS, queues.NETEM)
# The default bucket of a class of htb in tc(8), which Mininet uses for cburst: one MTU of
# tc. The larger one that Mininet sets for burst has no effect with it.
_TC_BURST: Final = 1600  # octets


class Seen:
    """The qdiscs of all interfaces of a namespace, as read from the kernel."""

    def __init__(self, netlink: Netlink) -> None:
        self._netlink = netlink
        self.netem = qdiscs.read_netem(netlink)
        self.queues = qdiscs.read_queues(netlink)

    def shaper(self, index: int) -> queues.Shaper | None:
        """Return the class of htb of an interface, or None if there is none."""
        return queues.read_shaper(self._netlink, index)


class Layers(msgspec.Struct, frozen=True):
    """The qdiscs of a direction, from the root down.

    :param rate: the rate of the class of htb; ``None`` if netem is the root and has the rate
        itself.
    :param netem: the options of netem.
    :param queue: all options of the direction if there is a discipline below netem.
    """

    rate: Rate | None
    netem: Netem
    queue: Netem | None


def layers(netem: Netem, mtu: int, *, at_sender: bool = False) -> Layers:
    """Return the qdiscs that implement a direction.

    :param at_sender: whether the qdiscs are on the sender's own interface. There, as in Mininet,
        htb has the rate, and netem below it has the limit.
    """
    if netem.rate is None or not (netem.queue or at_sender):
        return Layers(rate=None, netem=netem, queue=None)
    if netem.queue is not None:
        return Layers(rate=netem.rate, netem=queues.without_queue(netem), queue=netem)
    limit = Limit(value=netem.limit_packets(mtu))
    return Layers(
        rate=msgspec.structs.replace(netem.rate, burst=_TC_BURST),
        netem=msgspec.structs.replace(netem, rate=None, limit=limit),
        queue=None,
    )


def needed(netem: Netem, *, at_sender: bool = False) -> tuple[str, ...]:
    """Return the names of the qdiscs that a direction needs."""
    options = every(netem)
    names = [queues.QDISCS[kind_of(each.queue)] for each in options if each.queue]
    htb = names or (at_sender and any(each.rate for each in options))
    return ("netem", "htb", *names) if htb else ("netem",)


def impossible(netem: Netem, link: str, *, at_sender: bool = False) -> PlatformError | None:
    """Return why no kernel can carry a direction, or None if a kernel can."""
    options = every(netem)
    of_htb = (each.rate for each in options if each.rate and (each.queue or at_sender))
    if any(each.trace for each in options):
        what, why = "netem cannot replay opportunities", f"the trace of link {link} has them"
    elif because := next(filter(None, map(queues.cannot_shape, of_htb)), None):
        where = "shaper at the sender" if at_sender else "queue"
        what, why = f"htb does not support {because}", f"link {link} needs htb for its {where}"
    else:
        return None
    instead = "use the emulator: --wire emulator, or auto"
    return PlatformError(what, why=why, instead="shape in the middle" if at_sender else instead)


def build(
    index: int, netem: Netem, mtu: int, seed: int, *, at_sender: bool = False
) -> list[Request]:
    """Return the requests that create the qdiscs of an interface."""
    found = layers(netem, mtu, at_sender=at_sender)
    if found.rate is None:
        return [kernel.new_qdisc(index, netem, mtu, seed)]
    return [
        *queues.new_shaper(index, found.rate, mtu),
        kernel.new_qdisc(index, found.netem, mtu, seed, _BELOW_HTB),
        *([] if found.queue is None else [queues.new_queue(index, found.queue, mtu)]),
    ]


def change(
    index: int, old: Netem, new: Netem, mtu: int, seed: int, *, at_sender: bool = False
) -> list[Request]:
    """Return the requests that apply the differences in place. Queued packets stay.

    :raises PlatformError: the change is not possible in place.
    """
    kinds = [each.queue and kind_of(each.queue) for each in (old, new)]
    before, after = (layers(each, mtu, at_sender=at_sender) for each in (old, new))
    if kinds[0] != kinds[1] or (before.rate is None) is not (after.rate is None):
        instead = "use the emulator: --wire emulator"
        what = f"change the queue from {kinds[0] or 'none'} to {kinds[1] or 'none'}"
        if kinds[0] == kinds[1]:
            what, instead = "add or remove a rate at the sender", "give it a rate from the start"
        raise PlatformError(
            f"the kernel cannot {what}",
            why="the packets in the old qdisc would be lost",
            instead=instead,
        )
    if after.rate is None:
        return [kernel.change_qdisc(index, new, mtu, seed)]
    requests = []
    if before.rate != after.rate:
        requests.append(queues.change_shaper(index, after.rate, mtu))
    if before.netem != after.netem:
        requests.append(kernel.change_qdisc(index, after.netem, mtu, seed, _BELOW_HTB))
    if after.queue and queues.parameters(old, mtu) != queues.parameters(new, mtu):
        requests.append(queues.change_queue(index, new, mtu))
    return requests


def commands(netem: Netem, mtu: int, *, at_sender: bool = False) -> tuple[str, ...]:
    """Return the tc(8) commands that change htb and the qdiscs below it.

    The commands contain format fields for tc itself and for the device.
    """
    found = layers(netem, mtu, at_sender=at_sender)
    assert found.rate is not None  # noqa: S101 - asked by the caller
    rate, burst = format_rate(found.rate.bits_per_second), found.rate.burst
    words = [
        f"{{0}} class change {{1}} parent 1: classid 1:1 htb rate {rate} burst {burst}b",
        f"{{0}} qdisc change {{1}} parent 1:1 handle 10: netem {found.netem.to_tc()}",
    ]
    if netem.queue is not None:
        kind = kind_of(netem.queue)
        _, _, options = grammar.write(netem.queue).partition(" ")
        if kind == "fifo":
            options = f"limit {queues.parameters(netem, mtu)['limit']}"
        below = f"handle 20: {queues.QDISCS[kind]} {options}".strip()
        words.append(f"{{0}} qdisc change {{1}} parent 10:1 {below}")
    return tuple(words)


def difference(
    index: int, netem: Netem, mtu: int, seen: Seen, *, at_sender: bool = False
) -> tuple[str, str] | None:
    """Return the differences in words, as wanted and as seen, or None if there are none."""
    own = layers(netem, mtu, at_sender=at_sender)
    wanted, found = kernel.parameters(own.netem, mtu), seen.netem.get(index)
    if found is None:
        return "a netem qdisc", "no netem qdisc"
    if found != wanted:
        return kernel.difference(wanted, found)
    if own.rate is None:
        return None
    shaper, seen_shaper = queues.shaper(own.rate), seen.shaper(index)
    if shaper != seen_shaper:
        return str(shaper), str(seen_shaper)
    if netem.queue is None:
        return None
    kind, options = kind_of(netem.queue), queues.parameters(netem, mtu)
    seen_kind, seen_options = seen.queues.get(index, ("none", {}))
    if kind == seen_kind and queues.agree(options, seen_options, kind):
        return None
    return f"{kind} {_words(options)}", f"{seen_kind} {_words(seen_options)}"


def counters(netem: Netem, states: Iterable[QdiscState]) -> WireCounters:
    """Return the counters of a direction.

    netem counts neither duplicates, corruptions nor reorderings. It counts lost packets and packets
    beyond its limit in one number, which is reported as loss if a loss is configured. The qdiscs
    above a discipline count its drops, too.
    """
    by_kind = {state.kind: state for state in states}
    own = by_kind["netem"]
    root = by_kind.get("htb", own)
    if netem.queue is None:
        lossy = netem.loss is not None
        return WireCounters(
            forwarded_packets=root.sent_packets,
            forwarded_bytes=root.sent_bytes,
            dropped_loss=own.dropped if lossy else 0,
            dropped_limit=0 if lossy else own.dropped,
            queued_packets=own.queued_packets,
            queued_bytes=own.queued_bytes,
        )
    kind = kind_of(netem.queue)
    queue = by_kind[queues.QDISCS[kind]]
    full = queue.dropped if kind == "fifo" else min(queue.dropped, queue.overlimit)
    return WireCounters(
        forwarded_packets=root.sent_packets,
        forwarded_bytes=root.sent_bytes,
        dropped_loss=max(0, own.dropped - queue.dropped) if netem.loss is not None else 0,
        dropped_limit=full,
        dropped_early=queue.dropped - full,
        marked=queue.marked,
        queued_packets=own.queued_packets,
        queued_bytes=own.queued_bytes,
        waiting_bytes=queue.queued_bytes,
    )


def _words(options: dict[str, int]) -> str:
    return " ".join(f"{name} {value}" for name, value in options.items())
