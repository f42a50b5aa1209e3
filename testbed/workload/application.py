"""Workloads like those of applications, as they stand in an experiment's YAML."""

from __future__ import annotations

import random
from typing import Annotated

import msgspec

from testbed.units import parse_size, parse_time
from testbed.workload import http, rpc
from testbed.workload.base import PairedSpec
from testbed.workload.session import Session
from testbed.workload.sizes import MAX_REQUESTS, MAX_SESSIONS, Arrivals, Quantity, Sizes, parsed
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


class Http(PairedSpec, frozen=True, kw_only=True, tag="http"):
    """Pages of ``objects`` objects over HTTP/1.1, one page after the other.

    :param size: octets of an object, or a distribution of them.
    :param connections: at most so many at a time.
    :param pages: how many.
    :param think_time: from the end of a page to the start of the next.
    :param keep_alive: a connection carries one object after the other, also of later pages; else
        each object has a connection of its own.
    """

    objects: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 20
    size: Quantity | Sizes = "16KB"
    connections: Annotated[int, msgspec.Meta(ge=1, le=256)] = 6
    pages: Many = 1
    think_time: Quantity = 0
    keep_alive: bool = True

    def __post_init__(self) -> None:
        self.check_times()
        most = MAX_REQUESTS if self.keep_alive else MAX_SESSIONS
        if self.objects * self.pages > most:
            raise ValueError(
                f"`objects` times `pages` is {self.objects * self.pages}; at most {most}"
                + ("" if self.keep_alive else " where each has a connection")
            )
        self.sessions(seed=0)

    @property
    def brief(self) -> bool:
        """Whether its connections may end before they have a second subflow."""
        return not self.keep_alive

    def sessions(self, seed: int) -> tuple[Session, ...]:
        """Return what the client loads; ``seed`` chooses payloads and sizes."""
        sizes = random.Random(f"{seed} sizes")
        job = http.Job(
            pages=tuple(
                tuple(drawn("size", self.size, sizes) for _ in range(self.objects))
                for _ in range(self.pages)
            ),
            connections=self.connections,
            think_ns=parsed(parse_time, "think_time", self.think_time, zero=True),
            until_ns=None if self.stop_ns is None else self.stop_ns - self.start_ns,
            keep_alive=self.keep_alive,
            seed=seed,
        )
        return (Session(at_ns=self.start_ns, job=job),)


def drawn(name: str, size: Quantity | Sizes, rng: random.Random) -> int:
    """Return a size in octets, or the next one of a distribution.

    :raises ValueError: it is none; the message names the field.
    """
    return size.draw(rng) if isinstance(size, Sizes) else parsed(parse_size, name, size)
