"""Running a program in a node on the user's own terminal (``testbed exec``, ``testbed shell``)."""

from __future__ import annotations

from typing import NamedTuple


class Entrance(NamedTuple):
    """Descriptors of the namespaces a node's processes live in."""

    user: int
    mount: int
    pid: int
    network: int
