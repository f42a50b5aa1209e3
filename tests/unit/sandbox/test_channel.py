"""The client's end of the connection to a holder."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import msgspec
import pytest

from testbed.errors import SandboxError
from testbed.failure import Failure
from testbed.sandbox import protocol
from testbed.sandbox.channel import Channel

_PID = 7


def test_processes_that_end_after_a_fault_are_no_second_failure() -> None:
    """A holder whose emulator has died reports the ends of processes as before."""
    assert _faults_of_the_loop(_fault(), _ended()) == []


def test_a_process_whose_end_was_told_before_a_fault_has_ended() -> None:
    assert _faults_of_the_loop(_ended(), _fault(), raises=False) == []


def _fault() -> protocol.Fault:
    return protocol.Fault(Failure.of(SandboxError("the emulator ended")))


def _ended() -> protocol.Exited:
    return protocol.Exited(pid=_PID, status=9, cpu_user_s=0.0, cpu_system_s=0.0, max_rss_bytes=0)


def _faults_of_the_loop(*answers: msgspec.Struct, raises: bool = True) -> list[dict[str, Any]]:
    """Wait for a process while a holder says something, and return what the loop complains of."""
    faults: list[dict[str, Any]] = []

    async def wait() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
        ours, theirs = socket.socketpair()
        channel = Channel(ours, lambda: None)
        exited = channel.exited(_PID)
        with theirs:
            theirs.sendall(b"".join(map(protocol.pack, answers)))
            if raises:
                with pytest.raises(SandboxError, match="the emulator ended"):
                    await exited
            else:
                assert (await exited).status == 9
            await asyncio.sleep(0)
        channel.close()

    asyncio.run(wait())
    return faults
