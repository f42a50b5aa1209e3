"""Assertions about results, whose failures show the table that ``testbed run`` prints.

A claim that the runs do not decide fails too: the test did not see what it asserts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from testbed.analysis.claims import Quantity
    from testbed.analysis.outcome import Outcome
    from testbed.api import Results
    from testbed.results.model import Scalar

_EVERYWHERE: Final[Mapping[str, Scalar]] = {}


def assert_passes(results: Results) -> None:
    """Assert that every run counts, and that every claim of the experiment is met.

    :raises AssertionError: it is not so, or the experiment claims nothing.
    :raises StoreError: the results cannot be read.
    """
    __tracebackhide__ = True
    outcome = results.outcome()
    if not outcome.checks and not outcome.unjudged:
        _fail(results, outcome, f"{outcome.experiment} claims nothing: it has no 'expect'")
    if outcome.unjudged:
        _fail(results, outcome, f"left out, as its runs were: {outcome.unjudged[0]}")
    _judge(results, outcome)


def assert_at_least(
    results: Results,
    metric: str,
    *,
    stack: str,
    at_least: Quantity,
    relative_to: str | None = None,
    where: Mapping[str, Scalar] = _EVERYWHERE,
) -> None:
    """Assert a claim as an experiment file makes it: the mean of a metric has a lower bound.

    :param metric: a name that ``testbed metrics`` lists.
    :param stack: whose runs; the claim holds in each of its cells that fits ``where``.
    :param at_least: in the metric's unit, or as text, ``"30mbit"``; a ratio with ``relative_to``.
    :param relative_to: another stack.
    :param where: parameters of the matrix and their values.
    :raises AssertionError: it is not so, or the runs do not decide it.
    :raises InputError: nothing like that was measured.
    """
    __tracebackhide__ = True
    _claim(results, metric, stack, relative_to, where, at_least=at_least)


def assert_at_most(
    results: Results,
    metric: str,
    *,
    stack: str,
    at_most: Quantity,
    relative_to: str | None = None,
    where: Mapping[str, Scalar] = _EVERYWHERE,
) -> None:
    """Assert that the mean of a metric has an upper bound, as :func:`assert_at_least` does.

    :raises AssertionError: it is not so, or the runs do not decide it.
    :raises InputError: nothing like that was measured.
    """
    __tracebackhide__ = True
    _claim(results, metric, stack, relative_to, where, at_most=at_most)


def _claim(
    results: Results,
    metric: str,
    stack: str,
    relative_to: str | None,
    where: Mapping[str, Scalar],
    *,
    at_least: Quantity | None = None,
    at_most: Quantity | None = None,
) -> None:
    from testbed.analysis.claims import ExpectSpec  # noqa: PLC0415 - pytest's start loads this file
    from testbed.errors import InputError  # noqa: PLC0415

    __tracebackhide__ = True
    claim = ExpectSpec(
        metric=metric,
        stack=stack,
        relative_to=relative_to,
        where=dict(where),
        at_least=at_least,
        at_most=at_most,
    )
    _all_count(results, results.outcome(claims=()))
    outcome = results.outcome(claims=(claim,))
    if outcome.unjudged:
        stacks = ", ".join(dict.fromkeys(cell.stack for cell in outcome.cells))
        about = f"no runs are those of the claim that {outcome.unjudged[0]}"
        raise InputError(about, hint=f"there are: {stacks}")
    _judge(results, outcome)


def _judge(results: Results, outcome: Outcome) -> None:
    from testbed.analysis.verdicts import Verdict  # noqa: PLC0415

    __tracebackhide__ = True
    _all_count(results, outcome)
    unmet = [check for check in outcome.checks if check.verdict is not Verdict.PASS]
    if unmet:
        _fail(results, outcome, f"{unmet[0].verdict}: {unmet[0].text}")


def _all_count(results: Results, outcome: Outcome) -> None:
    __tracebackhide__ = True
    if outcome.problems:
        count = f"{len(outcome.problems)} runs do not count"
        _fail(results, outcome, f"{count}; the first one: {outcome.problems[0].reason}")
    if outcome.missing:
        _fail(results, outcome, f"{outcome.missing} runs have not been made")


def _fail(results: Results, outcome: Outcome, why: str) -> NoReturn:
    from testbed.cli.tables import as_text  # noqa: PLC0415

    __tracebackhide__ = True
    raise AssertionError(f"{why}\n\n{as_text(outcome, results.folder)}")
