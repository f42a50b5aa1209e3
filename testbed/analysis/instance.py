"""Names of numbers: ``[SUBJECT.]METRIC``. The subject is a flow, a path or a wire.

=====================  ===================================================================
``goodput``            of the only flow of an experiment, or of the whole run
``transfer.goodput``   of the flow ``transfer``
``transfer@wifi.share``  of the data of that flow on the link ``wifi``; ``@wifi.share`` if unnamed
``wifi>server.dropped``  of the direction of the link ``wifi`` that leads to ``server``
=====================  ===================================================================
"""

from __future__ import annotations

import msgspec

from testbed.errors import InputError
from testbed.metric import Subject


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """One number of a run, by name.

    :param flow: the flow; empty if the experiment names no flows.
    :param link: the link of a path or a wire.
    :param toward: the node that a wire leads to.
    """

    metric: str
    flow: str = ""
    link: str | None = None
    toward: str | None = None

    @property
    def subject(self) -> Subject | None:
        """The kind of subject; ``None`` for the only flow and the whole run, which look alike."""
        if self.toward is not None:
            return Subject.WIRE
        if self.link is not None:
            return Subject.PATH
        return Subject.FLOW if self.flow else None

    def __str__(self) -> str:
        if self.toward is not None:
            return f"{self.link}>{self.toward}.{self.metric}"
        link = "" if self.link is None else f"@{self.link}"
        subject = f"{self.flow}{link}"
        return f"{subject}.{self.metric}" if subject else self.metric


def parse(text: str) -> Instance:
    """Parse a name.

    :raises InputError: it is not a name of a number.
    """
    subject, dot, metric = text.rpartition(".")
    link, arrow, toward = subject.partition(">")
    parts: tuple[str, ...]
    if arrow:
        parts, instance = (link, toward), Instance(metric=metric, link=link, toward=toward)
    else:
        flow, at, link = subject.partition("@")
        parts = (link if at else flow if dot else metric,)
        instance = Instance(metric=metric, flow=flow, link=link if at else None)
    if not metric or not all(parts):
        raise InputError(
            f"{text!r} is not the name of a metric",
            hint="METRIC, FLOW.METRIC, FLOW@LINK.METRIC or LINK>NODE.METRIC",
        )
    return instance
