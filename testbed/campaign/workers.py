"""The workers of a cluster as one hand. The jobs of a lost worker are given to others."""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import queue
import threading
import time
import uuid
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

import msgspec

from testbed.campaign import at_worker
from testbed.campaign.at_worker import Answer, Done, Question, Work
from testbed.campaign.cluster import Cluster
from testbed.campaign.fitness import Fitness
from testbed.campaign.messages import AnyMessage, Enlisted, Order, Over
from testbed.errors import PlatformError, StoreError, TestbedError

if TYPE_CHECKING:
    from distributed import Future

_POLL_S: Final = 0.3
_PATIENCE_S: Final = 60.0  # the wait for a suitable worker
_AHEAD: Final = 2  # simulations that a worker holds: one in progress, one that waits
_LOSSES: Final = 3  # workers lost during the same run, after which it is given to no other


class _Present(msgspec.Struct, frozen=True):
    """The present workers."""

    addresses: frozenset[str]


class _Came(msgspec.Struct, frozen=True):
    """The answer of a worker.

    :param key: the key of the request.
    """

    key: str
    octets: bytes | None
    error: BaseException | None = None


class _Gone(msgspec.Struct, frozen=True):
    """The cluster is not reachable any more."""

    error: TestbedError


class _Asked(msgspec.Struct):
    """A request to a worker; ``order`` is ``None`` if it asks for the worker's description."""

    address: str
    future: Future
    order: Order | None


