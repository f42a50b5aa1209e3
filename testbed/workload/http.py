"""Pages over HTTP/1.1 (RFC 9112): objects over several connections, persistent or not.

This module decides when each object is requested and on which connection, and measures the times.
The kinds ``http`` and ``web`` differ only in the source of their pages.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from testbed.workload import kinds
from testbed.workload.alongside import alongside
from testbed.workload.metrics import quantiles
from testbed.workload.objects import Client
from testbed.workload.objects import serve as serve_objects
from testbed.workload.page import Object
from testbed.workload.result import Findings
from testbed.workload.several import Several
from testbed.workload.stacks.model import Transport
from testbed.workload.transfer import (
    Activity,
    Both,
    Goal,
    Report,
    now_ns,
    sleep_until,
)

# The samples of a page that precede those of its objects.
_OF_PAGE: Final = ("page_load_time", "first_octet_time", "first_object_time")


class Job(kinds.Job, msgspec.Struct, frozen=True, kw_only=True, tag_field=kinds.TAG, tag="http"):
    """Pages, one after the other.

    :param pages: the objects of each page.
    :param think_ns: the time from the end of a page to the start of the next.
    :param until_ns: the time after the start of the first page from which no page begins.
    :param keep_alive: whether a connection carries several objects in turn, or only one.
    """

    pages: tuple[tuple[Object, ...], ...]
    connections: int
    think_ns: int
    until_ns: int | None = None
    keep_alive: bool
    seed: int
    session: int = 0

    @property
    def goal(self) -> Goal:
        """The sum of the halves' activities at the end."""
        return Goal(unit="objects", total=sum(map(len, self.pages)))


class WebJob(Job, frozen=True, kw_only=True, tag="web"):
    """The job of the kind ``web``."""


async def connect(
    stack: Transport, remote: tuple[str, int], job: Job, activity: Activity
) -> Report:
    """The client's half.

    ``Report.samples_ns`` has for each page its load time, the time to its first octet, the time to
    the end of its first object, and then the times of its objects.
    """
    with Several(stack, activity, f"{job.seed} client") as several:
        client = Client(several, remote, activity, keep_alive=job.keep_alive)
        return await client.finish(await _load(client, job, activity))


async def serve(stack: Transport, local: tuple[str, int], job: Job, activity: Activity) -> Report:
    """The server's half. It ends when the client needs no more objects."""
    every = [each for page in job.pages for each in page]
    sizes, thinks_ns = [each.octets for each in every], [each.think_ns for each in every]
    return await serve_objects(stack, local, sizes, job.seed, activity, thinks_ns)


async def _load(client: Client, job: Job, activity: Activity) -> list[int]:
    """Load all pages, and return the samples."""
    samples_ns: list[int] = []
    began_ns = now_ns()
    number = 0
    for page in job.pages:
        if samples_ns:
            await sleep_until(now_ns() + job.think_ns)
            if job.until_ns is not None and now_ns() - began_ns >= job.until_ns:
                break
        samples_ns += await _Page(client, page, number, activity).load(job.connections)
        number += len(page)
    return samples_ns


class _Page:
    """A page that is being loaded.

    :param number: the number of its first object.
    """

    def __init__(
        self, client: Client, objects: Sequence[Object], number: int, activity: Activity
    ) -> None:
        self._client = client
        self._objects = objects
        self._number = number
        self._activity = activity
        self._received = [0] * len(objects)
        self._times_ns = [0] * len(objects)
        self._first_octet_ns: int | None = None
        self._first_object_ns = 0
        self._came = [asyncio.Event() for _ in objects]  # everything that each object waits for
        self._missing = [len(each.after) for each in objects]
        self._waiting: list[list[tuple[int, int]]] = [[] for _ in objects]  # octets, index
        for index, each in enumerate(objects):
            for other, octets in each.after:
                self._waiting[other].append((octets, index))
            if not each.after:
                self._came[index].set()

    async def load(self, connections: int) -> list[int]:
        """Load the page, and return its samples."""
        began_ns = now_ns()
        free = asyncio.Semaphore(connections)  # the longest wait is served first
        await alongside(*(self._fetch(index, free) for index in range(len(self._objects))))
        marks_ns = (now_ns(), self._first_octet_ns or began_ns, self._first_object_ns)
        return [*(mark - began_ns for mark in marks_ns), *self._times_ns]

    async def _fetch(self, index: int, free: asyncio.Semaphore) -> None:
        await self._came[index].wait()
        await sleep_until(now_ns() + self._objects[index].delay_ns)
        async with free:
            began_ns = now_ns()
            await self._client.get(self._number + index, lambda got: self._take(index, got))
            self._times_ns[index] = now_ns() - began_ns
        if index == 0:
            self._first_object_ns = now_ns()
        self._activity.samples += 1

    def _take(self, index: int, octets: int) -> None:
        """Record that octets of an object have arrived."""
        if self._first_octet_ns is None:
            self._first_octet_ns = now_ns()
        self._received[index] += octets
        left = self._waiting[index]
        for wait in [wait for wait in left if wait[0] <= self._received[index]]:
            left.remove(wait)
            self._missing[wait[1]] -= 1
            if not self._missing[wait[1]]:
                self._came[wait[1]].set()


def evaluate(sessions: Sequence[Both]) -> Findings:
    """Return the times of pages and of objects."""
    times_ns: dict[str, list[int]] = {name: [] for name in (*_OF_PAGE, "object_time")}
    octets: list[int] = []
    for both in sessions:
        for page, samples_ns in _loaded(both):
            octets.append(sum(each.octets for each in page))
            for name, sample_ns in zip(_OF_PAGE, samples_ns, strict=False):
                times_ns[name].append(sample_ns)
            times_ns["object_time"] += samples_ns[len(_OF_PAGE) :]
    metrics: dict[str, float] = {"pages": len(octets), "objects": len(times_ns["object_time"])}
    if octets:
        metrics["page_octets"] = sum(octets) / len(octets)
    for name, values_ns in times_ns.items():
        metrics |= quantiles(name, values_ns)
    return Findings(
        metrics=metrics, samples_ns={name: tuple(each) for name, each in times_ns.items()}
    )


def _loaded(both: Both) -> Iterator[tuple[Sequence[Object], Sequence[int]]]:
    """Yield the pages that were loaded, each with its samples."""
    samples_ns, at = both.client.samples_ns, 0
    for page in both.job.pages:
        if at == len(samples_ns):
            return
        end = at + len(_OF_PAGE) + len(page)
        yield page, samples_ns[at:end]
        at = end
