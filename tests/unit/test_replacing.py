"""Files that are replaced as a whole."""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.replacing import replace_file


@pytest.fixture
def full() -> Iterator[None]:
    """Let no file grow beyond 100 octets, as on a disk that is nearly full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_is_written_and_replaced_with_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    replace_file(path, "é")
    assert path.read_bytes() == "é".encode()
    path.chmod(0o600)
    replace_file(path, b"\xff")
    assert path.read_bytes() == b"\xff"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.usefixtures("full")
def test_the_old_file_stays_complete_if_the_disk_is_full(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    replace_file(path, b"old")
    with pytest.raises(OSError, match="File too large"):
        replace_file(path, bytes(1000))
    assert path.read_bytes() == b"old"
    assert [*tmp_path.iterdir()] == [path]


def test_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    link.symlink_to(target)
    replace_file(link, "text")
    assert link.is_symlink()
    assert target.read_text() == "text"


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(pipe.read_bytes()))
    reader.start()
    replace_file(pipe, "text")
    reader.join()
    assert found == [b"text"]
    assert pipe.is_fifo()
