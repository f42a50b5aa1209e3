"""The interface to the emulator for the process that started it."""

from __future__ import annotations

import socket
import sys
from typing import Final

from testbed.errors import SandboxError
from testbed.middlebox.box import Box
from testbed.wire.emulator.messages import (
    END,
    Add,
    Begin,
    Done,
    Failed,
    Read,
    Reply,
    Report,
    Request,
    Set,
    decode_reply,
    encode,
)
from testbed.wire.netem import Netem, WireCounters

PROGRAM: Final = "testbed.wire.emulator"
_TIMEOUT_S: Final = 30.0


class Emulator:
    """Blocking requests to an emulator process over one end of a stream socket pair.

    The emulator ends when this end is closed.

    :param control: the other end of the descriptor of :func:`command`.
    """

    def __init__(self, control: socket.socket) -> None:
        control.settimeout(_TIMEOUT_S)
        self._control = control
        self._received = bytearray()

    def add(
        self,
        *,
        link: str,
        a: str,
        b: str,
        mtu: int,
        toward_a: Netem,
        toward_b: Netem,
        seed: int = 0,
        offload: bool = False,
        half_duplex: bool = False,
        middlebox: tuple[Box, ...] = (),
        nodes: tuple[str, str] = ("", ""),
    ) -> None:
        """Forward frames between interfaces ``a`` and ``b`` of the emulator's namespace.

        :param half_duplex: both directions share one medium.
        :param middlebox: the middleboxes of the wire, the first one nearest to ``a``.
        :param nodes: the nodes at the ends ``a`` and ``b``, by the names in the options of
            middleboxes.
        :raises InputError: the emulator does not support the options, or a trace file is invalid.
        :raises SandboxError: the link exists already, or an interface does not exist.
        """
        self._do(
            Add(
                link=link,
                a=a,
                b=b,
                mtu=mtu,
                toward_a=toward_a,
                toward_b=toward_b,
                seed=seed,
                offload=offload,
                half_duplex=half_duplex,
                middlebox=middlebox,
                nodes=nodes,
            )
        )

    def set(self, link: str, toward: str, netem: Netem) -> None:
        """Replace the options toward ``a`` or ``b``. Queued frames and equal options stay.

        :raises InputError: the emulator does not support the options.
        :raises SandboxError: the link does not exist.
        """
        self._do(Set(link=link, toward=toward, netem=netem))

    def begin_traces(self) -> None:
        """Restart traces and flapping.

        :raises InputError: a trace can no longer be read.
        """
        self._do(Begin())

    def report(self) -> Report:
        """Return the options and counters of all wires, and the CPU time of the emulator."""
        reply = self._ask(Read())
        if not isinstance(reply, Report):
            raise SandboxError(f"the emulator answered {reply!r} instead of a report")
        return reply

    def counters(self) -> dict[tuple[str, str], WireCounters]:
        """Return the counters by link and direction (``a`` or ``b``)."""
        report = self.report()
        return {(item.link, item.toward): item.counters for item in report.directions}

    def close(self) -> None:
        """End the emulator."""
        self._control.close()

    def _do(self, request: Request) -> None:
        reply = self._ask(request)
        if isinstance(reply, Failed):
            raise reply.failure.error()
        if not isinstance(reply, Done):
            raise SandboxError(f"the emulator answered {reply!r}")

    def _ask(self, request: Request) -> Reply:
        try:
            self._control.sendall(encode(request) + END)
            while END not in self._received:
                data = self._control.recv(2**18)
                if not data:
                    raise SandboxError("the emulator has died; its wires no longer carry frames")
                self._received += data
        except OSError as error:
            raise SandboxError(f"the emulator cannot be reached: {error}") from None
        line, _, rest = self._received.partition(END)
        self._received = rest
        reply: Reply = decode_reply(line)
        return reply


def command(fd: int) -> list[str]:
    """Return the command line of an emulator with descriptor ``fd`` as control socket.

    It must start in the network namespace of the middle interfaces.
    """
    return [sys.executable, "-m", PROGRAM, "--control", str(fd)]
