"""Workloads like those of applications, as they stand in an experiment's YAML."""

from __future__ import annotations

import random

from testbed.units import parse_size
from testbed.workload import rpc
from testbed.workload.base import PairedSpec
from testbed.workload.session import Session
from testbed.workload.sizes import MAX_REQUESTS, Arrivals, Quantity, Sizes, parsed
from testbed.workload.spec import Many


class Rpc(PairedSpec, frozen=True, kw_only=True, tag="rpc"):
    """Requests that begin at the times of ``arrivals``, whether or not others are answered.

    :param request: octets, or a distribution of them; ``response`` likewise.
    :param connections: number of connections; they take turns in the order of the requests.
    """

    request: Quantity | Sizes = 64
    response: Quantity | Sizes = "1KB"
    arrivals: Arrivals
    connections: Many = 1

    def __post_init__(self) -> None:
        self.check_times()
        if self.stop is None and self.arrivals.number is None:
            raise ValueError("`arrivals` need an end: `stop`, or `number` in them")
        self.sessions(seed=0)

    @property
    def longest_ns(self) -> int:
        """The time from the start of the run before which it cannot be over."""
        return self.stop_ns or self.start_ns

    def sessions(self, seed: int) -> tuple[Session, ...]:
        """Return the connections; ``seed`` chooses payloads, sizes and arrivals."""
        length_ns = None if self.stop_ns is None else self.stop_ns - self.start_ns
        sizes = random.Random(f"{seed} sizes")
        calls = [
            (due_ns, drawn("request", self.request, sizes), drawn("response", self.response, sizes))
            for due_ns in self.arrivals.starts_ns(0, length_ns, seed, MAX_REQUESTS)
        ]
        return tuple(
            Session(
                at_ns=self.start_ns,
                job=rpc.Job(
                    calls=tuple(calls[number :: self.connections]), seed=seed, session=number
                ),
            )
            for number in range(self.connections)
        )


def drawn(name: str, size: Quantity | Sizes, rng: random.Random) -> int:
    """Return a size in octets, or the next one of a distribution.

    :raises ValueError: it is none; the message names the field.
    """
    return size.draw(rng) if isinstance(size, Sizes) else parsed(parse_size, name, size)
