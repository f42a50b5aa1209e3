"""Pages over HTTP/1.1 (RFC 9112): objects over several connections, which are kept or not.

What is here is which object goes over which connection, and the times.
"""

from __future__ import annotations

import collections
from collections.abc import Sequence

import msgspec

from testbed.workload import kinds
from testbed.workload.alongside import alongside
from testbed.workload.metrics import quantiles
from testbed.workload.objects import Client
from testbed.workload.objects import serve as serve_objects
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


class Job(kinds.Job, msgspec.Struct, frozen=True, kw_only=True, tag_field=kinds.TAG, tag="http"):
    """Pages, one after the other.

    :param pages: the octets of each object of each page.
    :param think_ns: from the end of a page to the start of the next.
    :param until_ns: no page begins later than this after the first.
    :param keep_alive: a connection carries one object after the other; else one only.
    """

    pages: tuple[tuple[int, ...], ...]
    connections: int
    think_ns: int
    until_ns: int | None = None
    keep_alive: bool
    seed: int
    session: int = 0

    @property
    def goal(self) -> Goal:
        """What the halves' activities add up to at the end."""
        return Goal(unit="objects", total=sum(map(len, self.pages)))


async def connect(
    stack: Transport, remote: tuple[str, int], job: Job, activity: Activity
) -> Report:
    """The client's half.

    ``Report.samples_ns`` are, page by page, the time of the page and those of its objects.
    """
    with Several(stack, activity, f"{job.seed} client") as several:
        client = Client(several, remote, activity, keep_alive=job.keep_alive)
        return await client.finish(await _load(client, job, activity))


async def serve(stack: Transport, local: tuple[str, int], job: Job, activity: Activity) -> Report:
    """The server's half: it ends when the client has all it wants."""
    sizes = [size for page in job.pages for size in page]
    return await serve_objects(stack, local, sizes, job.seed, activity)


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
        page_ns = now_ns()
        times_ns = await _page(client, job, activity, range(number, number + len(page)))
        samples_ns += [now_ns() - page_ns, *times_ns]
        number += len(page)
    return samples_ns


async def _page(client: Client, job: Job, activity: Activity, numbers: range) -> list[int]:
    """Load a page of objects of these numbers; return how long each took."""
    wanted = collections.deque(enumerate(numbers))
    times_ns = [0] * len(numbers)

    async def fetch() -> None:
        while wanted:
            index, number = wanted.popleft()
            began_ns = now_ns()
            await client.get(number)
            times_ns[index] = now_ns() - began_ns
            activity.samples += 1

    await alongside(*(fetch() for _ in range(min(job.connections, len(numbers)))))
    return times_ns


def evaluate(sessions: Sequence[Both]) -> Findings:
    """Return the times of pages and of objects."""
    pages_ns: list[int] = []
    objects_ns: list[int] = []
    for both in sessions:
        samples_ns, at = both.client.samples_ns, 0
        for page in both.job.pages:
            pages_ns += samples_ns[at : at + 1]
            objects_ns += samples_ns[at + 1 : at + 1 + len(page)]
            at += 1 + len(page)
    return Findings(
        metrics={
            "pages": len(pages_ns),
            "objects": len(objects_ns),
            **quantiles("page_load_time", pages_ns),
            **quantiles("object_time", objects_ns),
        },
        samples_ns={"page_load_time": tuple(pages_ns), "object_time": tuple(objects_ns)},
    )
