"""The emulator's memory on kernels without transparent huge pages, such as user-mode Linux."""

from __future__ import annotations

import errno
import mmap

import pytest

from testbed.wire.emulator import pool


class Plain(mmap.mmap):
    """Memory of which no advice about huge pages is taken."""

    def madvise(self, *_: object) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")


def test_a_pool_can_be_had_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mmap, "mmap", Plain)
    pool.Pool()
