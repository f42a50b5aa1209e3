"""Who carries out jobs: one after the other in this process, or side by side in several."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection
from pathlib import Path
from types import ModuleType
from typing import Final, Protocol

import msgspec

from testbed.campaign.jobs import Bench, Job
from testbed.campaign.watching import Watcher
from testbed.errors import TestbedError
from testbed.experiment.load import Experiment
from testbed.experiment.record import Finished
from testbed.results.model import Status
from testbed.results.store import Store
from testbed.workload.result import Progress


class Writer:
    """Stores what comes back of the jobs of one experiment, and tells the watcher.

    There is one for a result folder; executors call it from one thread.

    :param fail_fast: no more is wanted after the first run that failed or is invalid.
    """

    def __init__(self, store: Store, watcher: Watcher, *, fail_fast: bool = False) -> None:
        self._store = store
        self._watcher = watcher
        self._fail_fast = fail_fast

    def begin(self, job: Job) -> Path:
        """Note that a job begins, and return the directory for its files.

        :raises StoreError: it cannot be made.
        """
        self._watcher.begin(job.run)
        return self._store.begin_run(job.run.number)

    def progress(self, progress: Progress) -> None:
        """Pass on how far a job is."""
        self._watcher.progress(progress)

    def finish(self, finished: Finished) -> bool:
        """Store a run; return whether more are wanted.

        :raises StoreError: it cannot be written; what was stored stays.
        """
        self._store.finish_run(finished.record, finished.files)
        self._watcher.end(finished.record)
        return not (self._fail_fast and finished.record.status is not Status.OK)


class Executor(Protocol):
    """A way to carry out jobs.

    Jobs are values, and so are their results: a job may be done by another process or on another
    computer, as long as ``writer`` is used here, and the directory it returns can be written there
    where packets are captured.
    """

    def carry_out(self, jobs: Sequence[Job], writer: Writer) -> None:
        """Do jobs of one experiment until all are done or the writer wants no more.

        :raises TestbedError: no further job is possible; what was stored stays.
        """


class InOrder:
    """Does one job after the other, in this process: measuring wants quiet.

    :param experiment: whose jobs they will be, if it has been read.
    """

    def __init__(self, experiment: Experiment | None = None) -> None:
        self._bench = Bench(experiment)

    def carry_out(self, jobs: Sequence[Job], writer: Writer) -> None:
        """Do them as they stand."""
        for job in jobs:
            directory = writer.begin(job)
            if not writer.finish(self._bench.carry_out(job, directory, writer.progress)):
                return


_AHEAD: Final = 4  # jobs for each process: one that it does, others that wait or are done


class SideBySide:
    """Does several jobs at a time, each in a process of its own.

    It is for runs whose time is virtual: others would disturb one another.  The results are those
    of :class:`InOrder`.

    :param jobs: how many at a time.
    """

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs

    def carry_out(self, jobs: Sequence[Job], writer: Writer) -> None:
        """Do them, and store each as soon as it is over."""
        context = multiprocessing.get_context("forkserver")
        pool = ProcessPoolExecutor(self._jobs, mp_context=context, initializer=_keep_at_it)
        try:
            self._carry_out(pool, iter(jobs), writer)
        except BrokenProcessPool:
            raise TestbedError("a process that carried out runs has died") from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _carry_out(self, pool: ProcessPoolExecutor, jobs: Iterator[Job], writer: Writer) -> None:
        running: deque[Future[bytes]] = deque()
        while True:
            while len(running) < self._jobs * _AHEAD:
                job = next(jobs, None)
                if job is None:
                    break
                directory = writer.begin(job)
                with _no_main():
                    running.append(pool.submit(_do, msgspec.json.encode(job), directory))
            if not running:
                return
            # In their order: what is stored does not depend on how fast the processes are.
            finished = msgspec.msgpack.decode(running.popleft().result(), type=Finished)
            if not writer.finish(finished):
                return


_bench = Bench()  # of a process that carries out jobs


def _do(job: bytes, directory: Path) -> bytes:
    finished = _bench.carry_out(msgspec.json.decode(job, type=Job), directory, lambda _: None)
    return msgspec.msgpack.encode(finished)


@contextlib.contextmanager
def _no_main() -> Iterator[None]:
    """Keep new processes from importing the main module, as multiprocessing has them do.

    That would carry out a script again that has no ``if __name__ == "__main__"``.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _keep_at_it() -> None:
    """Leave Ctrl-C to the process that started this one, but do not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)
