"""Small repositories with a commit for each version of a program."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


def git(tree: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=T", "-c", "user.email=t@example.org")
    command = ["git", "-C", str(tree), *identity, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def make(tree: Path, files: Mapping[str, str], versions: Sequence[str]) -> list[str]:
    """Make a repository, and a commit for each content of ``version``; return the commits."""
    for name, text in files.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git(tree, "init", "--quiet", "--initial-branch=main")
    commits = []
    for number, version in enumerate(versions):
        (tree / "version").write_text(f"{version}\n{number}\n")
        git(tree, "add", ".")
        git(tree, "commit", "--quiet", "-m", f"Version {number} is {version}")
        commits.append(git(tree, "rev-parse", "HEAD"))
    return commits
