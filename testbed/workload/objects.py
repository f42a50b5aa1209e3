"""Numbered objects over HTTP/1.1 (RFC 9112): a server and a client.

h11 encodes and parses the messages. Each object is at ``/NUMBER``. Only the content of responses
counts as payload.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import h11

from testbed.errors import WorkloadError
from testbed.workload.alongside import tasks
from testbed.workload.several import Line, Several
from testbed.workload.stacks.model import Transport
from testbed.workload.transfer import (
    Activity,
    Listener,
    Report,
    listening,
    now_ns,
    sleep_until,
)

_METHOD: Final = "GET"


async def serve(
    stack: Transport,
    local: tuple[str, int],
    sizes: Sequence[int],
    seed: int,
    activity: Activity,
    thinks_ns: Sequence[int] = (),
) -> Report:
    """Serve objects of the given sizes until the client needs no more.

    :param thinks_ns: the time from the request to the start of the response of each object; by
        default 0.
    """
    thinks_ns = thinks_ns or [0] * len(sizes)
    async with listening(stack, local, activity) as listener:
        with Several(stack, activity, f"{seed} server") as several:
            async with tasks() as group:
                accepting = group.create_task(_accept(several, listener, sizes, thinks_ns, group))
                await _meet(several, activity)
                accepting.cancel()
            return several.report()


class Client:
    """A client that gets objects.

    :param keep_alive: whether a connection is kept for the next object. Otherwise it carries one
        only.
    """

    def __init__(
        self, several: Several, remote: tuple[str, int], activity: Activity, *, keep_alive: bool
    ) -> None:
        self._several = several
        self._remote = remote
        self._activity = activity
        self._keep_alive = keep_alive
        host, port = remote
        self._host = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._idle: list[tuple[Line, h11.Connection]] = []

    async def get(self, number: int, on_octets: Callable[[int], object] = lambda _: None) -> None:
        """Get an object over an idle connection, or over a new one.

        :param on_octets: called with the number of octets each time some arrive.
        """
        if self._idle:
            line, client = self._idle.pop()
            client.start_next_cycle()
        else:
            line, client = await self._several.connect(self._remote), h11.Connection(h11.CLIENT)
        line.begin(number)
        await _get(client, line, self._request(number), on_octets)
        line.end(number)
        if client.our_state is h11.DONE:
            self._idle.append((line, client))
        else:
            line.begin_to_shut()

    async def finish(self, samples_ns: Sequence[int]) -> Report:
        """Meet the server to end the flow, close all connections, and report."""
        await _meet(self._several, self._activity)
        await self._several.shut()
        return self._several.report(samples_ns)

    def _request(self, number: int) -> h11.Request:
        headers = [("Host", self._host)]
        if not self._keep_alive:
            headers.append(("Connection", "close"))
        return h11.Request(method=_METHOD, target=f"/{number}", headers=headers)


async def _meet(several: Several, activity: Activity) -> None:
    """Meet the other half, and look at the connections before either half closes one."""
    with activity.waiting("the other half"):
        await activity.meet()
        several.look()
        await activity.meet()


async def _accept(
    several: Several,
    listener: Listener,
    sizes: Sequence[int],
    thinks_ns: Sequence[int],
    group: asyncio.TaskGroup,
) -> None:
    while True:
        group.create_task(_answer(await several.accept(listener), sizes, thinks_ns))


async def _answer(line: Line, sizes: Sequence[int], thinks_ns: Sequence[int]) -> None:
    """Answer the requests of a connection until one of the ends closes it."""
    server = h11.Connection(h11.SERVER)
    while isinstance(request := await _event(server, line), h11.Request):
        while not isinstance(await _event(server, line), h11.EndOfMessage):
            pass
        number = _number(request, sizes)
        size, think_ns = (0, 0) if number is None else (sizes[number], thinks_ns[number])
        if think_ns:
            await sleep_until(now_ns() + think_ns)
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
    """Return the number of the requested object, or ``None`` if it does not exist."""
    path = request.target.removeprefix(b"/").decode("ascii", "replace")
    wanted = request.method == _METHOD.encode() and path.isascii() and path.isdigit()
    return int(path) if wanted and int(path) < len(sizes) else None


async def _get(
    client: h11.Connection, line: Line, request: h11.Request, on_octets: Callable[[int], object]
) -> None:
    """Send a request, and receive the response."""
    message = client.send(request) or b""
    line.writer.write(message + (client.send(h11.EndOfMessage()) or b""))
    while True:
        event = await _event(client, line)
        if isinstance(event, h11.Data):
            line.transfer.take(bytes(event.data))
            on_octets(len(event.data))
        elif isinstance(event, h11.EndOfMessage):
            return
        elif isinstance(event, h11.Response) and event.status_code != 200:
            raise WorkloadError(
                f"the client received the status {event.status_code} instead of 200"
            )


async def _event(connection: h11.Connection, line: Line) -> h11.Event:
    """Return the next event of a connection."""
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError as error:
            raise WorkloadError(f"the peer sent invalid HTTP: {error}") from error
        if event is h11.NEED_DATA:
            data = await line.transfer.read(line.reader)
            if not data and connection.their_state is h11.SEND_RESPONSE:
                raise WorkloadError(
                    "the peer ended the connection while the client was waiting for a response"
                )
            connection.receive_data(data)
        elif isinstance(event, h11.Event):
            return event
        else:
            raise WorkloadError("the peer sent more than one message at a time")
