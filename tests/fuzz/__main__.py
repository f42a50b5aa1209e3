"""Fuzzing from the command line: see ``python -m tests.fuzz --help``."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from testbed.errors import InputError
from tests.fuzz import attack_table, guided
from tests.fuzz.cases import TARGETS, Target, failure, load, written
from tests.fuzz.codecs import CODECS
from tests.fuzz.shrink import smallest

INTERRUPTED: Final = 130  # exit code, as of testbed
_TELL_S: Final = 5.0  # the interval between reports of progress


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return 1 if something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, what, count in (
        ("packets", "octets to the codecs", 100_000),
        ("connections", "segments to established connections", 100_000),
        ("networks", "random networks in the simulator", 1_000),
    ):
        command = commands.add_parser(name, help=what)
        command.add_argument("--seed", type=int, default=1, help="of the first case")
        command.add_argument("--count", type=int, default=count, help=f"of {_of(name)}")
        command.add_argument("--keep", type=Path, help="write what is found into this folder")
    replay = commands.add_parser("replay", help="one case again, and made smaller if it fails")
    replay.add_argument("case", nargs="+", help="TARGET SEED, or the file of a kept case")
    attacks = commands.add_parser("attacks", help="what attacks cost the attacker and us")
    attacks.add_argument("--write", action="store_true", help="write docs/security.md")
    guided_by = commands.add_parser("atheris", help="octets to one codec, guided by its branches")
    guided_by.add_argument("codec", choices=list(CODECS))
    guided_by.add_argument("--count", type=int, default=100_000, help="of inputs")
    guided_by.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args(arguments)
    if chosen.command == "atheris":
        if guided.atheris() is None:
            print(guided.SKIPPED)
            return 0
        guided.fuzz(chosen.codec, chosen.count, chosen.seed)
    if chosen.command == "attacks":
        return attack_table.report(write=chosen.write)
    if chosen.command == "replay":
        try:
            target, case = _case(chosen.case)
        except (InputError, OSError) as error:
            parser.error(str(error))
        return _replay(target, case)
    return _search(chosen)


def _of(command: str) -> str:
    """Return what a command counts."""
    return "networks" if command == "networks" else "packets"


def _search(chosen: argparse.Namespace) -> int:
    """Go through seeds; tell of each new kind of finding, the smallest case first."""
    targets = [target for target in TARGETS.values() if target.command == chosen.command]
    found: dict[str, str] = {}
    began = time.monotonic()
    for target in targets:
        done, seed, told = 0, chosen.seed, time.monotonic()
        share = chosen.count * target.share // 100
        while done < share:
            try:
                kind = failure(target, target.make(seed))
                if kind is not None and kind not in found:
                    found[kind] = f"{target.name} {seed}"
                    _tell(target, seed, kind, chosen.keep)
            except KeyboardInterrupt:
                return _stopped(target, seed, found)
            done, seed = done + target.packets, seed + 1
            if time.monotonic() - told > _TELL_S:
                told = time.monotonic()
                print(f"{target.name}: {done} of {share}", file=sys.stderr, flush=True)
        print(f"{target.name}: {done} {_of(chosen.command)}, seeds {chosen.seed} to {seed - 1}")
    print(f"{len(found)} findings in {time.monotonic() - began:.0f} s")
    return int(bool(found))


def _stopped(target: Target, seed: int, found: dict[str, str]) -> int:
    """Tell in one line how far it came, and what was found."""
    cases = f" ({', '.join(found.values())})" if found else ""
    print(f"stopped in {target.name} at seed {seed}; {len(found)} findings so far{cases}")
    return INTERRUPTED


def _tell(target: Target, seed: int, kind: str, keep: Path | None) -> None:
    print(f"{target.name}: {kind}\n  python -m tests.fuzz replay {target.name} {seed}", flush=True)
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        small = _smallest(target, target.make(seed), kind)
        (keep / f"{target.name}-{seed}.json").write_bytes(written(target, small))


def _case(words: Sequence[str]) -> tuple[Target, Any]:
    """Return the case that is meant.

    :raises InputError: there is none; OSError: its file cannot be read.
    """
    if len(words) == 1:
        return load(Path(words[0]))
    name, seed = words[0], words[-1]
    if len(words) != 2 or name not in TARGETS or not seed.isdigit():
        raise InputError(f"a case is a file, or a seed of one of {', '.join(TARGETS)}")
    return TARGETS[name], TARGETS[name].make(int(seed))


def _replay(target: Target, value: msgspec.Struct) -> int:
    kind = failure(target, value)
    if kind is None:
        print("nothing is found")
        return 0
    print(f"{kind}; made smaller:")
    small = _smallest(target, value, kind)
    sys.stdout.write(written(target, small).decode())
    target.play(small)
    return 1


def _smallest(target: Target, case: msgspec.Struct, kind: str) -> msgspec.Struct:
    fails: Callable[[msgspec.Struct], bool] = lambda simpler: failure(target, simpler) == kind  # noqa: E731
    return smallest(case, fails)


def _command() -> int:
    """Run a command; report Ctrl-C in one line."""
    try:
        return main()
    except KeyboardInterrupt:
        print("stopped")
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(_command())
