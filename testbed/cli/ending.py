"""How a program of ours ends when something goes wrong: one line, and an exit code."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Final

from testbed.errors import TestbedError

INTERRUPTED: Final = 130  # 128 + SIGINT, as a shell reports it


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Make an error one line on standard error, and its exit code that of the process."""
    try:
        yield
    except TestbedError as error:
        print(f"testbed: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("testbed: interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
