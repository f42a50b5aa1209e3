"""From the options of a queue to the queue."""

from __future__ import annotations

from collections.abc import Callable

from testbed.wire.queues.codel import CodelQueue
from testbed.wire.queues.discipline import Discipline, FifoQueue, H, Surroundings
from testbed.wire.queues.fq_codel import FqCodelQueue
from testbed.wire.queues.kinds import Codel, Fifo, FqCodel, Pie, Queue, Red
from testbed.wire.queues.pie import PieQueue
from testbed.wire.queues.red import RedQueue


def make(
    queue: Queue,
    around: Surroundings[H],
    *,
    packets: int,
    octet_ns: Callable[[], float],
    now_ns: int,
) -> Discipline[H]:
    """Return an empty queue.

    :param packets: the limit of a FIFO, in packets.
    :param octet_ns: returns how long an octet takes at the rate of the wire.
    """
    if isinstance(queue, Codel):
        return CodelQueue(queue, around)
    if isinstance(queue, FqCodel):
        return FqCodelQueue(queue, around)
    if isinstance(queue, Pie):
        return PieQueue(queue, around, now_ns)
    if isinstance(queue, Red):
        return RedQueue(queue, around, octet_ns, now_ns)
    return FifoQueue(packets, around)


def change(discipline: Discipline[H], queue: Queue, *, packets: int) -> bool:
    """Put other options of the same kind in force; what waits stays.

    :returns: whether it was possible; another kind needs another discipline.
    """
    match discipline, queue:
        case FifoQueue(), Fifo():
            discipline.limit = packets
        case CodelQueue(), Codel():
            discipline.change(queue)
        case FqCodelQueue(), FqCodel():
            discipline.change(queue)
        case PieQueue(), Pie():
            discipline.change(queue)
        case RedQueue(), Red():
            discipline.change(queue)
        case _:
            return False
    return True