class Workers:
    """Gives jobs of one experiment to the workers of a cluster.

    One thread (:meth:`_watch`) and Dask's callbacks report events. The thread that calls
    :meth:`give` and :meth:`hear` does everything else.

    :param cluster: the cluster, for exclusive use.
    :param question: the question for each worker before it gets a job.
    :param fitness: the judge of the answers.
    """

    def __init__(self, cluster: Cluster, question: Question, fitness: Fitness) -> None:
        self._cluster = cluster
        self._question = msgspec.msgpack.encode(question)
        self._fitness = fitness
        self._campaign = uuid.uuid4().hex
        self._events: queue.SimpleQueue[_Present | _Came | _Gone] = queue.SimpleQueue()
        self.says, self._bell = multiprocessing.Pipe(duplex=False)
        self._ringing = threading.Lock()
        self._ended = threading.Event()
        self._present: frozenset[str] = frozenset()
        self._answers: dict[str, Answer] = {}
        self._fit: dict[str, Answer] = {}
        self._told: set[str] = set()
        self._asked: dict[str, _Asked] = {}
        self._waiting: deque[Order] = deque()
        self._losses: Counter[int] = Counter()
        self._ever_fit = False
        self._fit_at = time.monotonic()  # the last time at which a worker was suitable
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    @property
    def room(self) -> int:
        """How many more jobs its workers can take."""
        taken = len(self._waiting) + sum(it.order is not None for it in self._asked.values())
        return max(0, len(self._fit) * self._ahead - taken)

    @property
    def _ahead(self) -> int:
        return 1 if self._fitness.real else _AHEAD

    @property
    def busy(self) -> bool:
        """Whether jobs are unfinished."""
        return bool(self._waiting) or any(it.order is not None for it in self._asked.values())

    def give(self, orders: Sequence[Order]) -> None:
        """Give each job to the worker with the fewest jobs."""
        self._waiting.extend(orders)
        self._hand_out()

    def _hand_out(self) -> None:
        given = Counter(it.address for it in self._asked.values() if it.order is not None)
        while self._waiting and self._fit:
            address = min(self._fit, key=lambda it: (given[it], it))
            if given[address] >= self._ahead:
                return
            given[address] += 1
            order = self._waiting.popleft()
            environment = self._fit[address].environment
            if environment is None:  # unreachable: the worker is suitable
                raise TestbedError(f"the worker {address} has no environment")
            work = Work(
                job=order.job,
                campaign=self._campaign,
                software=environment,
                plugins=environment.plugins,
            )
            self._ask(address, at_worker.work, msgspec.msgpack.encode(work), order)

    def _ask(self, address: str, function: Any, octets: bytes, order: Order | None) -> None:
        """Call a function on a given worker."""
        key = f"testbed-{uuid.uuid4().hex}"
        future = self._cluster.client.submit(
            function,
            octets,
            key=key,
            workers=[address],
            allow_other_workers=False,
            pure=False,
            retries=0,
        )
        self._asked[key] = _Asked(address, future, order)
        future.add_done_callback(functools.partial(self._fetch, key))

    def _fetch(self, key: str, future: Future) -> None:
        """Fetch a worker's result, in the thread of Dask's callbacks."""
        try:
            came = _Came(key, future.result())
        except BaseException as error:
            came = _Came(key, None, error)
        self._say(came)

    def _say(self, event: _Present | _Came | _Gone) -> None:
        self._events.put(event)
        with self._ringing, contextlib.suppress(OSError):  # closed: the listener has ended
            self._bell.send_bytes(b".")

    def _watch(self) -> None:
        """Report the present workers periodically, in a separate thread."""
        while not self._ended.is_set():
            try:
                there = frozenset(self._cluster.workers())
            except TestbedError as error:
                if not self._ended.is_set():
                    self._say(_Gone(error))
                return
            self._say(_Present(there))
            self._ended.wait(_POLL_S)

    def hear(self) -> Iterator[AnyMessage | bytes]:
        """Yield the messages of workers about themselves and runs.

        :raises PlatformError: no worker can carry out the runs.
        :raises TestbedError: no worker is left, or a worker could not do a job.
        """
        self.says.recv_bytes()
        match self._events.get():
            case _Gone(error=error):
                raise error
            case _Present(addresses=addresses):
                self._compare(addresses)
            case _Came(key=key) as came if key in self._asked:
                asked = self._asked.pop(key)
                yield from self._answered(asked, came)
        yield from self._judge()
        self._hand_out()

    def _compare(self, addresses: frozenset[str]) -> None:
        """Question new workers, and give the jobs of lost workers to others."""
        for address in sorted(self._present - addresses):
            self._lost(address)
        for address in sorted(addresses - self._present):
            self._ask(address, at_worker.look, self._question, None)
        self._present = addresses
        if self._fit:
            self._fit_at = time.monotonic()
        elif time.monotonic() - self._fit_at > _PATIENCE_S:
            raise TestbedError(
                f"{self._cluster.name} has had no fit worker for {_PATIENCE_S:.0f} s",
                hint="start workers with `dask worker`, then continue with --resume",
            )

    def _lost(self, address: str) -> None:
        lost = {key: it for key, it in self._asked.items() if it.address == address}
        orders = [it.order for it in lost.values() if it.order is not None]
        for key, asked in lost.items():
            del self._asked[key]  # later messages of it are ignored
            asked.future.cancel()
        if self._fit.pop(address, None) is not None or orders:
            numbers = ", ".join(str(it.job.run.number) for it in orders)
            done_again = f"; other workers repeat its runs: {numbers}" if numbers else ""
            self._cluster.tell(f"the worker {address} is gone{done_again}")
        self._answers.pop(address, None)
        for order in sorted(orders, key=lambda it: it.job.run.number, reverse=True):
            number = order.job.run.number
            self._losses[number] += 1
            if self._losses[number] == _LOSSES:
                raise TestbedError(
                    f"run {number} was given to {_LOSSES} workers, and all were lost",
                    hint="look for the reason in the logs of the workers",
                )
            self._waiting.appendleft(order)

    def _answered(self, asked: _Asked, came: _Came) -> Iterator[AnyMessage]:
        # If the scheduler is lost, that is the error.
        if came.octets is None and asked.address not in self._cluster.workers():
            self._asked[came.key] = asked  # lost with its worker, which _compare() detects
            return
        if asked.order is None:
            self._answers[asked.address] = (
                Answer(why=f"it does not answer: {came.error!r}")
                if came.octets is None
                else at_worker.read(came.octets, Answer)
            )
            return
        if came.octets is None:
            raise TestbedError(f"the worker {asked.address} could not do a run: {came.error!r}")
        done = at_worker.read(came.octets, Done)
        if done.failure is not None:
            raise done.failure.error()
        if done.record is not None:
            _write(Path(asked.order.directory), done.files)
            yield Over(record=done.record)

    def _judge(self) -> Iterator[AnyMessage]:
        """Accept the suitable workers among those that have answered."""
        looking = any(it.order is None for it in self._asked.values())
        if self._fitness.real and not self._fitness.settled and looking:
            return  # the others may differ
        self._fitness.settle(self._answers)
        for address in sorted(self._answers.keys() - self._fit.keys()):
            answer = self._answers[address]
            why = self._fitness.refusal(answer, {it.host for it in self._fit.values()})
            if not why and answer.environment is not None:
                self._fit[address] = answer
                self._ever_fit = True
                yield Enlisted(environment=answer.environment)
            elif address not in self._told:
                self._told.add(address)
                self._cluster.tell(f"the worker {address} gets no runs: {why}")
        if self._answers and not self._ever_fit and not looking:
            raise PlatformError(
                f"no worker of {self._cluster.name} can carry out the runs",
                why="; ".join(sorted({it.why or "it differs" for it in self._answers.values()})),
                instead="install the same testbed and its requirements on the workers",
            )

    def end(self) -> None:
        """Cancel unfinished jobs, and end a run in real time."""
        self._ended.set()
        busy = sorted({it.address for it in self._asked.values()} & self._present)
        for asked in self._asked.values():
            with contextlib.suppress(Exception):
                asked.future.cancel()
        if busy:
            # The scheduler may be lost, so this does not wait for it.
            stopping = threading.Thread(target=self._stop, args=(busy,), daemon=True)
            stopping.start()
            stopping.join(2.0)
        self._asked.clear()

    def _stop(self, busy: list[str]) -> None:
        with contextlib.suppress(Exception):
            self._cluster.client.run(
                at_worker.stop, self._campaign, workers=busy, on_error="ignore"
            )

    def join(self) -> bytes:
        """Release the cluster."""
        self._watcher.join(_POLL_S * 4)
        with self._ringing:
            self._bell.close()
        self.says.close()
        return b""


def _write(directory: Path, files: Mapping[str, bytes]) -> None:
    """Write the files of a run.

    :raises StoreError: a file cannot be written, or would be outside of the directory.
    """
    for name, content in files.items():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise StoreError(f"a worker sent the file {name!r}, which would be outside of its run")
        target = directory / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        except OSError as error:
            raise StoreError(f"{target} cannot be written: {error.strerror}") from error
