"""Page recordings of browsers (HAR 1.2), as pages of the workload ``web``.

``har`` is http://www.softwareishard.com/blog/har-12-spec/. The format does not record which objects
an object waits for. Chromium adds ``_initiator``. Without it, the reader uses the header
``Referer``, or else the document.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urljoin

import msgspec

from testbed.errors import InputError
from testbed.workload.page import MAX_OBJECTS, ObjectSpec, PageSpec
from testbed.workload.sizes import Quantity

MAX_BYTES: Final = 256 * 2**20
_GRAIN_S: Final = 1e-4  # the resolution of delays: a HAR has milliseconds with fractions
_LONGEST: Final = 60  # characters of a name
_URL: Final = re.compile(r"https?://([^/?#]+)([^?#]*)", re.IGNORECASE | re.ASCII)  # host and path
_LEADING: Final = re.compile(r"text/(html|javascript)|application/.*(javascript|json|xml)")


class _Header(msgspec.Struct, frozen=True):
    name: str
    value: str


class _Request(msgspec.Struct, frozen=True, rename="camel"):
    url: str
    headers: tuple[_Header, ...] = ()


class _Content(msgspec.Struct, frozen=True, rename="camel"):
    size: int = 0
    mime_type: str = ""
    compression: int = 0

    @property
    def kind(self) -> str:
        """The MIME type without parameters."""
        return self.mime_type.partition(";")[0].strip().lower()


class _Response(msgspec.Struct, frozen=True, rename="camel"):
    status: int
    content: _Content = _Content()
    body_size: int = -1
    headers_size: int = -1
    redirect_url: str = msgspec.field(name="redirectURL", default="")
    transfer_size: int | None = msgspec.field(name="_transferSize", default=None)


class _Timings(msgspec.Struct, frozen=True):
    send: float = 0
    wait: float = 0
    blocked: float | None = -1
    dns: float | None = -1
    connect: float | None = -1
    ssl: float | None = -1


class _Entry(msgspec.Struct, frozen=True, rename="camel"):
    started_date_time: datetime
    time: float
    request: _Request
    response: _Response
    timings: _Timings = _Timings()
    initiator: Any = msgspec.field(name="_initiator", default=None)
    from_cache: Any = msgspec.field(name="_fromCache", default=None)

    @property
    def began_s(self) -> float:
        """When the browser requested the object. A time without a zone is UTC."""
        began = self.started_date_time
        return (began if began.tzinfo else began.replace(tzinfo=UTC)).timestamp()

    @property
    def first_s(self) -> float:
        """When the response began."""
        timings = self.timings
        ahead = (timings.blocked, timings.dns, timings.connect, timings.send, timings.wait)
        passed_ms = sum(max(0.0, each or 0.0) for each in ahead)
        return self.began_s + min(passed_ms, self.time) / 1e3

    @property
    def ended_s(self) -> float:
        """When the response was complete."""
        return self.began_s + max(0.0, self.time) / 1e3

    @property
    def leads_on(self) -> bool:
        """Whether objects of this type can start requests: documents, scripts, data."""
        return _LEADING.fullmatch(self.response.content.kind) is not None

    @property
    def octets(self) -> int:
        """The size of the content on the network, compressed."""
        response = self.response
        if response.body_size >= 0:
            return max(1, response.body_size)
        if response.transfer_size is not None and response.headers_size >= 0:
            return max(1, response.transfer_size - response.headers_size)
        return max(1, response.content.size - response.content.compression)

    @property
    def connected_ms(self) -> float:
        """The duration of the TCP handshake; 0 on an existing connection."""
        timings = self.timings
        return max(0.0, (timings.connect or 0) - max(0.0, timings.ssl or 0))


class _Log(msgspec.Struct, frozen=True):
    entries: tuple[_Entry, ...] = ()


class _Har(msgspec.Struct, frozen=True):
    log: _Log


def is_one(text: bytes) -> bool:
    """Return whether a file is meant as HAR: whether it is JSON with a ``log``."""
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return isinstance(found, dict) and "log" in found


def read(text: bytes, description: str = "", *, thinking: bool = True) -> PageSpec:
    """Return the page of a recording.

    Objects that did not cross the network and failed ones are omitted: cached objects, ``data:``,
    statuses of 0.

    :param thinking: whether the page includes the computing time of the server.
    :raises InputError: the text is no HAR, has no loaded object, or a size or time is too large.
    """
    try:
        har = msgspec.json.decode(text.removeprefix(codecs.BOM_UTF8), type=_Har)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"it is not a recording in HAR: {error}") from None
    entries = sorted(filter(_counts, har.log.entries), key=lambda entry: entry.began_s)
    if not entries:
        raise InputError("it contains no object that was loaded over HTTP")
    if len(entries) > MAX_OBJECTS:
        raise InputError(f"it has {len(entries)} objects; the maximum is {MAX_OBJECTS}")
    return PageSpec(description=description, objects=tuple(_Reading(entries, thinking).objects()))


def _counts(entry: _Entry) -> bool:
    loaded = entry.response.status >= 200 and not entry.from_cache
    return loaded and _URL.match(entry.request.url) is not None


class _Reading:
    """The conversion of entries to objects, in the order of their requests."""

    def __init__(self, entries: Sequence[_Entry], thinking: bool) -> None:
        self._entries = entries
        self._ended_s = [entry.ended_s for entry in entries]
        self._names = list(_names([entry.request.url for entry in entries]))
        # A response takes one round trip, like a handshake. The rest is computing time.
        trips_ms = [entry.connected_ms for entry in entries if entry.connected_ms > 0]
        self._trip_ms = min(trips_ms, default=None) if thinking else None
        self._latest: dict[str, int] = {}  # the latest earlier entry of each URL

    def objects(self) -> Iterator[ObjectSpec]:
        """Yield the objects."""
        for index, entry in enumerate(self._entries):
            try:
                yield self._object(index, entry)
            except ValueError as error:
                raise InputError(f"{entry.request.url}: {error}") from None
            self._latest[entry.request.url] = index
            if entry.response.redirect_url:
                self._latest[f"-> {_target(entry)}"] = index

    def _object(self, index: int, entry: _Entry) -> ObjectSpec:
        parent = self._parent(index, entry)
        if parent is None:
            return ObjectSpec(name=self._names[index], size=entry.octets, think=self._think(entry))
        before, name = self._entries[parent], self._names[parent]
        part = _part(before, entry.began_s)
        if part is not None:
            after: tuple[str, ...] | dict[str, Quantity] = {name: part}
            ready_s = entry.began_s
        else:
            trigger = self._trigger(index, entry, before)
            after = (name,) if trigger is None else (name, self._names[trigger])
            ready_s = self._ended_s[parent if trigger is None else trigger]
        return ObjectSpec(
            name=self._names[index],
            size=entry.octets,
            after=after,
            delay=written_time(entry.began_s - ready_s),
            think=self._think(entry),
        )

    def _trigger(self, index: int, entry: _Entry, parent: _Entry) -> int | None:
        """Return the last object that ended between parent and entry and may have caused it.

        A HAR does not record that a script waited for data or for another script. Objects that a
        style sheet requests wait for no other object.
        """
        if parent.response.content.kind == "text/css":
            return None
        least_s, most_s, ended_s = parent.ended_s, entry.began_s, self._ended_s
        came = [
            other
            for other in range(index)
            if least_s < ended_s[other] <= most_s and self._entries[other].leads_on
        ]
        return max(came, key=ended_s.__getitem__, default=None)

    def _parent(self, index: int, entry: _Entry) -> int | None:
        """Return the index of the entry that caused the request of an entry."""
        if index == 0:
            return None
        redirected = self._latest.get(f"-> {entry.request.url}")
        if redirected is not None:
            return redirected
        for url in (*_initiators(entry.initiator), *_referers(entry.request.headers)):
            if url in self._latest:
                return self._latest[url]
        return 0

    def _think(self, entry: _Entry) -> str | int:
        if self._trip_ms is None:
            return 0
        return written_time((entry.timings.wait - self._trip_ms) / 1e3)


def _part(before: _Entry, at_s: float) -> int | None:
    """Return how many octets of an object had arrived at a time, or ``None`` for all.

    A HAR contains the arrival times of the first and the last octet. The octets in between are
    assumed to arrive at a constant rate.
    """
    if at_s >= before.ended_s:
        return None
    span_s = before.ended_s - before.first_s
    share = (at_s - before.first_s) / span_s if span_s > 0 else 0.0
    return min(before.octets, max(1, round(share * before.octets)))


def _target(entry: _Entry) -> str:
    """Return the URL that an entry redirects to. The HAR may have it relative to the entry's."""
    try:
        return urljoin(entry.request.url, entry.response.redirect_url)
    except ValueError:  # no URL
        return entry.response.redirect_url


