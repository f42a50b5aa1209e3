"""Simultaneous jobs in other processes."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Sequence
from multiprocessing import connection

from testbed.campaign.executors import Writer
from testbed.campaign.hands import Hand
from testbed.campaign.jobs import Job
from testbed.campaign.messages import AnyMessage, Doing, Enlisted, Failed, Located, Order, Over
from testbed.errors import StoreError, TestbedError
from testbed.results.model import RunRecord


class SideBySide:
    """Distributes jobs to several hands.

    It is for runs in virtual time, and for hands on other computers: other runs would disturb one
    another. The stored results do not depend on the number of hands.
    """

    def __init__(self, hands: Sequence[Hand]) -> None:
        self._hands = hands
        self._given: deque[Job] = deque()  # jobs whose results are not stored yet, in order
        self._shown: Job | None = None
        self._over: dict[int, tuple[bytes, RunRecord]] = {}

    def carry_out(self, jobs: Sequence[Job], writer: Writer) -> None:
        """Do the jobs, and store each when it and all before it are finished."""
        todo = deque(jobs)
        try:
            while todo or any(hand.busy for hand in self._hands):
                self._give(todo, writer)
                self._show(writer)
                for hand in self._speaking():
                    self._listen(hand, writer)
                if not self._store(writer):
                    return
        except (KeyboardInterrupt, TestbedError):
            with contextlib.suppress(StoreError):
                for _, (_, record) in sorted(self._over.items()):  # earlier ones never arrive
                    writer.finish(record)
            raise
        finally:
            self._end(writer)

    def _give(self, todo: deque[Job], writer: Writer) -> None:
        """Give each hand as many jobs as it can take, evenly."""
        while todo and (free := [hand for hand in self._hands if hand.room > 0]):
            for hand in free:
                # A hand gets one job at a time, or all if it is the only hand.
                jobs = [todo.popleft() for _ in range(self._share(hand, todo))]
                if jobs:
                    self._given.extend(jobs)
                    hand.give(
                        [
                            Order(job=job, directory=str(writer.prepare(job).resolve()))
                            for job in jobs
                        ]
                    )

    def _show(self, writer: Writer) -> None:
        """Report the first unfinished run."""
        if self._given and self._given[0] is not self._shown:
            self._shown = self._given[0]
            writer.begin(self._shown)

    def _share(self, hand: Hand, todo: deque[Job]) -> int:
        return min(len(todo), hand.room) if len(self._hands) == 1 else min(len(todo), 1)

    def _speaking(self) -> list[Hand]:
        """Wait until some hands have messages."""
        speakers = {hand.says: hand for hand in self._hands if hand.says is not None}
        return [speakers[it] for it in connection.wait([*speakers])]  # type: ignore[index]

    def _listen(self, hand: Hand, writer: Writer) -> None:
        console = b""
        for said in hand.hear():
            match said:
                case bytes():
                    console = said
                case Over(record=record):
                    self._over[record.number] = console, record
                    console = b""
                case _:
                    writer.console(console)
                    console = b""
                    self._heed(said, writer)
        writer.console(console)

    def _heed(self, message: AnyMessage, writer: Writer) -> None:
        match message:
            case Located(environment=environment):
                writer.located(environment)
            case Enlisted(environment=environment):
                writer.enlisted(environment)
            case Doing(progress=progress):
                writer.progress(progress)
            case Failed(failure=failure):
                raise failure.error()

    def _store(self, writer: Writer) -> bool:
        """Store the next results in order; return whether more are wanted."""
        while self._given and self._given[0].run.number in self._over:
            console, record = self._over.pop(self._given.popleft().run.number)
            writer.console(console)
            if not writer.finish(record):
                return False
        return True

    def _end(self, writer: Writer) -> None:
        for hand in self._hands:
            hand.end()
        interrupted: KeyboardInterrupt | None = None
        for hand in self._hands:
            try:
                left = hand.join()
                with contextlib.suppress(StoreError):
                    writer.console(left)
            # This process has ended, and the others have to end too.
            except KeyboardInterrupt as again:
                interrupted = again
        if interrupted is not None:
            raise interrupted
