"""The built-in kinds: for each type of job the module with its two halves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

from testbed.workload import bulk, reqres, stream
from testbed.workload.result import Findings
from testbed.workload.session import Job
from testbed.workload.stacks.model import Transport
from testbed.workload.transfer import Activity, Both, Report


class Kind(Protocol):
    """What the module of a kind gives."""

    async def connect(
        self, stack: Transport, remote: tuple[str, int], job: Any, activity: Activity
    ) -> Report:
        """The client's half."""

    async def serve(
        self, stack: Transport, local: tuple[str, int], job: Any, activity: Activity
    ) -> Report:
        """The server's half."""

    def evaluate(self, sessions: Sequence[Both]) -> Findings:
        """Return what only this kind can say of all sessions of a flow."""


_KINDS: Final[dict[type, Kind]] = {bulk.Job: bulk, reqres.Job: reqres, stream.Job: stream}


def kind_of(job: Job) -> Kind:
    """Return the module whose halves carry out ``job``."""
    return _KINDS[type(job)]
