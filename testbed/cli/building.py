"""The progress of a kernel build on stderr: a live line on a terminal, else separate lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Final

import typer

_LINE_EVERY_S: Final = 15.0
_ENOUGH_S: Final = 20.0  # seconds of compiling before the rest is estimated
_CLEAR: Final = "\r\x1b[K"


class Lines:
    """Print a line for each step, and periodically one with the number of compiled files.

    :param now: the clock in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        # The time when compiling began, and the number of compiled files at that time.
        self._began: tuple[float, int] | None = None
        self._due = 0.0

    def step(self, text: str) -> None:
        """Print the present step."""
        self._print(text)
        self._began = None

    def compiled(self, done: int, total: int | None) -> None:
        """Print the progress of compiling, if a line is due."""
        now = self._now()
        if self._began is None:
            self._began = (now, done)
            self._due = now + self._interval_s
        if now >= self._due:
            self._due = now + self._interval_s
            self._print_progress(f"{_files(done, total)}{self._rest(now, done, total)}")

    _interval_s = _LINE_EVERY_S

    def _rest(self, now: float, done: int, total: int | None) -> str:
        since, first = self._began or (now, done)
        if total is None or now - since < _ENOUGH_S or not first < done < total:
            return ""
        seconds = (total - done) * (now - since) / (done - first)
        return f", some {max(1, round(seconds / 60))} min left"

    def _print(self, text: str) -> None:
        typer.echo(text, err=True)

    def _print_progress(self, text: str) -> None:
        self._print(text)


class Live(Lines):
    """Rewrite one line with the number of compiled files on a terminal."""

    _interval_s = 0.5

    def _print(self, text: str) -> None:
        typer.echo(f"{_CLEAR}{text}", err=True)

    def _print_progress(self, text: str) -> None:
        typer.echo(f"{_CLEAR}{text}", err=True, nl=False)


def watcher() -> Lines:
    """Return the watcher that suits standard error."""
    return Live() if sys.stderr.isatty() else Lines()


def _files(done: int, total: int | None) -> str:
    return f"{done} files compiled" if total is None else f"{done} of about {total} files compiled"
