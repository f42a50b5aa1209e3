"""Error messages that name the option of the command line that caused an error."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Container, Iterator

import msgspec

from testbed import document
from testbed.errors import InputError
from testbed.experiment import checks
from testbed.experiment.overrides import Overrides
from testbed.experiment.spec import ExperimentSpec

Load = Callable[[Overrides], object]


@contextlib.contextmanager
def blaming(overrides: Overrides, spec: ExperimentSpec, without: Load) -> Iterator[None]:
    """Report an error at the option of the command line that caused it, not at a line of the file.

    :param spec: the content of the file.
    :param without: a function that reads the file again with fewer options.
    """
    try:
        yield
    except InputError as error:
        blamed = [_blamed(each, overrides, spec, without) for each in error.every]
        raise InputError.together(blamed) from None


def _blamed(
    error: InputError, overrides: Overrides, spec: ExperimentSpec, without: Load
) -> InputError:
    keys = document.split_path(error.path or "")
    # An inline topology is below the key `topology`; paths of the command line omit this key.
    first = {*keys[:2]} if keys[:1] == ("topology",) else {*keys[:1]}
    options = {
        "stacks": [f"--stack {text}" for text in overrides.stacks],
        "repetitions": [f"--repetitions {overrides.repetitions}"],
        "max_repetitions": [f"--max-repetitions {overrides.max_repetitions}"],
        "seed": [f"--seed {overrides.seed}"],
        "wire": [f"--wire {overrides.wire}"],
    }
    given = {
        name for name in options if getattr(overrides, name) not in (None, ()) and name in first
    }
    blamed = [option for name in given for option in options[name]]
    blamed += [
        f"--set {path}={text}"
        for path, text in overrides.values
        if document.split_path(path)[0] in first
    ]
    if first & {"matrix", "cases"}:
        axes = {axis for axis, _ in checks.places(spec)}
        blamed += _axes_to_blame(overrides, axes, without, error)
    if not blamed:
        return error
    return InputError(f"{', '.join(blamed)}: {error.message}", hint=error.hint)


def _axes_to_blame(
    overrides: Overrides, axes: Container[str], without: Load, error: InputError
) -> list[str]:
    """Return the options that set axes of the matrix or cases, unless the file itself is wrong.

    :param error: the error of a cell.
    """
    rest = [(path, text) for path, text in overrides.values if path not in axes]
    if len(rest) == len(overrides.values):
        return []
    try:
        without(msgspec.structs.replace(overrides, values=rest))
    except InputError as own:
        # The text before the last colon holds the values of the cell, which differ.
        if own.message.rpartition(": ")[2] == error.message.rpartition(": ")[2]:
            return []
    return [f"--set {path}={text}" for path, text in overrides.values if path in axes]
