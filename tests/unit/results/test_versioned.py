"""Files of a later testbed are named as such, and damaged ones as damaged."""

from __future__ import annotations

import msgspec
import pytest

from testbed.campaign import baselines
from testbed.campaign.bisect import model as bisect
from testbed.errors import StoreError
from testbed.papers import measured

READERS = {
    "baseline": (lambda folder: baselines.read(folder / "kept.json"), "kept.json"),
    "search": (bisect.read, bisect.FILE),
    "measured": (measured.read, measured.NAME),
}


@pytest.fixture(params=READERS)
def read(request, tmp_path):
    """Write a file, and read it."""
    reader, name = READERS[request.param]

    def read(content):
        (tmp_path / name).write_bytes(content)
        return reader(tmp_path)

    return read


@pytest.mark.parametrize("form", [{}, {"conditions": 5, "wanted": [], "measured": True}])
def test_a_later_version_is_named_whatever_its_form(read, form):
    with pytest.raises(StoreError, match=r"has schema 99, but .* up to \d; use a newer testbed"):
        read(msgspec.json.encode({"schema": 99, **form}))


@pytest.mark.parametrize("content", [b"", b"[", b"5", b"\xff", b"[" * 5000, b'{"schema": "x"}'])
def test_damage_is_one_line(read, content):
    with pytest.raises(StoreError, match=r"^\S+ is damaged: [^\n]+$"):
        read(content)
