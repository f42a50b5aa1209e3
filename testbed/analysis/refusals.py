"""Finds mistakes in claims before the first run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from testbed.analysis.claims import ExpectSpec, Selector, bound
from testbed.analysis.instance import Instance
from testbed.analysis.registry import metrics, unknown
from testbed.document import Document, join_path
from testbed.errors import InputError
from testbed.hints import nearest
from testbed.metric import Metric, Source, Subject
from testbed.results.model import Scalar


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """The subjects that claims about the runs of an experiment can have.

    :param stacks: the stacks that run.
    :param parameters: the values of each axis of the matrix.
    :param flows: for each flow the metrics of its workload. The name is empty if the experiment
        names no flows.
    :param links: the nodes at each link, VLAN and tunnel.
    :param probes: the probes in use.
    :param own: the metrics that programs of the experiment print.
    :param decided: whether there are enough runs to decide anything.
    """

    stacks: Sequence[str]
    parameters: Mapping[str, Sequence[Scalar]]
    flows: Mapping[str, Sequence[str]]
    links: Mapping[str, tuple[str, ...]]
    probes: Sequence[str]
    decided: bool
    own: Mapping[str, Metric] = {}


def check(claims: Sequence[ExpectSpec], scope: Scope, written: Document[Any]) -> None:
    """Check claims.

    :param written: the file with the claims under ``expect``.
    :raises InputError: a claim is wrong. It names all mistakes with file and line.
    """
    wrong = [
        written.error(
            found.message,
            ".".join(filter(None, (join_path("expect", index), found.path))),
            found.hint,
        )
        for index, expect in enumerate(claims)
        for found in _mistakes(expect, scope)
    ]
    if wrong:
        raise InputError.together(wrong)


def _mistakes(expect: ExpectSpec, scope: Scope) -> Iterator[InputError]:
    """Yield the mistakes of a claim. The bounds are checked only if the metric is correct."""
    metric, selection = _wrong_metric(expect, scope), _wrong_selection(expect, scope)
    bounds = None if metric else _wrong_bounds(expect, scope)
    found = [each for each in (metric, selection, bounds) if each is not None]
    undecided = _undecided(scope)
    if not found and undecided is not None:
        found.append(undecided)
    yield from found


def _undecided(scope: Scope) -> InputError | None:
    if scope.decided:
        return None
    return InputError(
        "one repetition cannot decide this claim: it shows no spread",
        hint="use 'repetitions: 2' or more, or virtual time, where one run decides",
    )


def _wrong_metric(expect: ExpectSpec, scope: Scope) -> InputError | None:
    try:
        instance = expect.instance
    except InputError as error:
        return error
    known = {**metrics(), **scope.own}
    metric = known.get(instance.metric)
    if metric is None:
        missing = unknown(instance.metric, known)
        return InputError(missing.message, path="metric", hint=missing.hint)
    return (
        _wrong_subject(instance, scope)
        or _not_of_it(instance, metric, scope)
        or _never_given(instance, metric, scope)
    )


def _wrong_subject(instance: Instance, scope: Scope) -> InputError | None:
    """Return the error for a wrong name in ``SUBJECT.METRIC``, if any."""
    named = [flow for flow in scope.flows if flow]
    if instance.flow and instance.flow not in named:
        return _unknown("flow", instance.flow, named)
    if instance.link is not None and instance.link not in scope.links:
        return _unknown("link", instance.link, scope.links)
    if instance.link is not None and instance.toward is not None:
        ends = scope.links[instance.link]
        if instance.toward not in ends:
            message = f"link {instance.link!r} does not lead to {instance.toward!r}"
            return InputError(message, hint=f"it leads to {' and to '.join(ends)}")
    return None


def _unknown(what: str, name: str, known: Iterable[str]) -> InputError:
    known = list(known)
    hint = nearest(name, known) if known else f"this experiment names no {what}s"
    return InputError(f"there is no {what} {name!r}", hint=hint)


def _not_of_it(instance: Instance, metric: Metric, scope: Scope) -> InputError | None:
    """Return the error for a metric of another kind of subject, with the right kind, if any."""
    named = next((flow for flow in scope.flows if flow), "")
    possible = set(metric.of)
    if metric.several and not named:
        possible -= {Subject.FLOW, Subject.RUN}
    meant = instance.subject or (Subject.RUN if named else Subject.FLOW)
    if meant in possible or (instance.subject is None and Subject.RUN in possible):
        return None
    forms = {
        Subject.FLOW: f"{named}.{metric.name}" if named else metric.name,
        Subject.PATH: f"{named}@LINK.{metric.name}",
        Subject.WIRE: f"LINK>NODE.{metric.name}",
        Subject.RUN: metric.name,
    }
    written = [form for subject, form in forms.items() if subject in possible]
    hint = f"write {' or '.join(written)}" if written else "it needs several flows: 'flows:'"
    return InputError(f"{metric.name!r} is not a metric of a {meant}", path="metric", hint=hint)


def _never_given(instance: Instance, metric: Metric, scope: Scope) -> InputError | None:
    if metric.source is Source.WORKLOAD:
        given = scope.flows.get(instance.flow, ())
        if metric.name not in given:
            return InputError(
                f"this workload does not measure {metric.name!r}",
                hint=f"it measures {', '.join(given)}",
            )
    if metric.needs and not set(metric.needs) & set(scope.probes):
        return InputError(
            f"{metric.name!r} needs the probe {' or '.join(metric.needs)}",
            hint=f"probes: [..., {metric.needs[0]}]",
        )
    return None


def _wrong_selection(expect: ExpectSpec, scope: Scope) -> InputError | None:
    for selector in (Selector(stack=expect.stack, where=expect.where), *expect.selectors):
        found = _wrong_selector(selector, scope)
        if found is not None:
            return found
    if expect.to_itself:
        return InputError(
            "the claim compares runs with themselves",
            hint="name another stack, or other values in 'where'",
        )
    return None


def _wrong_selector(selector: Selector, scope: Scope) -> InputError | None:
    if selector.stack not in scope.stacks:
        hint = nearest(selector.stack, scope.stacks)
        return InputError(f"stack {selector.stack!r} does not run here", hint=hint)
    for name, value in selector.where.items():
        if name not in scope.parameters:
            hint = nearest(name, scope.parameters)
            return InputError(f"{name!r} is not a parameter of the matrix", hint=hint)
        if value not in scope.parameters[name]:
            hint = nearest(str(value), map(str, scope.parameters[name]))
            return InputError(f"{name} has no value {value!r}", hint=hint)
    return None


def _wrong_bounds(expect: ExpectSpec, scope: Scope) -> InputError | None:
    bounds = []
    for name in ("at_least", "at_most"):
        try:
            bounds.append(bound(expect, getattr(expect, name), scope.own))
        except InputError as error:
            return InputError(error.message, path=name, hint=error.hint)
    low, high = bounds
    if low is not None and high is not None and low > high:
        return InputError(
            f"no number is at least {expect.at_least} and at most {expect.at_most}",
            hint="exchange the two bounds",
        )
    return None
