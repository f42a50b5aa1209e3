"""A verdict for each claim of a publication, from the measured values. Pure."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from testbed.analysis.asked import Asked
from testbed.analysis.statistics import Estimate, Ratio, estimate, ratio
from testbed.analysis.verdicts import Check, Verdict, evaluate, subjects
from testbed.experiment.asked import asked, is_deterministic
from testbed.papers.load import Paper, PaperExperiment, base_of, cell_of, number
from testbed.papers.measured import Measured, MeasuredSide
from testbed.papers.spec import ClaimSpec, Side, ValueSpec


class Word(enum.StrEnum):
    """The outcome of a claim."""

    REPRODUCED = "reproduced"
    NOT = "not reproduced"
    CANNOT = "cannot be judged here"


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """The judgement of a claim on one side.

    :param checks: the expectations with the measured values.
    :param why: why the claim was not reproduced, or cannot be judged; empty if no reason is known.
    :param where: the machines of the measurement.
    """

    word: Word
    checks: tuple[Check, ...] = ()
    why: str = ""
    where: tuple[str, ...] = ()

    @property
    def passed(self) -> int:
        """How many expectations are met."""
        return sum(check.verdict is Verdict.PASS for check in self.checks)


class JudgedValue(msgspec.Struct, frozen=True, kw_only=True):
    """A published number and the measured numbers.

    :param number: the published number in the metric's unit, or a ratio.
    :param seen: the measured numbers by side and stack; ``None`` if not measured.
    """

    value: ValueSpec
    number: float
    seen: dict[Side, dict[str, Estimate | Ratio | None]]


class JudgedClaim(msgspec.Struct, frozen=True, kw_only=True):
    """A claim with its judgements on both sides."""

    name: str
    claim: ClaimSpec
    sides: dict[Side, Judgement]
    values: tuple[JudgedValue, ...]


class JudgedPaper(msgspec.Struct, frozen=True, kw_only=True):
    """A publication with a verdict for each claim."""

    name: str
    title: str
    claims: tuple[JudgedClaim, ...]

    @property
    def surprises(self) -> tuple[str, ...]:
        """Failed reproductions without an explanation, and explanations of successful ones."""
        return tuple(
            text
            for claim in self.claims
            for side, found in claim.sides.items()
            for text in _surprises(claim, side, found)
        )


def _surprises(claim: JudgedClaim, side: Side, found: Judgement) -> Iterator[str]:
    explained = side in claim.claim.because
    if found.word is Word.NOT and not explained:
        yield f"the {side} side did not reproduce {claim.name}, and 'because' does not say why"
    if found.word is Word.REPRODUCED and explained:
        yield f"the {side} side reproduced {claim.name}, but 'because' says why it did not"


def judged(
    paper: Paper, values: Measured, claims: Iterable[str] = (), *, partly: bool = False
) -> JudgedPaper:
    """Judge a publication.

    :param claims: the names of the claims to judge; all if empty.
    :param partly: whether the measured cells are judged although others are missing.
    """
    wanted = tuple(claims) or tuple(paper.published.claims)
    return JudgedPaper(
        name=paper.name,
        title=paper.published.title,
        claims=tuple(_claim(paper, values, name, partly=partly) for name in wanted),
    )


def _claim(paper: Paper, values: Measured, name: str, *, partly: bool) -> JudgedClaim:
    claim = paper.published.claims[name]
    published = [each for each in paper.published.values if each.claim == name]
    return JudgedClaim(
        name=name,
        claim=claim,
        sides={side: _judgement(paper, values, name, side, partly=partly) for side in Side},
        values=tuple(_value(paper, values, each) for each in published),
    )


def _judgement(paper: Paper, values: Measured, name: str, side: Side, *, partly: bool) -> Judgement:
    claim = paper.published.claims[name]
    if side in claim.cannot:
        return Judgement(word=Word.CANNOT, why=claim.cannot[side])
    checks: list[Check] = []
    where: dict[str, None] = {}
    stale: list[str] = []
    for experiment in paper.experiments.values():
        if experiment.expects(name, side):
            known = values.of(experiment.name, side)
            checks += _checks(experiment, name, side, known, partly=partly)
            if known is not None:
                where[known.machine] = None
                stale += [experiment.name] * (known.digest != experiment.digest)
    word, why = _word(checks, claim.because.get(side, ""))
    if word is Word.CANNOT and stale:
        why = f"{', '.join(stale)} has changed since it was measured"
    return Judgement(word=word, checks=tuple(checks), why=why, where=tuple(where))


def _checks(
    experiment: PaperExperiment,
    name: str,
    side: Side,
    known: MeasuredSide | None,
    *,
    partly: bool,
) -> Sequence[Check]:
    if known is None or known.digest != experiment.digest:
        known = _nothing(experiment, side)
    what = about(experiment, name, side, known.machine)
    if partly:
        there = {cell.identity for cell in known.cells}
        cells = tuple(cell for cell in what.cells if cell.identity in there)
        what = msgspec.structs.replace(what, cells=cells)
    return evaluate(what, known.samples)


def _nothing(experiment: PaperExperiment, side: Side) -> MeasuredSide:
    return MeasuredSide(
        experiment=experiment.name,
        side=side,
        machine=experiment.machine(side),
        digest=experiment.digest,
        cells=(),
    )


def about(experiment: PaperExperiment, claim: str, side: Side, machine: str) -> Asked:
    """Return the request of an experiment, reduced to one claim on one side.

    :param machine: the machine of the runs.
    """
    whole = asked(experiment.name, experiment.spec, machine)
    return msgspec.structs.replace(
        whole,
        claims=experiment.expects(claim, side),
        deterministic=is_deterministic(machine),
    )


def _word(checks: Sequence[Check], because: str) -> tuple[Word, str]:
    verdicts = [check.verdict for check in checks]
    if Verdict.REGRESSED in verdicts:
        return Word.NOT, because
    if verdicts and all(verdict is Verdict.PASS for verdict in verdicts):
        return Word.REPRODUCED, ""
    if all(check.value is None for check in checks):
        return Word.CANNOT, "it has not been measured"
    if any(check.value is None for check in checks):
        return Word.CANNOT, "some of its runs are missing or do not count"
    said = next((check.why for check in checks if check.why), None)
    return Word.CANNOT, said or "the interval contains the bound: more repetitions would decide"


def _value(paper: Paper, values: Measured, value: ValueSpec) -> JudgedValue:
    seen: dict[Side, dict[str, Estimate | Ratio | None]] = {side: {} for side in Side}
    if value.experiment is not None:
        experiment = paper.experiments[value.experiment]
        for stack in value.stacks:
            side = experiment.sides[stack]
            if side is not None:
                known = values.of(experiment.name, side)
                seen[side][stack] = _seen(experiment, value, stack, known)
    return JudgedValue(value=value, number=number(value), seen=seen)


def _seen(
    experiment: PaperExperiment, value: ValueSpec, stack: str, known: MeasuredSide | None
) -> Estimate | Ratio | None:
    if known is None or known.digest != experiment.digest:
        return None
    cell = cell_of(experiment, stack, value.parameters)
    mine = known.samples.values(cell, value.metric)
    if not mine:
        return None
    if not value.bases:
        return estimate(mine)
    base = known.samples.values(base_of(experiment, stack, value), value.metric)
    return ratio(mine, [base]) if any(base) else None


def needed(paper: Paper, claim: str, side: Side) -> dict[str, frozenset[str]]:
    """Return the identities of the cells that decide a claim, by experiment."""
    found: dict[str, set[str]] = {}
    for experiment, expect in paper.expects(claim, side):
        wanted = found.setdefault(experiment.name, set())
        for cell, others in subjects(expect, experiment.cells):
            wanted |= {cell.identity, *(other.identity for other in others)}
    return {name: frozenset(cells) for name, cells in found.items()}
