"""Topologies as text, for tests of what they resolve to."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

import pytest

from testbed.errors import InputError
from testbed.topology.load import loads_topology
from testbed.topology.model import Node, Topology
from testbed.topology.resolve import resolve

TWO = "nodes: {client: {}, server: {}}\nlinks:\n  wifi: {between: [client, server]}\n"


def load(text: str) -> Topology:
    return resolve(loads_topology(text, "lab.yaml"))


def error_of(text: str) -> str:
    with pytest.raises(InputError) as caught:
        load(text)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    return str(caught.value)


def addresses(node: Node) -> list[str]:
    return [address for interface in node.interfaces for address in interface.addresses]


def growth(work: Callable[[int], object]) -> float:
    """Return how many times as much processor time five times as much work takes."""

    def cost(size: int) -> float:
        gc.collect()
        started = time.process_time()
        work(size)
        return time.process_time() - started

    gc.disable()  # its work grows with what all other tests have left
    try:
        costs = [(cost(1), cost(5)) for _ in range(3)]  # the best: others work here, too
    finally:
        gc.enable()
    return min(much for _, much in costs) / min(little for little, _ in costs)


LINEAR = 12  # limit for five times the size: far below 25, even with caches and collectors
