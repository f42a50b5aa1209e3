"""One direction of a wire in the kernel: the qdiscs of the interface that frames leave by.

Without a queue that is netem alone; with one see :mod:`testbed.sandbox.netlink.queues`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from testbed.errors import PlatformError
from testbed.netlink.codec import Request
from testbed.netlink.transport import Netlink
from testbed.sandbox.netlink import netem as kernel
from testbed.sandbox.netlink import qdiscs, queues
from testbed.sandbox.observation import QdiscState
from testbed.units import format_rate
from testbed.wire.netem import Netem, WireCounters
from testbed.wire.queues import grammar
from testbed.wire.queues.kinds import kind_of
from testbed.wire.steps import every

_BELOW_HTB: Final = kernel.Place(queues.CLASS, queues.NETEM)


class Seen:
    """The kernel's account of all interfaces of a namespace."""

    def __init__(self, netlink: Netlink) -> None:
        self._netlink = netlink
        self.netem = qdiscs.read_netem(netlink)
        self.queues = qdiscs.read_queues(netlink)

    def shaper(self, index: int) -> queues.Shaper | None:
        """Return the rate in front of which there is a queue."""
        return queues.read_shaper(self._netlink, index)


def needed(netem: Netem) -> tuple[str, ...]:
    """Return the names of the qdiscs that a direction needs."""
    names = [queues.QDISCS[kind_of(each.queue)] for each in every(netem) if each.queue]
    return ("netem", "htb", *names) if names else ("netem",)


def impossible(netem: Netem, link: str) -> PlatformError | None:
    """Return why no kernel can carry a direction; None: one can."""
    options = every(netem)
    if any(each.trace for each in options):
        what, why = "netem cannot replay opportunities", f"link {link} gives its rate so"
    elif because := next(filter(None, map(_not_shaped, options)), None):
        what, why = f"htb knows no {because}", f"link {link} has a queue in front of such a rate"
    else:
        return None
    return PlatformError(what, why=why, instead="use the emulator: --wire emulator, or auto")


def _not_shaped(netem: Netem) -> str | None:
    return queues.cannot_shape(netem.rate) if netem.queue and netem.rate else None


def build(index: int, netem: Netem, mtu: int, seed: int) -> list[Request]:
    """Return the requests that make the qdiscs of an interface."""
    if netem.queue is None or netem.rate is None:
        return [kernel.new_qdisc(index, netem, mtu, seed)]
    return [
        *queues.new_shaper(index, netem.rate, mtu),
        kernel.new_qdisc(index, queues.without_queue(netem), mtu, seed, _BELOW_HTB),
        queues.new_queue(index, netem, mtu),
    ]


def change(index: int, old: Netem, new: Netem, mtu: int, seed: int) -> list[Request]:
    """Return the requests that change what is different in place; what is held stays.

    :raises PlatformError: it is not possible in place.
    """
    kinds = [each.queue and kind_of(each.queue) for each in (old, new)]
    if kinds[0] != kinds[1]:
        raise PlatformError(
            f"the kernel cannot change a queue from {kinds[0]} to {kinds[1]}",
            why="what waits in a qdisc is lost with it",
            instead="use the emulator: --wire emulator",
        )
    if new.queue is None or new.rate is None:
        return [kernel.change_qdisc(index, new, mtu, seed)]
    requests = []
    if old.rate != new.rate:
        requests.append(queues.change_shaper(index, new.rate, mtu))
    below = queues.without_queue(new)
    if queues.without_queue(old) != below:
        requests.append(kernel.change_qdisc(index, below, mtu, seed, _BELOW_HTB))
    if queues.parameters(old, mtu) != queues.parameters(new, mtu):
        requests.append(queues.change_queue(index, new, mtu))
    return requests


def commands(netem: Netem, mtu: int) -> tuple[str, ...]:
    """Return the tc(8) commands that change a queue, with places for tc and the device."""
    assert netem.queue is not None  # noqa: S101 - asked by the caller
    assert netem.rate is not None  # noqa: S101 - as Netem has it
    kind = kind_of(netem.queue)
    rate = format_rate(netem.rate.bits_per_second)
    _, _, options = grammar.write(netem.queue).partition(" ")
    if kind == "fifo":
        options = f"limit {queues.parameters(netem, mtu)['limit']}"
    below = queues.without_queue(netem).to_tc()
    return (
        f"{{0}} class change {{1}} parent 1: classid 1:1 htb rate {rate} burst {netem.rate.burst}b",
        f"{{0}} qdisc change {{1}} parent 1:1 handle 10: netem {below}",
        f"{{0}} qdisc change {{1}} parent 10:1 handle 20: {queues.QDISCS[kind]} {options}".strip(),
    )


def difference(index: int, netem: Netem, mtu: int, seen: Seen) -> tuple[str, str] | None:
    """Return in words what differs, as wanted and as seen; None: nothing."""
    own = netem if netem.queue is None else queues.without_queue(netem)
    wanted, found = kernel.parameters(own, mtu), seen.netem.get(index)
    if found is None:
        return "a netem qdisc", "another or none"
    if found != wanted:
        return kernel.difference(wanted, found)
    if netem.queue is None or netem.rate is None:
        return None
    shaper, seen_shaper = queues.shaper(netem.rate), seen.shaper(index)
    if shaper != seen_shaper:
        return str(shaper), str(seen_shaper)
    kind, options = kind_of(netem.queue), queues.parameters(netem, mtu)
    seen_kind, seen_options = seen.queues.get(index, ("none", {}))
    if kind == seen_kind and queues.agree(options, seen_options, kind):
        return None
    return f"{kind} {_words(options)}", f"{seen_kind} {_words(seen_options)}"


def counters(netem: Netem, states: Iterable[QdiscState]) -> WireCounters:
    """Return what a direction has done.

    netem counts neither duplicates, corruptions nor reorderings, and its lost and its overflowing
    packets in one number: that is given as loss where a loss is configured.  The drops of a
    discipline are also counted by the qdiscs above it.
    """
    by_kind = {state.kind: state for state in states}
    own = by_kind["netem"]
    if netem.queue is None:
        lossy = netem.loss is not None
        return WireCounters(
            forwarded_packets=own.sent_packets,
            forwarded_bytes=own.sent_bytes,
            dropped_loss=own.dropped if lossy else 0,
            dropped_limit=0 if lossy else own.dropped,
            queued_packets=own.queued_packets,
            queued_bytes=own.queued_bytes,
        )
    kind = kind_of(netem.queue)
    root, queue = by_kind["htb"], by_kind[queues.QDISCS[kind]]
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
