"""The runner of packetdrill scripts against the stack, in virtual time.

The interface is :func:`run`::

    outcome = packetdrill.run("close.pkt", "ipv6")
    outcome.verdict, outcome.line, outcome.reason
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from testbed.document import read_text
from testbed.errors import InputError
from testbed.interchange.packetdrill.executor import Executor
from testbed.interchange.packetdrill.model import UnsupportedError
from testbed.interchange.packetdrill.outcome import Mismatch, Outcome, Verdict
from testbed.interchange.packetdrill.parser import parse
from testbed.interchange.packetdrill.versions import VERSIONS

__all__ = ["VERSIONS", "Outcome", "Verdict", "run", "scripts", "versions_of"]


def run(
    path: Path | str,
    ip_version: str = "ipv4",
    *,
    defines: Mapping[str, str] | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Run a script.

    :param ip_version: a name of :data:`VERSIONS`.
    :param defines: the replacements of words of the script.
    :param tell: a function that receives a line for each event.
    :raises InputError: the file cannot be read, or is no script; the error names the line.
    """
    version = VERSIONS.get(ip_version)
    if version is None:
        raise InputError(
            f"there is no IP version {ip_version!r}", hint=f"one of {', '.join(VERSIONS)}"
        )

    def outcome(verdict: Verdict, line: int | None = None, **said: str) -> Outcome:
        return Outcome(file=str(path), ip_version=ip_version, verdict=verdict, line=line, **said)

    try:
        Executor(parse(path, dict(defines or {})), version, tell).run()
    except Mismatch as found:
        said = {"reason": found.reason, "expected": found.expected, "got": found.got}
        return outcome(Verdict.FAIL, found.line, **said)
    except UnsupportedError as error:
        return outcome(Verdict.UNSUPPORTED, error.line or None, reason=error.message)
    return outcome(Verdict.PASS)


def scripts(paths: Sequence[Path]) -> list[Path]:
    """Return the scripts of paths: files, and the scripts below directories, in order.

    :raises InputError: a directory has no script.
    """
    found: list[Path] = []
    for path in paths:
        below = sorted(path.rglob("*.pkt")) if path.is_dir() else [path]
        if not below:
            raise InputError(f"{path} has no scripts", hint="scripts end in .pkt")
        found += below
    return found


def versions_of(path: Path) -> tuple[str, ...]:
    """Return the versions of IP that a script is for.

    ``--ip_version`` in a first line selects the version, otherwise the end of the name, ``v4`` or
    ``v6``. Without both, all versions are returned.
    """
    try:
        said = re.search(r"^--ip_version=(\S+)", read_text(path), re.MULTILINE)
    except InputError:  # the run reports the error
        said = None
    if said is not None:
        return (said.group(1),)
    if path.name.endswith("v6.pkt"):
        return ("ipv6",)
    mapped = ("ipv4", "ipv4-mapped-ipv6")
    return mapped if path.name.endswith("v4.pkt") else tuple(VERSIONS)
