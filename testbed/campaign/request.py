"""The request that `testbed run` carries out."""

from __future__ import annotations

import msgspec

from testbed.experiment.overrides import NO_OVERRIDES, Overrides


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """Options of ``testbed run``; paths are relative to the working directory.

    :param files: experiments, or none to go on with ``resume``, a result folder.
    :param results: where result folders go.
    :param summary: sum up at the end.
    :param strict: a claim that is not decided is a failure.
    :param format: of the kernel's test tools, in which what came out is printed.
    :param jobs: how many runs at a time.
    :param on: the cluster whose workers do them, as :func:`testbed.campaign.cluster.site` reads it.
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
        """Whether standard output is for people, and not one document for programs."""
        return not self.json and self.format is None
