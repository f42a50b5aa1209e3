"""The YAML specs of workloads that resemble applications."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, ClassVar

import msgspec

from testbed.units import parse_rate, parse_size, parse_time
from testbed.workload import http, rpc, video
from testbed.workload import page as pages
from testbed.workload.base import PairedSpec
from testbed.workload.session import Session
from testbed.workload.sizes import MAX_REQUESTS, MAX_SESSIONS, Arrivals, Quantity, Sizes, parsed
from testbed.workload.spec import Many


class Rpc(PairedSpec, frozen=True, kw_only=True, tag="rpc"):
    """Requests that begin at the times of ``arrivals``, whether or not earlier ones are answered.

    :param request: the size in octets, or a distribution of sizes; so is ``response``.
    :param connections: the number of connections. They take turns in the order of the requests.
    """

    request: Quantity | Sizes = 64
    response: Quantity | Sizes = "1KB"
    arrivals: Arrivals
    connections: Many = 1

    def __post_init__(self) -> None:
        self.check_times()
        if self.stop is None and self.arrivals.number is None:
            raise ValueError("`arrivals` need an end: set `stop`, or `number` of `arrivals`")
        self.sessions(seed=0)

    @property
    def longest_ns(self) -> int:
        """The earliest time, from the start of the run, at which the workload can end."""
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
    """Pages of ``objects`` objects each over HTTP/1.1, one page after the other.

    :param size: the size of an object in octets, or a distribution of sizes.
    :param connections: the largest number of connections at a time.
    :param pages: the number of pages.
    :param think_time: the time from the end of a page to the start of the next.
    :param keep_alive: whether a connection carries several objects in turn, also those of later
        pages. Otherwise each object has its own connection.
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
                f"`objects` times `pages` is {self.objects * self.pages}; the maximum is {most}"
                + ("" if self.keep_alive else " without `keep_alive`")
            )
        self.sessions(seed=0)

    @property
    def brief(self) -> bool:
        """Whether the connections may end before they have a second subflow."""
        return not self.keep_alive

    def sessions(self, seed: int) -> tuple[Session, ...]:
        """Return the session of the client; ``seed`` chooses payloads and sizes."""
        sizes = random.Random(f"{seed} sizes")
        job = http.Job(
            pages=tuple(
                tuple(
                    pages.Object(octets=drawn("size", self.size, sizes))
                    for _ in range(self.objects)
                )
                for _ in range(self.pages)
            ),
            connections=self.connections,
            think_ns=parsed(parse_time, "think_time", self.think_time, zero=True),
            until_ns=None if self.stop_ns is None else self.stop_ns - self.start_ns,
            keep_alive=self.keep_alive,
            seed=seed,
        )
        return (Session(at_ns=self.start_ns, job=job),)


class Web(PairedSpec, frozen=True, kw_only=True, tag="web"):
    """A page that a file describes, loaded ``pages`` times in turn over HTTP/1.1.

    :param page: the name of the file, whose format is :class:`testbed.workload.page.PageSpec`.
    :param connections: the largest number of connections at a time.
    :param think_time: the time from the end of a page to the start of the next.
    :param keep_alive: as in :class:`Http`.
    """

    files: ClassVar[Mapping[str, Callable[[Path], object]]] = {"page": pages.load}

    page: str
    connections: Annotated[int, msgspec.Meta(ge=1, le=256)] = 6
    pages: Annotated[int, msgspec.Meta(ge=1, le=MAX_REQUESTS // pages.MAX_OBJECTS)] = 1
    think_time: Quantity = 0
    keep_alive: bool = True

    def __post_init__(self) -> None:
        self.check_times()
        _ = self._think_ns

    @property
    def brief(self) -> bool:
        """Whether the connections may end before they have a second subflow."""
        return True  # a connection that is opened late may carry a single object

    @property
    def _think_ns(self) -> int:
        return parsed(parse_time, "think_time", self.think_time, zero=True)

    def sessions(self, seed: int) -> tuple[Session, ...]:
        """Return the session of the client; ``seed`` chooses payloads. Raises InputError."""
        job = http.WebJob(
            pages=(pages.load(Path(self.page)),) * self.pages,
            connections=self.connections,
            think_ns=self._think_ns,
            until_ns=None if self.stop_ns is None else self.stop_ns - self.start_ns,
            keep_alive=self.keep_alive,
            seed=seed,
        )
        return (Session(at_ns=self.start_ns, job=job),)


class Video(PairedSpec, frozen=True, kw_only=True, tag="video"):
    """A video of ``segments`` segments, each ``segment`` long, at bit rates that BBA-0 chooses.

    :param ladder: the bit rates, the lowest first.
    :param buffer: the largest play time that the player buffers.
    :param reservoir: the buffer level up to which the lowest bit rate is chosen.
    :param cushion: how far above the reservoir the highest bit rate is chosen. The default values
        are to the highest level, ``buffer`` minus ``segment``, as 90 s and 126 s are to the 240 s
        of the paper.
    """

    ladder: Annotated[tuple[Quantity, ...], msgspec.Meta(min_length=1, max_length=50)]
    segment: Quantity = "4s"
    segments: Many = 30
    buffer: Quantity = "30s"
    reservoir: Quantity | None = None
    cushion: Quantity | None = None

    def __post_init__(self) -> None:
        self.check_times()
        if self.stop is not None:
            raise ValueError("`segments` and `segment` set the length of a video: remove `stop`")
        job = self._job(seed=0)
        if any(low >= high for low, high in itertools.pairwise(job.ladder)):
            raise ValueError("`ladder` must go from the lowest bit rate to the highest")
        if job.buffer_ns < 2 * job.segment_ns:
            raise ValueError("`buffer` must have room for two segments")
        if job.reservoir_ns + job.cushion_ns > job.buffer_ns - job.segment_ns:
            raise ValueError(
                "`reservoir` plus `cushion` is more than `buffer` minus `segment`: "
                "the highest bit rate would never be chosen"
            )

    @property
    def longest_ns(self) -> int:
        """The earliest time, from the start of the run, at which the workload can end."""
        job = self._job(seed=0)
        return self.start_ns + max(0, job.segments * job.segment_ns - job.buffer_ns)

    def sessions(self, seed: int) -> tuple[Session, ...]:
        """Return the session of the player; ``seed`` chooses the payload."""
        return (Session(at_ns=self.start_ns, job=self._job(seed)),)

    def _job(self, seed: int) -> video.Job:
        buffer_ns = parsed(parse_time, "buffer", self.buffer)
        segment_ns = parsed(parse_time, "segment", self.segment)
        most_ns = max(1, buffer_ns - segment_ns)  # the highest level at a request

        def part(name: str, quantity: Quantity | None, usual: int) -> int:
            return usual if quantity is None else parsed(parse_time, name, quantity)

        return video.Job(
            ladder=tuple(parsed(parse_rate, "ladder", rate) for rate in self.ladder),
            segments=self.segments,
            segment_ns=segment_ns,
            buffer_ns=buffer_ns,
            reservoir_ns=part("reservoir", self.reservoir, most_ns * 90 // 240),
            cushion_ns=part("cushion", self.cushion, most_ns * 126 // 240),
            seed=seed,
        )


def drawn(name: str, size: Quantity | Sizes, rng: random.Random) -> int:
    """Return a size in octets, or draw one from a distribution.

    :raises ValueError: the value is no size. The message names the field.
    """
    return size.draw(rng) if isinstance(size, Sizes) else parsed(parse_size, name, size)
