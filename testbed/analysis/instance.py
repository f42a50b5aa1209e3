"""Names of numbers: ``[SUBJECT.]METRIC``, where the subject says what the number is about.

=====================  ===================================================================
``goodput``            of the one flow of an experiment, or of the whole run
``transfer.goodput``   of the flow ``transfer``
``transfer@wifi.share``  of what that flow sent over the link ``wifi``; ``@wifi.share`` of one flow
``wifi>server.dropped``  of the direction of the link ``wifi`` that leads to ``server``
=====================  ===================================================================
"""

from __future__ import annotations

import msgspec

from testbed.errors import InputError
from testbed.metric import Subject


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """One number of a run, by name.

    :param flow: empty where the experiment names no flows.
    :param link: of a path or a wire.
    :param toward: of a wire: the node it leads to.
    """

    metric: str
    flow: str = ""
    link: str | None = None
    toward: str | None = None

    @property
    def subject(self) -> Subject | None:
        """Its subject; ``None`` for the one flow or the whole run, which look alike."""
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
    """Read a name.

    :raises InputError: it is none.
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
            f"{text!r} is no name of a metric",
            hint="METRIC, FLOW.METRIC, FLOW@LINK.METRIC or LINK>NODE.METRIC",
        )
    return instance
