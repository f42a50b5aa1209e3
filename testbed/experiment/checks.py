"""Checks of an experiment beyond its types. Each check raises InputError."""

from __future__ import annotations

import contextlib
import functools
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import Any

from testbed import document
from testbed.analysis import refusals
from testbed.document import Document
from testbed.errors import InputError, all_of
from testbed.experiment.asked import is_deterministic, scope
from testbed.experiment.matrix import check_size
from testbed.experiment.overrides import Overrides
from testbed.experiment.scenario import FLOWS, TOPOLOGY_KEYS
from testbed.experiment.spec import PACKETS, WIRE, EventSpec, ExperimentSpec
from testbed.hints import nearest
from testbed.machine import machine
from testbed.probe.probes import PROBES
from testbed.results.model import STACK_PREFIX
from testbed.topology.resolve import resolve
from testbed.topology.spec import TopologySpec
from testbed.units import format_time
from testbed.workload.base import Workload
from testbed.workload.flow import WORKLOAD
from testbed.workload.spec import Command, Iperf3
from testbed.workload.stacks.choice import StackChoice, carried_by, read
from testbed.workload.stacks.options import names as option_names
from testbed.workload.stacks.registry import KINDS


def each_stack(written: Document[Any], stacks: Sequence[object]) -> None:
    """Check that each stack under test can be read, and that the components it names exist."""

    def check(index: int, raw: object) -> None:
        with written.placing(document.join_path("stacks", index)):
            read(raw).check()

    all_of(*(functools.partial(check, *stack) for stack in enumerate(stacks)))


def choices_of(written: Document[ExperimentSpec]) -> tuple[StackChoice, ...]:
    """Return the stacks under test, after a check that their components exist."""
    each_stack(written, written.value.stacks)
    try:
        return written.value.choices
    except InputError as error:  # the values do not fit together
        raise written.error(error.message, error.path or "stacks", error.hint) from None


def readable(written: Document[ExperimentSpec]) -> tuple[StackChoice, ...]:
    """Return the stacks under test that are valid."""
    found: dict[str, StackChoice] = {}
    for raw in written.value.stacks:
        with contextlib.suppress(InputError):
            choice = read(raw).check()
            found.setdefault(choice.label, choice)
    return tuple(found.values())


def claims(
    written: Document[ExperimentSpec], topology: Document[TopologySpec], overrides: Overrides
) -> None:
    """Check the claims of the file, also those about stacks that the command line leaves out.

    A claim may be about a stack that cannot be read. A single repetition is no error if the command
    line asks for it.
    """
    spec = written.value
    stacks = [choice.label for choice in readable(written)]
    if len(stacks) < len(spec.stacks):
        stacks += [expect.stack for expect in spec.expect]
        stacks += [each.stack for expect in spec.expect for each in expect.selectors]
    decided = (
        spec.repetitions > 1
        or overrides.repetitions is not None
        or overrides.virtual_time
        or is_deterministic(overrides.machine)
        or (bool(spec.machines) and all(map(is_deterministic, spec.machines)))
    )
    if spec.expect:
        about = scope(spec, stacks, resolve(topology), decided=decided)
        refusals.check(spec.expect, about, written)


def names(written: Document[ExperimentSpec]) -> None:
    """Check that the probes exist."""
    known = [WIRE, PACKETS, *(name for name in PROBES.names() if name != "pcap")]

    def check(index: int, probe: str) -> None:
        place = document.join_path("probes", index)
        if probe not in known:
            hint = "write 'pcap: true'" if probe == "pcap" else nearest(probe, known)
            raise written.error(f"there is no probe {probe!r}", place, hint)
        if probe not in (WIRE, PACKETS):
            with written.placing(place):
                PROBES.check(probe)

    all_of(*(functools.partial(check, *named) for named in enumerate(written.value.probes)))


