"""Pages over HTTP/1.1 (RFC 9112): objects over several connections, which are kept or not.

The octets of messages are h11's; what is here is which object goes over which connection, and the
times.  The object of a number is at ``/NUMBER``.  Only the content of responses counts as payload.
"""

from __future__ import annotations

import asyncio
import collections
from collections.abc import Sequence
from typing import Final

import h11
import msgspec

from testbed.errors import WorkloadError
from testbed.workload import kinds
from testbed.workload.alongside import alongside, tasks
from testbed.workload.metrics import quantiles
from testbed.workload.result import Findings
from testbed.workload.several import Line, Several
from testbed.workload.stacks.model import Transport
from testbed.workload.transfer import (
    Activity,
    Both,
    Goal,
    Listener,
    Report,
    listening,
    now_ns,
    sleep_until,
)

_METHOD: Final = "GET"


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
        browser = _Browser(several, remote, job, activity)
        samples_ns = await browser.load()
        with activity.waiting("the other half"):
            await activity.meet()
            several.look()
            await activity.meet()
        await several.shut()
        return several.report(samples_ns)


async def serve(stack: Transport, local: tuple[str, int], job: Job, activity: Activity) -> Report:
    """The server's half: it ends when the client has all it wants."""
    sizes = [size for page in job.pages for size in page]
    async with listening(stack, local, activity) as listener:
        with Several(stack, activity, f"{job.seed} server") as several:
            async with tasks() as group:
                accepting = group.create_task(_accept(several, listener, sizes, group))
                with activity.waiting("the other half"):
                    await activity.meet()
                    several.look()
                    await activity.meet()
                accepting.cancel()
            return several.report()


async def _accept(
    several: Several, listener: Listener, sizes: Sequence[int], group: asyncio.TaskGroup
) -> None:
    while True:
        group.create_task(_answer(await several.accept(listener), sizes))


async def _answer(line: Line, sizes: Sequence[int]) -> None:
    """Answer the requests of a connection, until either end wants no more."""
    server = h11.Connection(h11.SERVER)
    while isinstance(request := await _event(server, line), h11.Request):
        while not isinstance(await _event(server, line), h11.EndOfMessage):
            pass
        number = _number(request, sizes)
        size = 0 if number is None else sizes[number]
        head = h11.Response(
            status_code=404 if number is None else 200,
            headers=[("Content-Length", str(size)), ("Content-Type", "application/octet-stream")],
        )
        line.writer.write(server.send(head) or b"")
        if number is not None:
            line.begin(number)
            await line.transfer.send(line.writer, size, lambda data: _content(server, data))
            line.end(number)
        server.send(h11.EndOfMessage())
        if server.our_state is not h11.DONE:
            break
        server.start_next_cycle()
    await line.shut()


def _content(sender: h11.Connection, data: memoryview) -> bytes:
    return sender.send(h11.Data(data=bytes(data))) or b""


def _number(request: h11.Request, sizes: Sequence[int]) -> int | None:
    """Return the number of the object that is wanted, if there is one."""
    path = request.target.removeprefix(b"/").decode("ascii", "replace")
    wanted = request.method == _METHOD.encode() and path.isascii() and path.isdigit()
    return int(path) if wanted and int(path) < len(sizes) else None


class _Browser:
    """Loads pages over at most so many connections at a time."""

    def __init__(
        self, several: Several, remote: tuple[str, int], job: Job, activity: Activity
    ) -> None:
        self._several = several
        self._remote = remote
        self._job = job
        self._activity = activity
        host, port = remote
        self._host = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._idle: list[tuple[Line, h11.Connection]] = []

    async def load(self) -> list[int]:
        """Load all pages, and return the samples."""
        samples_ns: list[int] = []
        began_ns = now_ns()
        number = 0
        for page in self._job.pages:
            if samples_ns:
                await sleep_until(now_ns() + self._job.think_ns)
                until_ns = self._job.until_ns
                if until_ns is not None and now_ns() - began_ns >= until_ns:
                    break
            page_ns = now_ns()
            times_ns = await self._page(number, len(page))
            samples_ns += [now_ns() - page_ns, *times_ns]
            number += len(page)
        return samples_ns

    async def _page(self, first: int, objects: int) -> list[int]:
        """Load a page, whose objects have numbers from ``first`` on; return how long each took."""
        wanted = collections.deque(range(objects))
        times_ns = [0] * objects

        async def fetch() -> None:
            while wanted:
                index = wanted.popleft()
                began_ns = now_ns()
                await self._object(first + index)
                times_ns[index] = now_ns() - began_ns
                self._activity.samples += 1

        await alongside(*(fetch() for _ in range(min(self._job.connections, objects))))
        return times_ns

    async def _object(self, number: int) -> None:
        if self._idle:
            line, client = self._idle.pop()
            client.start_next_cycle()
        else:
            line, client = await self._several.connect(self._remote), h11.Connection(h11.CLIENT)
        line.begin(number)
        await _get(client, line, self._request(number))
        line.end(number)
        if client.our_state is h11.DONE:
            self._idle.append((line, client))
        else:
            line.begin_to_shut()

    def _request(self, number: int) -> h11.Request:
        headers = [("Host", self._host)]
        if not self._job.keep_alive:
            headers.append(("Connection", "close"))
        return h11.Request(method=_METHOD, target=f"/{number}", headers=headers)


async def _get(client: h11.Connection, line: Line, request: h11.Request) -> None:
    """Send a request, and take the response."""
    message = client.send(request) or b""
    line.writer.write(message + (client.send(h11.EndOfMessage()) or b""))
    while True:
        event = await _event(client, line)
        if isinstance(event, h11.Data):
            line.transfer.take(bytes(event.data))
        elif isinstance(event, h11.EndOfMessage):
            return
        elif isinstance(event, h11.Response) and event.status_code != 200:
            raise WorkloadError(f"the client was told {event.status_code} instead of 200")


async def _event(connection: h11.Connection, line: Line) -> h11.Event:
    """Return what comes next."""
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError as error:
            raise WorkloadError(f"the peer's HTTP is wrong: {error}") from error
        if event is h11.NEED_DATA:
            data = await line.transfer.read(line.reader)
            if not data and connection.their_state is h11.SEND_RESPONSE:
                raise WorkloadError(
                    "the client was waiting for a response: the peer ended the connection"
                )
            connection.receive_data(data)
        elif isinstance(event, h11.Event):
            return event
        else:
            raise WorkloadError("the peer sent more than one message at a time")


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
