"""`testbed serve`: look at result folders in a browser."""

from __future__ import annotations

import secrets
import socket
from pathlib import Path
from typing import Annotated

import typer

from testbed.cli.output import console
from testbed.errors import InputError, PlatformError
from testbed.hints import extra


def command(
    directory: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="The folder with the result folders.")
    ] = Path("results"),
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Listen here.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Listen on this port.")] = 8000,
) -> None:
    """Show result folders in a browser.

    The pages are a list with search, the reports, and the runs of a campaign as they end. The
    server only reads files. Only this host can reach it, unless --host names another address. In
    that case the printed URL has a token, and requests without it get no answer.

        testbed serve

        testbed serve --port 8080 results

        testbed serve --host 192.0.2.1 results
    """
    try:
        import uvicorn

        from testbed.report.server import application, is_loopback
    except ImportError:
        raise PlatformError(
            "Starlette or uvicorn is not installed",
            why="pages are served with them",
            instead=extra("serve"),
        ) from None
    if not directory.is_dir():
        raise InputError(f"{directory} is not a directory")
    token = None if is_loopback(host) else secrets.token_urlsafe(24)
    settings = uvicorn.Config(
        application(directory, token), host=host, port=port, log_level="warning", access_log=False
    )
    listening = _listening(host, port)
    where = f"[{host}]" if ":" in host else host
    address = f"http://{where}:{listening.getsockname()[1]}/" + (f"?token={token}" if token else "")
    console().print(f"Serving {directory} at {address}  (Ctrl-C ends it)", soft_wrap=True)
    uvicorn.Server(settings).run(sockets=[listening])


def _listening(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    :raises InputError: the address is not this host's, or its port is not free.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise InputError(
            f"cannot listen at {host}, port {port}: {error.strerror}",
            hint="choose others with --host and --port; --port 0 takes a free one",
        ) from error
