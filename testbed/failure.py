"""A serializable form of an error of :mod:`testbed.errors`, for transfer between our processes.

All our processes send errors in this form. It contains the arguments of the error's constructor, so
the receiver gets the error with its class, file, line and hint.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from testbed import errors


class Failure(msgspec.Struct, frozen=True):
    """The parts of an error, in types that JSON and MessagePack support.

    :param kind: the name of a class of :mod:`testbed.errors`.
    :param arguments: the arguments of its constructor, by name.
    :param more: the other errors in the same document.
    """

    kind: str
    arguments: dict[str, str | int | None]
    more: tuple[Failure, ...] = ()

    @classmethod
    def of(cls, error: errors.TestbedError) -> Failure:
        """Split an error into its parts. A foreign subclass becomes its nearest class of ours."""
        kind = next(it for it in type(error).__mro__ if vars(errors).get(it.__name__) is it)
        values = {name: getattr(error, name) for name in _parameters(kind)}
        more = values.pop("more", ())
        return cls(
            kind.__name__,
            {name: str(it) if isinstance(it, Path) else it for name, it in values.items()},
            tuple(map(cls.of, more)),
        )

    def error(self) -> errors.TestbedError:
        """Build the error from its parts."""
        kind: type[errors.TestbedError] = getattr(errors, self.kind)
        more = {"more": [it.error() for it in self.more]} if self.more else {}
        return kind(**self.arguments, **more)  # type: ignore[arg-type]


def _parameters(kind: type) -> tuple[str, ...]:
    """Return the names of the constructor's parameters, which are those of its attributes too."""
    code = kind.__init__.__code__  # type: ignore[misc]
    return tuple(code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount])
