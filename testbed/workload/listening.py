"""Wait until a program listens on a TCP port: ``python -m testbed.workload.listening PORT``.

The process runs in the node of the port, beside the program that should listen, and ends when the
port is open. See proc(5): the fourth column of the tables is the state, and 0A is LISTEN.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Final

TABLES: Final = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
INTERVAL_S: Final = 0.01


def listens(table: str, port: int) -> bool:
    """Return whether a table shows a listener on ``port``."""
    rows = (line.split() for line in table.splitlines()[1:])
    return any(row[1].endswith(f":{port:04X}") and row[3] == "0A" for row in rows)


def main() -> None:
    """Wait for the port that the command line names."""
    port = int(sys.argv[1])
    while not any(listens(table.read_text(), port) for table in TABLES if table.exists()):
        time.sleep(INTERVAL_S)


if __name__ == "__main__":
    main()
