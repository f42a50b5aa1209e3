"""``python -m testbed.sandbox.holder NAME CREATOR CONTROL``: bring up the holder of a sandbox.

Two processes come of it.  The *stem* stays in the creator's namespaces, makes the new ones and
forks; its child, the *holder*, is process 1 of the new PID namespace and owns everything.  Death
runs downwards only: the creator's end kills the stem, the stem's end kills the holder, and with
process 1 the kernel kills every process of the namespace and frees what they held.  When the
sandbox is detached the stem goes away alone and nothing but the holder itself can end it.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys

from testbed.errors import SandboxError, TestbedError
from testbed.failure import Failure
from testbed.sandbox import protocol, registry, syscalls
from testbed.sandbox.holder import birth

DETACHED = b"detached"


def main(name: str, creator: int, control: socket.socket) -> None:
    """Run the stem; never returns in the holder, nor once there was one.

    Whoever ends the sandbox waits for the stem, so it does not take its interpreter apart.
    """
    die_with(creator)
    control.set_inheritable(False)
    try:
        listener = registry.bind(name)
        birth.unshare_all()
    except TestbedError as error:
        control.sendall(protocol.pack(protocol.Failed(0, Failure.of(error))))
        return
    die_with(creator)  # new credentials made the kernel forget it
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        ours.close()
        hold(name, control, listener, theirs)
        os._exit(0)
    control.close()
    listener.close()
    theirs.close()
    if ours.recv(len(DETACHED)) != DETACHED:
        os.waitpid(child, 0)  # returns when the whole PID namespace is empty
    os._exit(0)


def die_with(creator: int) -> None:
    """End with the parent, also if it has ended already."""
    syscalls.set_parent_death_signal(signal.SIGKILL)
    if os.getppid() != creator:
        raise SystemExit(1)


def hold(name: str, control: socket.socket, listener: socket.socket, stem: socket.socket) -> None:
    """Be process 1: make the namespaces habitable, then serve until told or made to end."""
    syscalls.set_parent_death_signal(signal.SIGKILL)
    if select.select([stem], [], [], 0)[0]:
        return  # the stem ended before the signal was set; getppid() is 0 in any case
    try:
        birth.furnish()
    except TestbedError as error:
        control.sendall(protocol.pack(protocol.Failed(0, Failure.of(error))))
        return
    listener.listen()
    control.sendall(protocol.pack(protocol.Ready()))
    from testbed.sandbox.holder.server import Server  # noqa: PLC0415 - the creator plans meanwhile

    Server(name, control, listener, release=lambda: detach(stem)).run()


def detach(stem: socket.socket) -> None:
    """Outlive the creator."""
    syscalls.set_parent_death_signal(0)
    try:
        stem.sendall(DETACHED)
    except OSError as error:
        raise SandboxError("the sandbox lost its parent while it was detached") from error


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), socket.socket(fileno=int(sys.argv[3])))
