"""Helpers of the tests of pages: the list of pages, and the results of their commands."""

from __future__ import annotations

from pathlib import Path

from tests.docs import comparing, examples, pages

BOOK = pages.book()
SHOWN = {pages.name(page): page for page in pages.paths()}
STEPS = {
    name: [part for part in pages.contents(page) if isinstance(part, pages.Step)]
    for name, page in SHOWN.items()
}


def carried_out(sandbox: bool) -> list[str]:
    """Return the pages with commands, those that make sandboxes or the others."""
    return [
        name for name, steps in STEPS.items()
        if steps and BOOK.pages.get(name, pages.Rules()).sandbox == sandbox
        and len(steps) > sum(map(len, BOOK.pages.get(name, pages.Rules()).not_executed.values()))
    ]  # fmt: skip


EXAMPLES = examples.shown()
RULES = examples.rules()


def examples_carried_out(sandbox: bool) -> list[str]:
    """Return the commands whose help shows commands, likewise."""
    return [
        name for name, commands in EXAMPLES.items()
        if RULES.get(name, pages.Rules()).sandbox == sandbox
        and len(commands) > sum(map(len, RULES.get(name, pages.Rules()).not_executed.values()))
    ]  # fmt: skip


def check_examples(name: str, folder: Path) -> None:
    page = examples.page(EXAMPLES[name], folder)
    check_page(f"testbed {name} --help", page, RULES.get(name, pages.Rules()), folder)


def check(name: str, folder: Path) -> None:
    check_page(name, SHOWN[name], BOOK.pages.get(name, pages.Rules()), folder)


def check_page(name: str, page: Path, rules: pages.Rules, folder: Path) -> None:
    wrong = []
    for step, outcome in pages.carry_out(page, rules, folder):
        command = pages.plain(step.command)
        where = f"{name}:{step.line}: {command}"
        if outcome.status != pages.exit_code(step.command):
            wrong.append(f"{where}: exit code {outcome.status}: {outcome.said[-3:]}")
            continue
        numbers = rules.numbers == "close"
        differences = [
            comparing.differing(step.shown, lines, numbers=numbers)
            for lines in (outcome.printed, outcome.said)
        ]
        if step.shown and all(differences):
            printed = "\n".join(outcome.printed)
            wrong.append(f"{where}: it does not print {differences[0]!r}, but\n{printed}")
    assert not wrong, "\n".join(wrong)
