"""Fixtures of the tests of MPTCP."""

from __future__ import annotations

import pytest

from .network import Network
from .script import Script


@pytest.fixture
def network() -> type[Network]:
    """The class, to make one with options of a test's own."""
    return Network


@pytest.fixture
def script() -> type[Script]:
    """The class, to make one with options of a test's own."""
    return Script
