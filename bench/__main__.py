"""Run every benchmark and fail if a requirement is missed: ``make bench``.

``python -m bench page`` measures what docs/performance.md shows: see ``_page.py``.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def main() -> int:
    """Run each benchmark in a process of its own, one after the other."""
    here = Path(__file__).parent
    if sys.argv[1:2] == ["page"]:
        command = [sys.executable, str(here / "_page.py"), *sys.argv[2:]]
        return subprocess.run(command, check=False).returncode
    scripts = sorted(path for path in here.glob("*.py") if not path.name.startswith("_"))
    codes = [
        subprocess.run([sys.executable, str(path)], check=False).returncode for path in scripts
    ]
    return max(codes, default=0)


if __name__ == "__main__":
    sys.exit(main())
