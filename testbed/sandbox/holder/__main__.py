"""``python -m testbed.sandbox.holder CREATOR ORDERS MODULE...``: the process that forks holders.

This process, the *nursery*, imports the modules of holders and of our programs in nodes, and forks
for each order. An order creates two processes. The *stem* creates the new namespaces, but its own
PID namespace remains that of the creator. It forks the *holder*, which is process 1 of the new PID
namespace and owns everything. The last order turns the nursery itself into the stem.

The end of a process ends only its descendants. The creator's end kills the nursery, whose end kills
the stems. The stem's end kills the holder, and with process 1 the kernel kills every process of the
namespace and frees their resources. When the sandbox is detached, only the stem ends. From then on
only the end of the holder ends the sandbox.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import select
import signal
import socket
import sys
from collections.abc import Sequence

from testbed.errors import SandboxError, TestbedError
from testbed.failure import Failure
from testbed.sandbox import protocol, registry, syscalls
from testbed.sandbox.holder import birth, forked

DETACHED = b"detached"


def main(creator: int, orders: socket.socket, modules: Sequence[str]) -> None:
    """Carry out orders until no more can arrive. Returns only in the nursery."""
    die_with(creator)
    orders.set_inheritable(False)
    forked.load(modules)
    gc.freeze()  # the collector skips these objects, so that forks share their memory
    me = os.getpid()
    while True:
        packet, descriptors = protocol.receive(orders)
        _reap()
        if not packet:
            return
        order = protocol.decode(packet)
        control, log = descriptors
        parent = creator if order.last else me
        if order.last or os.fork() == 0:
            forked.end_after(functools.partial(_be_stem, order, parent, orders, control, log))
        os.close(control)
        os.close(log)


def _reap() -> None:
    """Reap ended stems, which adds their CPU time to that of this process."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _be_stem(
    order: protocol.Order, parent: int, orders: socket.socket, control: int, log: int
) -> None:
    """Run as the stem, the process between the creator and a holder."""
    orders.close()
    die_with(parent)
    for standard in (1, 2):
        os.dup2(log, standard)
    os.close(log)
    forked.rename([sys.executable, "-m", "testbed.sandbox.holder", order.name])
    creator = socket.socket(fileno=control)
    try:
        listener = registry.bind(order.name)
        birth.unshare_all()
    except TestbedError as error:
        creator.sendall(protocol.pack(protocol.Failed(0, Failure.of(error))))
        return
    die_with(parent)  # the change of credentials has reset it
    ours, theirs = socket.socketpair()
    pid = os.getpid()
    pidfd = os.pidfd_open(pid)
    child = os.fork()
    if child == 0:
        ours.close()
        hold(order.name, creator, listener, theirs, (pid, pidfd))
        return
    for each in (creator, listener, theirs):
        each.close()
    os.close(pidfd)
    if ours.recv(len(DETACHED)) != DETACHED:
        os.waitpid(child, 0)  # returns when the PID namespace is empty


def die_with(parent: int) -> None:
    """Request to be killed at the parent's end. Exit if it has ended already."""
    syscalls.set_parent_death_signal(signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit(1)


def hold(
    name: str,
    control: socket.socket,
    listener: socket.socket,
    stem: socket.socket,
    watched: tuple[int, int],
) -> None:
    """Run as process 1: set up the namespaces, then serve until a request or signal ends it.

    :param watched: the pid of the stem in the creator's PID namespace, and its pidfd.
    """
    syscalls.set_parent_death_signal(signal.SIGKILL)
    if select.select([stem], [], [], 0)[0]:
        return  # the stem ended before the signal was set; getppid() is always 0
    try:
        birth.furnish()
    except TestbedError as error:
        control.sendall(protocol.pack(protocol.Failed(0, Failure.of(error))))
        return
    listener.listen()
    pid, pidfd = watched
    socket.send_fds(control, [protocol.pack(protocol.Ready(pid))], [pidfd])
    os.close(pidfd)
    from testbed.sandbox.holder.server import Server  # noqa: PLC0415 - the creator plans meanwhile

    Server(name, control, listener, release=lambda: detach(stem)).run()


def detach(stem: socket.socket) -> None:
    """Let the holder outlive the creator."""
    syscalls.set_parent_death_signal(0)
    try:
        stem.sendall(DETACHED)
    except OSError as error:
        raise SandboxError("the sandbox lost its parent while it was detached") from error


if __name__ == "__main__":
    main(int(sys.argv[1]), socket.socket(fileno=int(sys.argv[2])), sys.argv[3:])
