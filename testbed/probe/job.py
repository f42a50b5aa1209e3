"""The task of a sampler."""

from __future__ import annotations

from typing import Any

import msgspec


class Job(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The task of a sampler.

    :param probes: names in :data:`testbed.probe.probes.PROBES`.
    :param nodes: names of network namespaces bound in ``directory``.
    :param options: the options of each probe: ``{"pcap": {"folder": "/tmp/x"}}``.
    """

    probes: tuple[str, ...]
    nodes: tuple[str, ...]
    interval_ns: int = 100_000_000
    directory: str = "/run/netns"
    options: dict[str, dict[str, Any]] = {}
