"""Run every benchmark and fail if a requirement is missed: ``make bench``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def main() -> int:
    """Run each benchmark in a process of its own, one after the other."""
    here = Path(__file__).parent
    scripts = sorted(path for path in here.glob("*.py") if not path.name.startswith("_"))
    codes = [
        subprocess.run([sys.executable, str(path)], check=False).returncode for path in scripts
    ]
    return max(codes, default=0)


if __name__ == "__main__":
    sys.exit(main())
