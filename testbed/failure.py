"""An error of :mod:`testbed.errors` on its way from one of our processes to another."""

from __future__ import annotations

import msgspec

from testbed import errors


class Failure(msgspec.Struct, frozen=True):
    """What an error is made of, in a form that JSON and MessagePack can hold."""

    kind: str
    arguments: dict[str, str | None]

    @classmethod
    def of(cls, error: errors.TestbedError) -> Failure:
        """Take an error apart."""
        arguments: dict[str, str | None]
        match error:
            case errors.OperationError():
                arguments = {
                    "operation": error.operation,
                    "wanted": error.wanted,
                    "seen": error.seen,
                    "hint": error.hint,
                }
            case errors.PlatformError():
                arguments = {"what": error.what, "why": error.why, "instead": error.instead}
            case _:
                arguments = {"message": error.message, "hint": error.hint}
        return cls(type(error).__name__, arguments)

    def error(self) -> errors.TestbedError:
        """Put the error together again."""
        arguments = dict(self.arguments)
        first = {"OperationError": "operation", "PlatformError": "what"}.get(self.kind, "message")
        kind: type[errors.TestbedError] = getattr(errors, self.kind)
        return kind(arguments.pop(first) or "", **arguments)
