"""Assertions about results. Their failures show the table that ``testbed run`` prints.

A claim that the runs do not decide fails too: the test did not observe what it asserts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from testbed.analysis.claims import Quantity
    from testbed.analysis.comparison import Comparison
    from testbed.analysis.outcome import Outcome
    from testbed.analysis.verdicts import Verdict
    from testbed.api import Results
    from testbed.results.model import Scalar

_EVERYWHERE: Final[Mapping[str, Scalar]] = {}


def assert_passes(results: Results) -> None:
    """Assert that every run counts, and that every claim of the experiment is met.

    :raises AssertionError: a run does not count, a claim is not met, or the experiment claims
        nothing.
    :raises StoreError: the results cannot be read.
    """
    __tracebackhide__ = True
    outcome = results.outcome()
    if not outcome.checks and not outcome.unjudged:
        _fail(results, outcome, f"{outcome.experiment} claims nothing: it has no 'expect'")
    if outcome.unjudged:
        _fail(
            results, outcome, f"not judged, because its runs were left out: {outcome.unjudged[0]}"
        )
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
    """Assert a claim as in an experiment file: the mean of a metric has a lower bound.

    :param metric: a name that ``testbed metrics`` lists.
    :param stack: the stack under test; the claim must hold in each of its cells that fits
        ``where``.
    :param at_least: the bound in the metric's unit, or as text, ``"30mbit"``; a ratio with
        ``relative_to``.
    :param relative_to: the stack that a ratio is relative to.
    :param where: parameters of the matrix and their values.
    :raises AssertionError: the claim is not met, or the runs do not decide it.
    :raises InputError: the results have no such cell or metric.
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

    :raises AssertionError: the claim is not met, or the runs do not decide it.
    :raises InputError: the results have no such cell or metric.
    """
    __tracebackhide__ = True
    _claim(results, metric, stack, relative_to, where, at_most=at_most)


def assert_not_regressed(
    base: Results,
    new: Results,
    *,
    metrics: Sequence[str] = (),
    threshold: float | None = None,
    across: Iterable[str] = (),
    strict: bool = False,
) -> None:
    """Assert that no metric became worse, by the rules of ``testbed compare BASE NEW``.

    An undecided change is no regression, except with ``strict``: noise alone fails no test.

    :param base: the earlier results.
    :param metrics: the names of metrics; by default the main metrics of the experiment.
    :param threshold: the smallest relevant change, as a share of the base's mean.
    :param across: the facts of the environment that differ on purpose, such as ``"kernel"``.
    :param strict: whether an undecided change fails too.
    :raises AssertionError: a metric is worse, or a run of ``new`` does not count.
    :raises InputError: the results cannot be compared.
    """
    from testbed.analysis.comparison import Terms, compare  # noqa: PLC0415
    from testbed.campaign.sides import of_folder  # noqa: PLC0415
    from testbed.cli.changes import as_text  # noqa: PLC0415

    __tracebackhide__ = True
    _all_count(new, new.outcome(claims=()))
    terms = Terms(metrics=tuple(metrics), threshold=threshold, across=frozenset(across))
    sides = [of_folder(each.folder, terms.metrics) for each in (base, new)]
    found = compare(sides[0], sides[1:], terms)
    if found.regressed or (strict and found.inconclusive):
        bad = "regressed" if found.regressed else "not decided"
        names = ", ".join(each.metric for each in found.changes if each.verdict is _worst(found))
        folders = f"Results: {base.folder} and {new.folder}"
        raise AssertionError(f"{bad}: {names}\n\n{as_text(found)}{folders}")


def _worst(found: Comparison) -> Verdict:
    from testbed.analysis.verdicts import Verdict  # noqa: PLC0415

    return Verdict.REGRESSED if found.regressed else Verdict.INCONCLUSIVE


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
        about = f"there are no runs for the claim that {outcome.unjudged[0]}"
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
        _fail(results, outcome, f"{outcome.missing} runs are missing")


def _fail(results: Results, outcome: Outcome, why: str) -> NoReturn:
    from testbed.cli.tables import as_text  # noqa: PLC0415

    __tracebackhide__ = True
    raise AssertionError(f"{why}\n\n{as_text(outcome, results.folder)}")
