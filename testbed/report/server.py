"""A server of reports. It lists folders, shows their pages, and follows running experiments.

It only reads. It looks up folders by their names in the listing, so no path of a URL reaches the
file system. Beyond loopback each request needs the token. On loopback the host name must be a name
of loopback, so that no foreign page can read the server under its own name (DNS rebinding).
"""

from __future__ import annotations

import hmac
import ipaddress
import re
import threading
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlencode

import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from testbed.errors import TestbedError
from testbed.report.building import Options, build, page
from testbed.report.following import Follower
from testbed.report.listing import Entry, Listing, chosen
from testbed.report.page import listed, notice

COOKIE: Final = "testbed-token"
PAGE: Final = 200  # folders on one page of the list
_FILTERS: Final = ("state", "machine", "name", "stack")
_HOST: Final = re.compile(r"(\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<other>[0-9A-Za-z.-]+))(:[0-9]*)?")
_KEPT: Final = 32  # cached pages
_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cache-control", b"no-store"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


def application(root: Path, token: str | None = None) -> Starlette:
    """Return the ASGI application.

    :param root: the directory of the folders.
    :param token: the token that requests must have. Without a token, only requests to a name of
        loopback are answered.
    """
    views = _Views(Listing(root))
    guard = Middleware(_Loopback) if token is None else Middleware(_Token, token=token)
    return Starlette(
        routes=[
            Route("/", views.index, methods=["GET"]),
            Route("/folders.json", views.folders, methods=["GET"]),
            Route("/progress.json", views.progress, methods=["GET"]),
            Route("/report", views.report, methods=["GET"]),
        ],
        middleware=[Middleware(_Headers), guard],
    )


def is_loopback(host: str) -> bool:
    """Return whether only this host can reach an address to listen at."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _Views:
    """The views. They are plain functions, as Starlette runs these in threads."""

    def __init__(self, listing: Listing) -> None:
        self._listing = listing
        self._follower = Follower()
        self._pages = _Pages()

    def index(self, request: Request) -> Response:
        """List folders."""
        search, filters = _asked(request)
        entries = self._listing.entries()
        found = chosen(entries, search, filters)
        first = _number(request.query_params.get("from"))
        shown = found[first : first + PAGE]
        again = {"q": search, **filters}
        further = {
            name: "?" + urlencode({**again, "from": start})
            for name, start in (("Newer", first - PAGE), ("Older", first + PAGE))
            if 0 <= start < len(found)
        }
        choices = {name: _values(entries, name) for name in _FILTERS}
        total = f"{len(found)} of {len(entries)} folders"
        return HTMLResponse(listed(shown, total, search, filters, choices, further))

    def folders(self, request: Request) -> Response:
        """Return the list of folders for programs, and for pages that follow a run."""
        search, filters = _asked(request)
        entries = self._listing.entries()
        wanted = request.query_params.getlist("folder")
        if wanted:
            entries = [entry for entry in entries if entry.id in wanted]
        found = [
            {
                "id": it.id,
                "state": it.state,
                "name": it.name,
                "machine": it.machine,
                "runs": it.runs,
            }
            for it in chosen(entries, search, filters)
        ]
        return JSONResponse(found)

    def progress(self, request: Request) -> Response:
        """Return the progress of those requested folders that are running, for their pages."""
        wanted = request.query_params.getlist("folder")
        running = [it.id for it in self._listing.entries() if it.state == "running"]
        paths = {name: self._listing.path(name) for name in running if name in wanted}
        found = [
            self._follower.progress(name, path) for name, path in paths.items() if path is not None
        ]
        return JSONResponse(msgspec.to_builtins(found))

    def report(self, request: Request) -> Response:
        """Show the page of one or several folders."""
        names = list(dict.fromkeys(request.query_params.getlist("folder")))
        paths = [path for name in names if (path := self._listing.path(name)) is not None]
        if not names or len(paths) < len(names):
            return HTMLResponse(notice("There is no such folder."), 404)
        force = request.query_params.get("force") == "1"
        following = self._running(names)
        key = (force, following, *((name, self._listing.mark(name)) for name in names))

        def make() -> str:
            built, damage = build(paths, Options())
            anyway = None if force else _forced(names)
            return page(built, damage, following=following, force=force, anyway=anyway)

        try:
            return HTMLResponse(self._pages.get(key, make))
        except TestbedError as error:
            return HTMLResponse(notice(str(error)), 422)

    def _running(self, names: Sequence[str]) -> bool:
        return any(it.state == "running" for it in self._listing.entries() if it.id in names)


class _Pages:
    """A cache of pages. Threads share it; it builds one page at a time, and each page once."""

    def __init__(self) -> None:
        self._made: dict[Hashable, str] = {}
        self._making = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], str]) -> str:
        """Return the page of a key; build it if necessary."""
        with self._making:
            if key not in self._made:
                text = make()
                while len(self._made) >= _KEPT:
                    self._made.pop(next(iter(self._made)))
                self._made[key] = text
            return self._made[key]


class _Headers:
    """Adds security headers to responses."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        await self._app(scope, receive, with_headers)


class _Loopback:
    """Answers only requests whose host is a name of loopback."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not is_loopback(_asked_host(scope)):
            refused = PlainTextResponse("testbed: the server does not have this host name\n", 400)
            await refused(scope, receive, send)
        else:
            await self._app(scope, receive, send)


class _Token:
    """Accepts requests with the token: first in the URL, then in a cookie."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        given = request.query_params.get("token")
        if given is not None and self._is(given):
            await self._remembered(request)(scope, receive, send)
        elif self._is(request.cookies.get(COOKIE, "")):
            await self._app(scope, receive, send)
        else:
            refused = PlainTextResponse(
                "testbed: the URL needs the token that testbed serve printed\n", 403
            )
            await refused(scope, receive, send)

    def _is(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self._token.encode())

    def _remembered(self, request: Request) -> Response:
        """Redirect to the URL without the token, which would stay in the browser's history."""
        left = [pair for pair in request.query_params.multi_items() if pair[0] != "token"]
        where = quote(request.url.path) + (f"?{urlencode(left)}" if left else "")
        response = Response(status_code=303, headers={"location": where})
        response.set_cookie(COOKIE, self._token, httponly=True, samesite="strict")
        return response


def _asked_host(scope: Scope) -> str:
    """Return the host that a request names; empty if it names none, or two.

    Starlette's ``url`` has the address of this server for a name that it cannot parse.
    """
    named = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
    found = _HOST.fullmatch(named[0]) if len(named) == 1 else None
    return (found["six"] or found["other"]) if found else ""


def _forced(names: Sequence[str]) -> str:
    """Return the URL of the page that compares folders despite any differences."""
    return "/report?" + urlencode([*(("folder", name) for name in names), ("force", "1")])


def _asked(request: Request) -> tuple[str, dict[str, str]]:
    given = request.query_params
    return given.get("q", ""), {name: given.get(name, "") for name in _FILTERS}


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() and len(text) < 10 else 0


def _values(entries: Sequence[Entry], name: str) -> list[str]:
    if name == "stack":
        return sorted({stack for entry in entries for stack in entry.stacks})
    return sorted({value for entry in entries if (value := str(getattr(entry, name)))})
