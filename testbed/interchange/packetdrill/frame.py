"""One system call of a script: its arguments, and the objects it acts on."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from testbed.errors import InputError
from testbed.interchange.packetdrill.host import Host
from testbed.interchange.packetdrill.model import Call, Items, UnsupportedError, Value, Word
from testbed.interchange.packetdrill.pipes import Pipe
from testbed.interchange.packetdrill.settings import Settings
from testbed.interchange.packetdrill.sockets import Socket, WouldBlock, taken_before

_MESSAGE_FLAGS: Final = frozenset(
    {
        "MSG_NOSIGNAL",
        "MSG_DONTWAIT",
        "MSG_OOB",
        "MSG_FASTOPEN",
        "MSG_EOR",
        "MSG_PEEK",
        "MSG_WAITALL",
    }
)


class Returned(msgspec.Struct, frozen=True):
    """The result of a call.

    :param errno: the name of the error, empty without an error.
    :param said: the values written to the caller's memory, by the index of the argument.
    """

    value: int
    errno: str = ""
    said: Mapping[int, object] = {}


class World(msgspec.Struct):
    """The objects that calls act on.

    :param local: the host's address; ``remote`` is the address it connects to.
    :param watched: the sets of epoll(7): events by the descriptors of set and socket.
    """

    host: Host
    settings: Settings
    local: str
    remote: str
    sockets: dict[int, Socket] = msgspec.field(default_factory=dict)
    pipes: dict[int, Pipe] = msgspec.field(default_factory=dict)
    watched: dict[int, dict[int, frozenset[str]]] = msgspec.field(default_factory=dict)

    def last(self) -> Socket | None:
        """Return the socket of the newest connection."""
        found = [one for one in self.sockets.values() if one.connection is not None]
        return found[-1] if found else None


class Frame:
    """One call in progress.

    :ivar taken: how many octets a waiting write has taken already.
    """

    def __init__(self, world: World, call: Call, file: str) -> None:
        self.world = world
        self.call = call
        self.taken = 0
        self._waits_never = False  # MSG_DONTWAIT
        self._file = file

    def attempt(self, run: Callable[[Frame], Returned]) -> Returned | None:
        """Run the call by a function. Return ``None`` if it waits."""
        try:
            return run(self)
        except WouldBlock as waiting:
            self.taken = taken_before(waiting)
            if self._waits_never:
                return Returned(self.taken) if self.taken else Returned(-1, "EAGAIN")
            return None
        except OSError as error:
            return Returned(-1, _name(error.errno or errno.EIO))
        except UnsupportedError as error:
            raise UnsupportedError(error.message, self.call.line) from error

    # Arguments

    def argument(self, at: int) -> Value:
        """Return an argument.

        :raises InputError: the call has too few arguments.
        """
        if at >= len(self.call.arguments):
            raise self.wrong(f"{self.call.name} has too few values")
        return self.call.arguments[at]

    def number(self, at: int) -> int:
        """Return a numeric argument."""
        value = self.argument(at)
        if isinstance(value, Items) and len(value.items) == 1:
            value = value.items[0]
        if not isinstance(value, int):
            raise self.wrong(f"value {at + 1} of {self.call.name} is not a number")
        return value

    def names(self, at: int) -> frozenset[str]:
        """Return the names of an argument of constants; empty for 0."""
        value = self.argument(at)
        if isinstance(value, Word):
            return frozenset(value.names)
        if value == 0:
            return frozenset()
        raise UnsupportedError(f"value {at + 1} of {self.call.name} as a number")

    def socket(self, at: int = 0) -> Socket:
        """Return the socket of a descriptor."""
        found = self.world.sockets.get(self.number(at))
        if found is None:
            raise OSError(errno.EBADF, "")
        return found

    def memory(self, at: int) -> None:
        """Check a pointer to data. Raises OSError with EFAULT if it is NULL."""
        if self.argument(at) == Word(("NULL",)):
            raise OSError(errno.EFAULT, "")

    def message_flags(self, at: int) -> frozenset[str]:
        """Return the message flags of a call with data."""
        flags = self.names(at)
        if unknown := flags - _MESSAGE_FLAGS:
            raise UnsupportedError(", ".join(sorted(unknown)))
        self._waits_never = "MSG_DONTWAIT" in flags
        return flags

    def wrong(self, what: str) -> InputError:
        """Return the error for a call in a wrong form."""
        return InputError(what, file=self._file, line=self.call.line)


def _name(number: int) -> str:
    """Return the name of an error in scripts. Two names have the same number."""
    return "EOPNOTSUPP" if number == errno.EOPNOTSUPP else errno.errorcode[number]