def _initiators(initiator: Any) -> Iterator[str]:
    """Yield the URLs that made Chromium request an object, the nearest first."""
    if not isinstance(initiator, Mapping):
        return
    stack = initiator.get("stack")
    while isinstance(stack, Mapping):
        frames = stack.get("callFrames")
        for frame in frames if isinstance(frames, list) else ():
            if isinstance(frame, Mapping) and isinstance(frame.get("url"), str):
                yield frame["url"]
        stack = stack.get("parent")
    if isinstance(initiator.get("url"), str):
        yield initiator["url"]


def _referers(headers: Sequence[_Header]) -> Iterator[str]:
    return (header.value for header in headers if header.name.lower() == "referer")


def _names(urls: Sequence[str]) -> Iterator[str]:
    """Yield a name for each URL: the shortened path, different from all names before."""
    known: set[str] = set()
    for url in urls:
        parts = _URL.match(url)
        host, path = parts.groups() if parts else ("", url)
        name = path.rstrip("/").rpartition("/")[2] or host
        name = re.sub(r"[^\w.~-]+", "-", name)[:_LONGEST]
        number, unique = 2, name
        while unique in known:
            unique, number = f"{name} {number}", number + 1
        known.add(unique)
        yield unique


def written_time(seconds: float) -> str | int:
    """Return a time in milliseconds, 0 if it is below the resolution."""
    if seconds < _GRAIN_S:
        return 0
    return f"{round(seconds * 1e3, 1):.15g}ms"
