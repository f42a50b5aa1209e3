"""The commands that pages show: found, and carried out as a reader would.

Each line of a ``console`` block that begins with ``$ `` is a command; lines after it, up to the
next one, are what it prints (``comparing.py``).  A comment ``# exit code 3`` says how it ends.  One
shell carries out all commands of a page in a new folder.  ``commands.yaml`` says what is done
otherwise.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from tests import programs

ROOT: Final = Path(__file__).parents[2]
RULES: Final = ROOT / "tests" / "docs" / "commands.yaml"
FENCE: Final = re.compile(r"^ *```([^\n]*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
NAMED: Final = re.compile(r"to `([\w./-]+)`:\n\n$")


class Rules(msgspec.Struct, forbid_unknown_fields=True, rename={"not_executed": "not executed"}):
    """How the commands of one page are carried out.

    ``checkout`` puts the folders of a checkout into the page's folder.  ``sandbox``: they make
    sandboxes, and are kept apart from all else on this machine.  ``numbers: any`` is for pages
    whose commands take real time.  ``before`` is done before the first command.  ``instead`` gives
    a command other options, or files that exist.
    """

    checkout: bool = False
    sandbox: bool = False
    numbers: str = "close"
    before: list[str] = []
    instead: dict[str, str] = {}
    not_executed: dict[str, list[str]] = {}


class Book(msgspec.Struct, forbid_unknown_fields=True):
    """``commands.yaml``."""

    reasons: dict[str, str]
    pages: dict[str, Rules]


@dataclass(frozen=True)
class Step:
    """A command, what the page shows below it, and its first line on the page."""

    command: str
    shown: tuple[str, ...]
    line: int


@dataclass(frozen=True)
class File:
    """A file that the page has its reader write."""

    name: str
    text: str


@dataclass
class Outcome:
    """The output of a command, and its exit code; None: the shell did not run it."""

    status: int | None = None
    printed: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)


def book() -> Book:
    """Read what is done otherwise."""
    return msgspec.yaml.decode(RULES.read_text(), type=Book)


def paths(root: Path = ROOT) -> list[Path]:
    """Return every page: those of the site, and the first one.

    Pages that building the site has written from the code are left out: whether there are any
    depends on what was done in this checkout before.
    """
    written = root / "docs" / "reference"
    found = sorted((root / "docs").rglob("*.md"))
    return [root / "README.md", *(page for page in found if written not in page.parents)]


def name(page: Path) -> str:
    """Return how ``commands.yaml`` names a page."""
    return str(page.relative_to(ROOT))


def language(fence: re.Match[str]) -> str:
    """Return the language of a block."""
    return (fence[1].split() or [""])[0]


def contents(page: Path) -> list[Step | File]:
    """Return the commands of a page and the files that it gives, in order."""
    text = page.read_text()
    found: list[Step | File] = []
    for fence in FENCE.finditer(text):
        block = textwrap.dedent(fence[2])
        if language(fence) == "console":
            found += _steps(block, text.count("\n", 0, fence.start()) + 2)
        elif named := NAMED.search(text, 0, fence.start()):
            found.append(File(named[1], block))
    return found


def _steps(block: str, first: int) -> list[Step]:
    found: list[Step] = []
    lines = block.splitlines()
    at = 0
    while at < len(lines):
        begin = at
        assert lines[at].startswith("$ "), f"line {first + at} is below no command"
        while lines[at].endswith("\\"):
            at += 1
        at += 1
        command = "\n".join(lines[begin:at])[2:]
        shown = at
        while at < len(lines) and not lines[at].startswith("$ "):
            at += 1
        found.append(Step(command, tuple(lines[shown:at]), first + begin))
    return found


def words(command: str) -> list[str]:
    """Return the words of a command, without its comment."""
    lexer = shlex.shlex(command.replace("\\\n", " "), posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    return list(lexer)


def exit_code(command: str) -> int:
    """Return the exit code that a page shows for a command."""
    found = re.search(r"# exit code (\d+)$", command)
    return int(found[1]) if found else 0


def plain(command: str) -> str:
    """Return a command without its comment, on one line: how ``commands.yaml`` names it."""
    joined = re.sub(r" *\\\n *", " ", command)
    return re.sub(r"\s+#(?=\s).*$", "", joined)


def carry_out(page: Path, rules: Rules, folder: Path) -> list[tuple[Step, Outcome]]:
    """Carry out all commands of a page that are meant to be, in a new folder."""
    here, kept = folder / "here", folder / "kept"
    here.mkdir()
    kept.mkdir()
    if rules.checkout:
        _check_out(here)
    left_out = {it for commands in rules.not_executed.values() for it in commands}
    steps: list[Step] = []
    script = [f"cd {shlex.quote(str(here))}", *rules.before]
    for part in contents(page):
        if isinstance(part, File):
            script.append(f"cat > {shlex.quote(part.name)} <<'END OF FILE'\n{part.text}END OF FILE")
        elif plain(part.command) not in left_out:
            command = rules.instead.get(plain(part.command), part.command)
            number = len(steps)
            script.append(
                f"{{ {command}\n}} > {kept}/{number}.out 2> {kept}/{number}.err < /dev/null\n"
                f"echo $? > {kept}/{number}.status"
            )
            steps.append(part)
    (folder / "script").write_text("\n".join(script) + "\n")
    environment = programs.environment(folder) | {"HOME": str(folder)}
    with (folder / "log").open("w") as log:
        subprocess.run(
            [*(_APART if rules.sandbox else ()), "bash", str(folder / "script")],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        )
    return [(step, _outcome(kept, number)) for number, step in enumerate(steps)]


# A separate network and process namespace: remaining processes end with the shell.
_APART: Final = (
    "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
    *(() if os.geteuid() == 0 else ("--map-root-user",)),
    "sh", "-c", 'ip link set lo up && "$@"', "sh",
)  # fmt: skip


def _check_out(here: Path) -> None:
    for entry in ("docs", "experiments", "topologies"):
        shutil.copytree(ROOT / entry, here / entry)
    for entry in ("scripts", "testbed", "tests"):
        (here / entry).symlink_to(ROOT / entry)
    programs_here = here / ".venv"
    programs_here.mkdir()
    (programs_here / "bin").symlink_to(here.parent / "programs")


def _outcome(kept: Path, number: int) -> Outcome:
    status = kept / f"{number}.status"
    if not status.exists():
        return Outcome()
    printed, said = (
        (kept / f"{number}.{end}").read_text(errors="replace").splitlines()
        for end in ("out", "err")
    )
    return Outcome(int(status.read_text()), printed, said)
