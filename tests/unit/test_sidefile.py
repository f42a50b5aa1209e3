"""Files that are written beside something a full disk must not disturb."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.errors import InputError, StoreError
from testbed.sidefile import SideFile

FULL = Path("/dev/full")


def test_what_is_written_is_there_after_closing(tmp_path):
    file = SideFile(tmp_path / "file")
    file.write(b"one")
    file.write(b"two")
    file.close()
    assert (tmp_path / "file").read_bytes() == b"onetwo"


def test_what_is_flushed_can_be_read_at_once(tmp_path):
    file = SideFile(tmp_path / "file")
    file.write(b"one")
    file.flush()
    assert (tmp_path / "file").read_bytes() == b"one"
    file.close()


@pytest.mark.parametrize("size", [1, 1_000_000], ids=["in the buffer", "past it"])
@pytest.mark.parametrize("flushed", [True, False])
def test_on_a_full_disk_writing_goes_on_and_closing_says_so(size, flushed):
    file = SideFile(FULL)
    for _ in range(3):
        file.write(b"x" * size)
        if flushed:
            file.flush()
    with pytest.raises(StoreError, match=r"^/dev/full cannot be written: No space left on device$"):
        file.close()


def test_a_file_that_cannot_be_made_is_the_users_mistake(tmp_path):
    with pytest.raises(InputError, match=r"nowhere/file cannot be written: No such file"):
        SideFile(tmp_path / "nowhere" / "file")
