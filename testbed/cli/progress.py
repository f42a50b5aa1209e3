"""The progress of an experiment on stderr: a live line on a terminal, else one line per run."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from testbed.analysis import numbers
from testbed.campaign.watching import Quiet
from testbed.cli.output import console
from testbed.experiment.matrix import PlannedRun
from testbed.results.model import RunRecord, Status
from testbed.text import clean
from testbed.workload.result import Progress

if TYPE_CHECKING:
    from rich.progress import TaskID


class Lines(Quiet):
    """Prints one line when a run is finished."""

    def __init__(self, name: str, total: int, jobs: int = 1) -> None:
        self._name = name
        self._total = total
        self._jobs = jobs
        self._count = 0
        self._began = time.monotonic()

    def end(self, record: RunRecord) -> None:
        """Print the outcome of the run."""
        self._count += 1
        line = f"{self._name}: {self._count}/{self._total} {_finished(record)}{self._left()}"
        print(clean(line), file=sys.stderr)  # without rich, which loads slowly in emulation

    def _left(self) -> str:
        """Return the estimated remaining time, from the mean time of earlier runs.

        Simultaneous runs are on average half finished.
        """
        left = self._total - self._count
        if not left:
            return ""
        beside = min(self._jobs - 1, left) / 2
        passed = time.monotonic() - self._began
        seconds = passed / (self._count + beside) * (left - beside)
        return f" (about {duration(seconds)} left)"


class Live(Lines):
    """A bar over all runs with the current run, and a line for each run that does not count."""

    def __init__(self, name: str, total: int, jobs: int = 1) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )
        from rich.progress import Progress as Display

        super().__init__(name, total, jobs)
        self._console = console(stderr=True)
        self.display = Display(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[now]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            speed_estimate_period=3600,  # runs are few and slow, so estimate from all of them
        )
        self._task: TaskID = self.display.add_task(clean(name), total=total, now="")
        self._run = ""
        self._drawn = 0.0

    def begin(self, run: PlannedRun) -> None:
        """Show the current run."""
        values = " ".join(str(value) for value in run.cell.parameters.values())
        beside = f" and {self._jobs - 1} more" if self._jobs > 1 else ""
        self._run = clean(f"{run.cell.stack} {values}".strip() + beside)
        self.display.update(self._task, now=self._run)

    def progress(self, progress: Progress) -> None:
        """Show the progress of its workload."""
        now = time.monotonic()
        if progress.total and now - self._drawn > 0.1:
            self._drawn = now
            share = min(1.0, progress.done / progress.total)
            self.display.update(self._task, now=f"{self._run} {share:4.0%}")

    def end(self, record: RunRecord) -> None:
        """Advance the bar, and keep a line about a failure."""
        self.display.advance(self._task)
        if record.status is not Status.OK:
            self._console.print(_finished(record))


def duration(seconds: float) -> str:
    """Format a duration: ``40 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


@contextlib.contextmanager
def watcher(name: str, total: int, jobs: int = 1) -> Iterator[Lines]:
    """Yield the watcher that suits standard error."""
    if sys.stderr.isatty():
        live = Live(name, total, jobs)
        with live.display:
            yield live
    else:
        yield Lines(name, total, jobs)


def _finished(record: RunRecord) -> str:
    values = ", ".join(f"{name} = {value}" for name, value in record.parameters.items())
    of = f"{record.stack} ({values})" if values else record.stack
    if record.status is not Status.OK:
        return f"{of}: {record.status}: {record.reason}"
    shown = (
        "goodput",
        "latency_p50",
        "response_time_p50",
        "page_load_time_p50",
        "video_rate",
        "block_delay_p50",
        "duration",
    )
    name = next((name for name in shown if name in record.metrics), None)
    if name is None:
        return f"{of}: ok"
    return f"{of}: ok, {name.replace('_', ' ')} {numbers.number(name, record.metrics[name], None)}"