def lengths(written: Document[ExperimentSpec]) -> None:
    """Check the timeout, and that no flow needs longer."""
    spec = written.value
    try:
        timeout_ns = spec.timeout_ns
    except InputError as error:
        raise written.error(error.message, "timeout", error.hint) from None

    def check(name: str, flow: Workload) -> None:
        if flow.longest_ns > timeout_ns:
            place = WORKLOAD if spec.workload is not None else document.join_path(FLOWS, name)
            raise written.error(
                f"lasts {format_time(flow.longest_ns)}, longer than the timeout of a run, "
                f"{format_time(timeout_ns)}",
                place,
                "set a longer timeout for the experiment",
            )

    all_of(*(functools.partial(check, *named) for named in spec.named_flows.items()))


def events(written: Document[ExperimentSpec]) -> None:
    """Refuse events that can never happen."""
    spec = written.value
    try:
        timeout_ns = spec.timeout_ns
    except InputError:
        return  # said of the timeout
    ends = [flow.end_ns for flow in spec.named_flows.values()]
    known = [end for end in ends if end is not None]
    last_ns = max(known) if len(known) == len(ends) else None

    def check(index: int, event: EventSpec) -> None:
        place = document.join_path("events", index)
        if event.at_ns >= timeout_ns:
            raise written.error(
                f"is at {format_time(event.at_ns)}, after the timeout of a run, "
                f"{format_time(timeout_ns)}",
                place,
                "set a longer timeout for the experiment",
            )
        if last_ns is not None and event.at_ns >= last_ns:
            raise written.error(
                f"is at {format_time(event.at_ns)}, after the end of the flows "
                f"({format_time(last_ns)})",
                place,
                "make the flows longer, or move the event",
            )

    all_of(*(functools.partial(check, *named) for named in enumerate(spec.events)))


def stacks(
    written: Document[ExperimentSpec], choices: Sequence[StackChoice], there: Sequence[str]
) -> None:
    """Check that the machine has the stacks, and the stacks that carry competing flows."""
    spec = written.value

    def check_rival(name: str, stack: str | dict[str, Any]) -> None:
        if spec.workload is not None:
            raise written.error(
                "a workload runs on the stacks under test",
                "workload.stack",
                "write flows to give a flow another stack",
            )
        with written.placing(document.join_path(FLOWS, name, "stack")):
            carried_by(read(stack), there).check()

    def check(index: int, choice: StackChoice) -> None:
        for end in choice.ends:
            if end.name not in there:
                place, hint = document.join_path("stacks", index), f"available: {', '.join(there)}"
                raise written.error(f"there is no stack {end.name!r} here", place, hint)

    flows = spec.named_flows.items()
    all_of(
        *(
            functools.partial(check_rival, name, it.stack)
            for name, it in flows
            if it.stack is not None
        ),
        *(functools.partial(check, *stack) for stack in enumerate(choices)),
    )


def machines(written: Document[ExperimentSpec]) -> None:
    """Check the names of the machines. Whether they work here is checked when they start."""
    wanted = written.value.machines

    def check(index: int, name: str) -> None:
        place = document.join_path("machines", index)
        _, _, kernel = name.partition(":")
        if "/" in kernel and not kernel.startswith("/"):
            raise written.error(f"{kernel!r} is not an absolute path", place)
        if name in wanted[:index]:
            raise written.error(f"machine {name!r} is listed twice", place)
        with written.placing(place):
            machine(name)

    all_of(*(functools.partial(check, *named) for named in enumerate(wanted)))


