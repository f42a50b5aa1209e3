"""Every test of TCP runs twice: the second time with an extension that does nothing.

Both times the same segments must be seen: what may ride on TCP must not change TCP.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .riding import RIDING

_SEEN: dict[str, list[str]] = {}


@pytest.fixture(autouse=True, params=["plain", "extended"])
def riding(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run the test with and without an extension, and compare what was seen."""
    RIDING.extended = request.param == "extended"
    RIDING.transcript = []
    yield
    name = request.node.nodeid.replace("extended", "plain")
    if not RIDING.extended:
        _SEEN[name] = RIDING.transcript
    elif name in _SEEN:
        assert RIDING.transcript == _SEEN.pop(name)
