"""Every error the project raises on purpose, and the exit code each one means.

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

Errors are raised where they happen and turned into one line and an exit code in ``testbed.cli``
only.  Two more exit codes exist that are not errors: 3, an expectation of an experiment was not
met, and 130, the user pressed Ctrl-C.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, TypeVar

T = TypeVar("T")


class TestbedError(Exception):
    """Base of the tree.  ``str(error)`` is one complete line for a person.

    :param message: what went wrong, where and why.
    :param hint: what to do about it, if anything can be done.
    """

    exit_code: ClassVar[int] = 1
    __test__: ClassVar[bool] = False  # the name starts with "Test"; it is not one

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class InputError(TestbedError):
    """The user's input cannot be used.

    :param message: what is wrong with the value.
    :param file: the document it stands in.
    :param line: the line, counted from 1.
    :param path: where in the document, for example ``links.wifi.netem.delay``.
    :param more: what else is wrong with the same document.
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
        """Return the first of several errors, with all of them in it, each once."""
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
        """The error alone, and what else is wrong with the document, each alone."""
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
    """Do all checks, and return what they return.

    :raises InputError: what any of them found, all of it at once.
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
    """The kernel or the machine lacks something.

    :param what: what is missing.
    :param why: why it matters here.
    :param instead: what the user can do.
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
    """One operation of a plan failed, or what was read back is not what was wanted.

    :param operation: the operation in words, as ``testbed plan`` prints it.
    :param wanted: the state the plan asks for.
    :param seen: the state or the error the kernel answered with.
    """

    def __init__(self, operation: str, *, wanted: str, seen: str, hint: str | None = None) -> None:
        super().__init__(f"{operation}: wanted {wanted}, the kernel has {seen}", hint=hint)
        self.operation = operation
        self.wanted = wanted
        self.seen = seen


class NoSuchSandboxError(SandboxError):
    """No running sandbox has that name."""

    exit_code = 2


class MachineError(SandboxError):
    """A virtual machine ended before its program did."""


class PacketError(TestbedError):
    """Octets are no packet, or a packet cannot hold the values it is to hold."""


class SimulationError(TestbedError):
    """A simulated network came to a standstill."""


class WorkloadError(TestbedError):
    """A workload failed, ran out of time or delivered the wrong bytes."""


class StoreError(TestbedError):
    """A result folder, a capture or a trace cannot be written or read."""