def polling(written: Document[ExperimentSpec], overrides: Overrides) -> None:
    """Refuse programs that never end in virtual time.

    iperf3 waits in select(2) for a control message or a data socket that can be written to. The
    socket can be written to from the start, so the call returns at once, again and again, until the
    message arrives. In virtual time the clock advances when the processor is idle. Here it is never
    idle, and each read of the clock advances it by 256 ns.
    """
    spec = written.value
    if not (overrides.virtual_time or any(map(is_deterministic, spec.machines))):
        return

    def check(name: str, flow: Workload) -> None:
        place = WORKLOAD if spec.workload is not None else document.join_path("flows", name)
        if isinstance(flow, Iperf3):
            raise _polls(written, f"{place}.kind")
        if isinstance(flow, Command):
            for number, program in enumerate(flow.programs):
                if any(PurePath(word).name == "iperf3" for word in program.argv):
                    raise _polls(
                        written, f"{place}.{document.join_path('programs', number, 'argv')}"
                    )

    all_of(*(functools.partial(check, *named) for named in spec.named_flows.items()))


def _polls(written: Document[ExperimentSpec], path: str) -> InputError:
    return written.error(
        "iperf3 cannot run in virtual time: it polls sockets, and the clock hardly advances while "
        "a program polls",
        path,
        "use a machine in real time, or a workload such as 'bulk'",
    )


def places(spec: ExperimentSpec) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each path that the matrix and the cases set, and the keys that lead to it."""
    for path in spec.matrix:
        yield path, ("matrix", path)
    for name, case in spec.cases.items():
        for path in case:
            yield path, ("cases", name, path)


def paths(written: Document[ExperimentSpec]) -> None:
    """Check that the paths of the matrix and the cases are valid, and no value is listed twice."""

    def check(path: str, keys: tuple[str, ...]) -> None:
        with written.placing(document.join_path(*keys)):
            document.split_path(path)

    def check_values(path: str, values: Sequence[object]) -> None:
        for value, count in Counter(values).items():
            if count > 1:
                place = document.join_path("matrix", path)
                raise written.error(f"{value!r} is listed twice", place)

    all_of(
        *(functools.partial(check, *place) for place in places(written.value)),
        *(functools.partial(check_values, *axis) for axis in written.value.matrix.items()),
    )


def matrix(written: Document[ExperimentSpec], choices: Sequence[StackChoice]) -> None:
    """Check that the paths exist, and that the matrix is not too large.

    :param choices: the stacks under test that can be read.
    """
    paths(written)
    spec = written.value
    known = (WORKLOAD, FLOWS, *TOPOLOGY_KEYS)

    def check(path: str, keys: tuple[str, ...]) -> None:
        place = document.join_path(*keys)
        if path.startswith(STACK_PREFIX):
            _check_option(written, choices, path.removeprefix(STACK_PREFIX), keys, place)
            return
        first = str(document.split_path(path)[0])
        if first not in known:
            hint = nearest(first, known)
            raise written.error("is not a path of the topology or of a flow", place, hint)

    all_of(
        *(functools.partial(check, *place) for place in places(spec)),
        lambda: size(written, choices),
    )


def size(written: Document[ExperimentSpec], choices: Sequence[StackChoice]) -> None:
    """Check that the matrix is not too large."""
    spec = written.value
    try:
        check_size(spec.parameters, choices, spec.max_repetitions or spec.repetitions)
    except InputError as error:
        raise written.error(error.message, "matrix") from None


def _check_option(
    written: Document[ExperimentSpec],
    choices: Sequence[StackChoice],
    option: str,
    keys: tuple[str, ...],
    place: str,
) -> None:
    """Check an axis that is an option of the stacks under test."""
    if keys[0] == "cases":
        raise written.error("set options of stacks in the matrix, not in cases", place)
    having = [choice for choice in choices if choice.has(option)]
    known = {name for choice in choices for name in choice.known}
    if len(choices) < len(written.value.stacks):  # stacks that cannot be read may have any option
        known |= {name for kind in KINDS.values() for name in option_names(kind)}
    if option not in known:
        raise written.error(
            f"no stack here has the option {option!r}",
            place,
            nearest(option, sorted(known)),
        )
    for value in written.value.matrix[STACK_PREFIX + option]:
        for choice in having:
            with written.placing(place):
                choice.replaced({option: value}).check()
