"""The example of a package with plugins: how it is installed, and testbed run beside it."""

from __future__ import annotations

import contextlib
import importlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from testbed import records, registry
from testbed.analysis import registry as metrics
from testbed.experiment.plugins import registries

PACKAGE: Final = Path(__file__).parent / "example_package"
GROUPS: Final = (
    "workloads", "probes", "schedulers", "congestion", "path_managers", "middleboxes", "metrics"
)  # fmt: skip

TOPOLOGY: Final = """\
topology:
  nodes: {client: {}, server: {mptcp: {endpoints: signal}}}
  links:
    wifi: {between: [client, server], netem: {rate: 20mbit, delay: 10ms}}
    lte: {between: [client, server], netem: {rate: 10mbit, delay: 20ms}}
"""
THEIRS: Final = (
    "{userspace: {scheduler: sticky, congestion: fixed_window, path_manager: one_more}, "
    "label: theirs}"
)


def install(folder: Path) -> Path:
    """Build the package and install it in a folder, as pip does; nothing is fetched."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*pip, *offline, "--target", str(folder), str(PACKAGE)], check=True)
    return folder


def pretend(folder: Path, entry_points: str, name: str = "theirs", version: str = "1.2") -> Path:
    """Install a package in a folder that has nothing but entry points."""
    information = folder / f"{name}-{version}.dist-info"
    information.mkdir(parents=True)
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    (information / "METADATA").write_text(metadata)
    (information / "entry_points.txt").write_text(entry_points)
    return folder


@contextlib.contextmanager
def beside(site: Path) -> Iterator[None]:
    """Have what is installed in a folder in this process; afterwards none of it is there."""
    known = [*registries(), records.kinds.KINDS]
    kept = [(dict(it._entries), dict(it._origins), dict(it._errors)) for it in known]
    modules = set(sys.modules)
    sys.path.insert(0, str(site))
    _forget()
    try:
        yield
    finally:
        sys.path.remove(str(site))
        _forget()
        for it, state in zip(known, kept, strict=True):
            it._entries, it._origins, it._errors = state
        for name in set(sys.modules) - modules:
            if not name.startswith("testbed."):
                del sys.modules[name]


def _forget() -> None:
    importlib.invalidate_caches()
    registry.plugins.cache_clear()
    metrics._all.cache_clear()


def python(
    arguments: Sequence[str], site: Path | None, folder: Path
) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder, where what is installed in ``site`` is there, too."""
    places = [*([str(site)] if site else []), *filter(None, sys.path)]
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(places)},
        capture_output=True,
        text=True,
        check=False,
    )


def testbed(*arguments: str, site: Path | None, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command."""
    return python(["-m", "testbed", *arguments], site, folder)
