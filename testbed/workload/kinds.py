"""The built-in kinds: for each type of job the module with its two halves."""

from __future__ import annotations

from typing import Any, Final, Protocol

from testbed.workload import bulk, reqres, stream
from testbed.workload.result import Findings
from testbed.workload.stacks import Stack
from testbed.workload.transfer import Activity, Report

Job = bulk.Job | reqres.Job | stream.Job


class Kind(Protocol):
    """What the module of a kind gives."""

    async def connect(
        self, stack: Stack, remote: tuple[str, int], job: Any, activity: Activity
    ) -> Report:
        """The client's half."""

    async def serve(
        self, stack: Stack, local: tuple[str, int], job: Any, activity: Activity
    ) -> Report:
        """The server's half."""

    def evaluate(self, job: Any, client: Report, server: Report) -> Findings:
        """Return what only this kind can say."""


_KINDS: Final[dict[type, Kind]] = {bulk.Job: bulk, reqres.Job: reqres, stream.Job: stream}


def kind_of(job: Job) -> Kind:
    """Return the module whose halves carry out ``job``."""
    return _KINDS[type(job)]
