"""A queue of frames to the kernel, in order and without blocking."""

from __future__ import annotations

from collections import deque
from typing import Final, Protocol

_MOST_WAITING: Final = 4096  # frames that may wait


class Sink(Protocol):
    """Takes frames for one interface."""

    def fileno(self) -> int:
        """Return the descriptor, which is writable when there is room."""

    def write(self, head: bytes, payload: bytes) -> None:
        """Write a frame from its parts.

        :raises OSError: ``BlockingIOError`` if there is no room now.
        """

    def close(self) -> None:
        """Close it."""


class Output:
    """The frames that wait for room in a sink."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._waiting: deque[tuple[bytes, bytes]] = deque()

    def fileno(self) -> int:
        """Return the descriptor, which is writable when :meth:`flush` can continue."""
        return self._sink.fileno()

    def send(self, head: bytes, payload: bytes) -> bool:
        """Send a frame; return ``False`` if it must wait for room.

        A frame that the kernel refuses (the interface is down, its queue is full) is lost, as on a
        network.
        """
        if self._waiting:
            if len(self._waiting) < _MOST_WAITING:
                self._waiting.append((head, payload))
            return False
        try:
            self._sink.write(head, payload)
        except BlockingIOError:
            self._waiting.append((head, payload))
            return False
        except OSError:
            return True
        return True

    def flush(self) -> bool:
        """Send the waiting frames; return whether none is left."""
        waiting, self._waiting = self._waiting, deque()
        while waiting:
            if not self.send(*waiting.popleft()):
                self._waiting.extend(waiting)
                return False
        return True

    def close(self) -> None:
        """Close the sink."""
        self._sink.close()
