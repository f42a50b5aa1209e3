"""The request that `testbed run` carries out."""

from __future__ import annotations

import msgspec

from testbed.experiment.overrides import NO_OVERRIDES, Overrides


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """Options of ``testbed run``; paths are relative to the working directory.

    :param files: the experiments, or none to continue ``resume``, a result folder.
    :param results: the directory for result folders.
    :param summary: whether to print a summary at the end.
    :param strict: whether an undecided claim is a failure.
    :param format: the format of the kernel's test tools in which the outcome is printed.
    :param jobs: the number of simultaneous runs.
    :param on: the cluster whose workers do them, in the syntax of
        :func:`testbed.campaign.cluster.site`.
    """

    files: tuple[str, ...] = ()
    resume: str | None = None
    changes: Overrides = NO_OVERRIDES
    results: str
    again: bool = False
    fail_fast: bool = False
    summary: bool = True
    strict: bool = False
    json: bool = False
    format: str | None = None
    jobs: int = 1
    on: str | None = None

    @property
    def for_people(self) -> bool:
        """Whether standard output is for people, not a document for programs."""
        return not self.json and self.format is None
