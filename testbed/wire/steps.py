"""The options of a wire at each step of a trace. Pure, except that it reads the trace."""

from __future__ import annotations

import msgspec

from testbed.errors import InputError
from testbed.wire import trace as traces
from testbed.wire.netem import Netem
from testbed.wire.queues.kinds import Fifo


def checked(netem: Netem) -> None:
    """Read the trace of a direction, and check it against the other options.

    :raises InputError: the trace cannot be read, or conflicts with the options.
    """
    every(netem)


def every(netem: Netem) -> list[Netem]:
    """Return all sets of options that occur over time.

    :raises InputError: the trace cannot be read, or conflicts with the options.
    """
    return combined(netem, changes_of(netem))


def changes_of(netem: Netem) -> traces.Changes | None:
    """Return the trace of a direction, if it is one of changes.

    :raises InputError: it cannot be read, or has opportunities beside a rate.
    """
    if netem.trace is None:
        return None
    loaded = traces.load(netem.trace)
    if isinstance(loaded, traces.Changes):
        return loaded
    if netem.rate is not None:
        raise InputError("trace: cannot be combined with rate", hint="set one of them to none")
    return None


def combined(netem: Netem, changes: traces.Changes | None) -> list[Netem]:
    """Return the options at each step of a trace, or the constant ones without a trace."""
    if changes is None:
        return [msgspec.structs.replace(netem, flap=None)]
    for name in changes.columns:
        if getattr(netem, name) is not None:
            hint = f"set {name} to none, or leave the column out"
            raise InputError(f"trace: has a column {name}, so {name} cannot be given", hint=hint)
    if "rate" not in changes.columns:
        base = msgspec.structs.replace(netem, trace=None, flap=None)
        return [msgspec.structs.replace(base, **step.options) for step in changes.steps]
    return _with_rates(netem, changes)


def _with_rates(netem: Netem, changes: traces.Changes) -> list[Netem]:
    """Return the options at each step. Frames wait in a queue for a changing rate."""
    rate = next((it.options["rate"] for it in changes.steps if not it.held), None)
    if rate is None:
        raise InputError("trace: its rate is always 0", hint="to stop all packets: loss 100%")
    found = []
    for step in changes.steps:
        options = dict(step.options)
        rate = options.setdefault("rate", rate)  # if it is held, of what goes on afterwards
        limit = options.pop("limit", netem.limit)
        if netem.queue is not None and limit is not None:
            raise InputError("limit: cannot be combined with a queue", hint="leave one of them out")
        queue = netem.queue or (Fifo() if limit is None else Fifo(limit=limit))
        base = msgspec.structs.replace(netem, trace=None, flap=None, limit=None, queue=None)
        found.append(msgspec.structs.replace(base, **options, queue=queue))
    return found
