"""Reading experiments that tests write."""

from __future__ import annotations

import pytest

from testbed.experiment.load import load
from testbed.experiment.overrides import Overrides
from tests.experiment_text import EXPERIMENT, TOPOLOGY


@pytest.fixture
def read(tmp_path):
    """Read an experiment given as text."""

    def read_text(text=EXPERIMENT, **overrides):
        (tmp_path / "topology.yaml").write_text(TOPOLOGY)
        (tmp_path / "try.yaml").write_text(text)
        return load(tmp_path / "try.yaml", Overrides(**overrides))

    return read_text
