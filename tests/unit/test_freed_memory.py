"""The memory that a process keeps after it was freed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from testbed import libc

# Payloads of large segments: after the first round all memory was used before.
_ROUNDS = """
import resource
from testbed.libc import keep_freed_memory
{kept}
for _ in range(2):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    payloads = [b"x" * 65536 for _ in range(128)]
    payloads.append(b"".join(payloads[:4]))
    del payloads
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _new_pages(kept: str) -> int:
    """Return how many new pages a process needs for its second round of payloads."""
    command = (sys.executable, "-c", _ROUNDS.format(kept=kept))
    return int(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)


@pytest.mark.skipif(not hasattr(libc._libc, "mallopt"), reason="this libc has no mallopt(3)")
def test_freed_memory_is_used_again() -> None:
    """Without the call, the kernel provides and clears most of the pages again."""
    assert _new_pages("") > 1000
    assert _new_pages("keep_freed_memory()") < 100
