"""All errors that the project raises on purpose, with their exit codes.

::

    TestbedError                 1  something went wrong; the message says what and what to do
    ├── InputError               2  the user's YAML, option or file is wrong: file:line, path, hint
    ├── PlatformError            4  this kernel or machine cannot do it: what, why, what instead
    ├── SandboxError             1  the sandbox could not be built, reached or kept alive
    │   ├── OperationError       1  one operation of a plan failed, or read back differently
    │   ├── MachineError         1  a virtual machine ended, hung or was too slow
    │   └── NoSuchSandboxError   2  no running sandbox has that name
    ├── PacketError              1  octets that are no packet, or values that fit into none
    ├── SimulationError          1  a simulated network in which nothing can happen any more
    ├── WorkloadError            1  a workload process failed, timed out or delivered wrong bytes
    └── StoreError               1  a result, capture or trace cannot be written or read

Only ``testbed.cli`` turns errors into one line and an exit code. Three more exit codes are no
errors: 3, an expectation of an experiment was not met, 130, the user pressed Ctrl-C, and 141,
nothing reads the output any more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, TypeVar

T = TypeVar("T")


class TestbedError(Exception):
    """The base class of all errors. ``str(error)`` is one complete line for a user.

    :param message: what went wrong, where and why.
    :param hint: a remedy, if one exists.
    """

    exit_code: ClassVar[int] = 1
    __test__: ClassVar[bool] = False  # the name starts with "Test", but pytest must skip it

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class InputError(TestbedError):
    """The user's input cannot be used.

    :param message: what is wrong with the value.
    :param file: the document that contains the value.
    :param line: the line, counted from 1.
    :param path: the place in the document, for example ``links.wifi.netem.delay``.
    :param more: the other errors in the same document.
    """

    exit_code = 2

    def __init__(
        self,
        message: str,
        *,
        file: Path | str | None = None,
        line: int | None = None,
        path: str | None = None,
        hint: str | None = None,
        more: Sequence[InputError] = (),
    ) -> None:
        super().__init__(message, hint=hint)
        self.file = file
        self.line = line
        self.path = path
        self.more = tuple(more)

    @classmethod
    def together(cls, errors: Sequence[InputError]) -> InputError:
        """Return the first of several errors, with the others in its ``more``, each once."""
        every = {str(each): each for error in errors for each in error.every}
        first, *rest = every.values()
        return cls(
            first.message,
            file=first.file,
            line=first.line,
            path=first.path,
            hint=first.hint,
            more=rest,
        )

    @property
    def every(self) -> tuple[InputError, ...]:
        """All errors in the document, this one first, each without ``more``."""
        alone = InputError(
            self.message, file=self.file, line=self.line, path=self.path, hint=self.hint
        )
        return (alone, *self.more)

    def __str__(self) -> str:
        where = "" if self.file is None else str(self.file)
        if self.line is not None:
            where += f":{self.line}"
        return ": ".join(part for part in (where, self.path, super().__str__()) if part)


def all_of(*checks: Callable[[], T]) -> list[T]:
    """Run all checks, and return their results.

    :raises InputError: one or more checks failed; the error contains all failures.
    """
    results: list[T] = []
    errors: list[InputError] = []
    for check in checks:
        try:
            results.append(check())
        except InputError as error:
            errors.append(error)
    if errors:
        raise InputError.together(errors)
    return results


class PlatformError(TestbedError):
    """The kernel or the machine lacks a feature.

    :param what: the missing feature.
    :param why: why the feature is needed.
    :param instead: what the user can do instead.
    """

    exit_code = 4

    def __init__(self, what: str, *, why: str, instead: str) -> None:
        super().__init__(f"{what}: {why}", hint=instead)
        self.what = what
        self.why = why
        self.instead = instead


class SandboxError(TestbedError):
    """The sandbox could not be built, reached or kept alive."""


class OperationError(SandboxError):
    """One operation of a plan failed, or the state read back is not the wanted one.

    :param operation: the operation in words, as ``testbed plan`` prints it.
    :param wanted: the state the plan asks for.
    :param seen: the state or the error the kernel answered with.
    """

    def __init__(self, operation: str, *, wanted: str, seen: str, hint: str | None = None) -> None:
        super().__init__(f"{operation}: wanted {wanted}, got {seen}", hint=hint)
        self.operation = operation
        self.wanted = wanted
        self.seen = seen


class NoSuchSandboxError(SandboxError):
    """No running sandbox has that name."""

    exit_code = 2


class MachineError(SandboxError):
    """A virtual machine ended before its program did."""


class PacketError(TestbedError):
    """Octets are no packet, or values do not fit into a packet."""


class SimulationError(TestbedError):
    """No further event can happen in a simulated network."""


class WorkloadError(TestbedError):
    """A workload failed, ran out of time or delivered the wrong bytes."""


class StoreError(TestbedError):
    """A result folder, a capture or a trace cannot be written or read."""
