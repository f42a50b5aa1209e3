"""The tables of states, and the page that is drawn from them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from testbed.stack.mptcp import state as data_level
from testbed.stack.tcp import state as tcp

SCRIPT = Path(__file__).parents[3] / "scripts" / "state-diagrams"


def test_diagrams_are_drawn_from_the_tables() -> None:
    """``scripts/state-diagrams`` writes the page again."""
    subprocess.run([sys.executable, SCRIPT, "--check"], check=True)


@pytest.mark.parametrize(
    ("transitions", "start", "end"),
    [
        (tcp.TRANSITIONS, tcp.State.LISTEN, tcp.State.CLOSED),
        (tcp.TRANSITIONS, tcp.State.CLOSED, tcp.State.TIME_WAIT),
        (data_level.TRANSITIONS, data_level.DataState.OPENING, data_level.DataState.CLOSED),
    ],
)
def test_every_end_can_be_reached(transitions: dict, start: object, end: object) -> None:
    reached, new = {start}, {start}
    while new:
        new = {to for (old, _), to in transitions.items() if old in new} - reached
        reached |= new
    assert end in reached
