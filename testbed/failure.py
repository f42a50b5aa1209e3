"""An error of :mod:`testbed.errors` on its way from one of our processes to another.

All our processes send errors this way.  What is sent are the values the error was made of, so it
arrives with its class, file, line and hint.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from testbed import errors


class Failure(msgspec.Struct, frozen=True):
    """The parts of an error, in a form that JSON and MessagePack can hold.

    :param kind: the name of a class of :mod:`testbed.errors`.
    :param arguments: of its constructor, by name.
    :param more: what else is wrong with the same document.
    """

    kind: str
    arguments: dict[str, str | int | None]
    more: tuple[Failure, ...] = ()

    @classmethod
    def of(cls, error: errors.TestbedError) -> Failure:
        """Take an error apart; of one that is not ours, what the nearest of ours has."""
        kind = next(it for it in type(error).__mro__ if vars(errors).get(it.__name__) is it)
        values = {name: getattr(error, name) for name in _parameters(kind)}
        more = values.pop("more", ())
        return cls(
            kind.__name__,
            {name: str(it) if isinstance(it, Path) else it for name, it in values.items()},
            tuple(map(cls.of, more)),
        )

    def error(self) -> errors.TestbedError:
        """Put the error together again."""
        kind: type[errors.TestbedError] = getattr(errors, self.kind)
        more = {"more": [it.error() for it in self.more]} if self.more else {}
        return kind(**self.arguments, **more)  # type: ignore[arg-type]


def _parameters(kind: type) -> tuple[str, ...]:
    """Return the names of the constructor's parameters; the error's attributes have them too."""
    code = kind.__init__.__code__  # type: ignore[misc]
    return tuple(code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount])
