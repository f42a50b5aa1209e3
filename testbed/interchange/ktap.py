"""Results of experiments in the formats of the kernel's test tools.

An experiment is a test. Its subtests are its cells and its claims. The subtests of a cell are its
runs.

Sources: Documentation/dev-tools/ktap.rst (KTAP version 1), and the test groups of KernelCI as
tools/testing/kunit/kunit_json.py writes them.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from testbed.analysis import numbers, wording
from testbed.analysis.outcome import CellOutcome, Outcome
from testbed.analysis.verdicts import Check, Verdict
from testbed.metric import Metric
from testbed.results.environment import Environment
from testbed.results.model import RunRecord, Status, identity
from testbed.text import clean


class Result(enum.StrEnum):
    """How a test ended; the names are those of KernelCI."""

    PASS = "PASS"  # noqa: S105 - not a password
    FAIL = "FAIL"
    SKIP = "SKIP"
    ERROR = "ERROR"  # the test could not be run


class Test(msgspec.Struct, frozen=True, kw_only=True):
    """A test with its subtests.

    :param detail: the reason of the result, or the measured values; one line.
    """

    __test__ = False  # the name starts with "Test", but pytest must skip it

    name: str
    result: Result
    detail: str = ""
    subtests: tuple[Test, ...] = ()


_RUNS: Final = {Status.OK: Result.PASS, Status.FAILED: Result.FAIL, Status.INVALID: Result.ERROR}
_CLAIMS: Final = {
    Verdict.PASS: Result.PASS,
    Verdict.REGRESSED: Result.FAIL,
    Verdict.INCONCLUSIVE: Result.SKIP,
}
_WORST: Final = (Result.FAIL, Result.ERROR, Result.PASS)


def test_of(outcome: Outcome, runs: Sequence[RunRecord]) -> Test:
    """Return an experiment as a test.

    A failed run is a failure, and an invalid run an error. An undecided claim, a claim whose runs
    were left out, and a missing run are skipped.

    :param runs: all existing runs.
    """
    cells = [_cell(cell, runs, outcome.own) for cell in outcome.cells]
    claims = [_claim(check, outcome) for check in outcome.checks]
    left_out = [
        Test(name=text, result=Result.SKIP, detail="its runs were left out")
        for text in outcome.unjudged
    ]
    return _whole(outcome.experiment, [*cells, *claims, *left_out], outcome.description)


def _cell(cell: CellOutcome, runs: Iterable[RunRecord], own: Mapping[str, Metric]) -> Test:
    wanted = identity(cell.stack, cell.parameters)
    made = [_run(run, cell, own) for run in runs if run.identity == wanted]
    missing = [
        Test(name=f"run {number} of {cell.planned}", result=Result.SKIP, detail="not run")
        for number in range(len(made) + 1, cell.planned + 1)
    ]
    values = "".join(f", {name}={value}" for name, value in cell.parameters.items())
    return _whole(f"{cell.stack}{values}", [*made, *missing])


def _run(run: RunRecord, cell: CellOutcome, own: Mapping[str, Metric]) -> Test:
    measured = ", ".join(
        f"{name} {numbers.number(name, run.metrics[name], None, own)}"
        for name in cell.metrics
        if name in run.metrics
    )
    return Test(
        name=f"run {run.number:04d}", result=_RUNS[run.status], detail=run.reason or measured
    )


def _claim(check: Check, outcome: Outcome) -> Test:
    result = _CLAIMS.get(check.verdict, Result.FAIL)
    values = "".join(f", {name}={value}" for name, value in check.parameters.items())
    return Test(
        name=f"{check.text}{values}", result=result, detail=wording.seen(check, outcome.own)
    )


def _whole(name: str, subtests: Sequence[Test], detail: str = "") -> Test:
    """Return a test with the worst result of its subtests, skipped if all are skipped."""
    results = {each.result for each in subtests}
    result = next((it for it in _WORST if it in results), Result.SKIP)
    return Test(name=name, result=result, detail=detail, subtests=tuple(subtests))


def ktap(tests: Sequence[Test]) -> str:
    """Return tests as KTAP."""
    return "".join(f"{line}\n" for line in _lines(tests, ""))


def _lines(tests: Sequence[Test], indent: str) -> Iterator[str]:
    yield f"{indent}KTAP version 1"
    yield f"{indent}1..{len(tests)}"
    for number, test in enumerate(tests, 1):
        if test.subtests:
            yield from _lines(test.subtests, indent + "  ")
        ok = "ok" if test.result in (Result.PASS, Result.SKIP) else "not ok"
        named = {Result.SKIP: "SKIP", Result.ERROR: "ERROR"}.get(test.result, "")
        after = " ".join(filter(None, (named, _line(test.detail))))
        yield f"{indent}{ok} {number} {_line(test.name)}" + (f" # {after}" if after else "")


def _line(text: str) -> str:
    """Return text without line ends, and without the character that begins a directive."""
    return clean(" ".join(text.split())).replace("#", "")


def kernelci(tests: Sequence[Test], environment: Environment) -> dict[str, Any]:
    """Return tests as a test group of KernelCI, as ``kunit.py run --json`` prints it."""
    common = {
        "arch": environment.kernel.architecture,
        "kernel": environment.kernel.release,
        "build_environment": environment.machine,
        "defconfig": None,
        "lab_name": None,
        "job": None,
        "git_branch": "kselftest",
    }
    return _group("testbed", tests, common)


def _group(name: str, tests: Sequence[Test], common: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        **common,
        "sub_groups": [_group(it.name, it.subtests, common) for it in tests if it.subtests],
        "test_cases": [{"name": it.name, "status": it.result} for it in tests if not it.subtests],
        "misc": _counts(tests),
    }


def _counts(tests: Sequence[Test]) -> dict[str, int]:
    """Return the number of tests without subtests, in all and by result, as KUnit names them.

    A test that could not be run is "crashed" there. "errors" counts errors of the format.
    """
    results = Counter(_leaves(tests))
    return {
        "tests": results.total(),
        "passed": results[Result.PASS],
        "failed": results[Result.FAIL],
        "crashed": results[Result.ERROR],
        "skipped": results[Result.SKIP],
        "errors": 0,
    }


def _leaves(tests: Iterable[Test]) -> Iterator[Result]:
    for each in tests:
        if each.subtests:
            yield from _leaves(each.subtests)
        else:
            yield each.result
