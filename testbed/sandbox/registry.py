r"""Names of running sandboxes: abstract UNIX sockets, so nothing is ever left on a disk.

The address of a sandbox is ``\0testbed/<uid>/<name>`` in the network namespace its creator ran
in.  unix(7): an abstract socket disappears with its last descriptor.
"""

from __future__ import annotations

import os
import re
import secrets
import socket
import struct
from pathlib import Path

from testbed.errors import InputError, NoSuchSandboxError, SandboxError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_LISTENING = "00010000"  # __SO_ACCEPTCON in the flags column of /proc/net/unix
_PEER = struct.Struct("iII")  # struct ucred: pid, uid, gid


def new_name() -> str:
    """Return a name that no other sandbox has."""
    return f"sandbox-{secrets.token_hex(4)}"


def check_name(name: str) -> str:
    """Return ``name`` if it can name a sandbox; :class:`InputError` otherwise."""
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name!r} cannot be the name of a sandbox",
            hint="use 1 to 64 letters, digits, '.', '_' or '-', starting with a letter or digit",
        )
    return name


def bind(name: str) -> socket.socket:
    """Take the name; the caller must listen.  :class:`SandboxError`: it is taken."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(_address(os.geteuid(), name))
    except OSError as error:
        listener.close()
        raise SandboxError(
            f"a sandbox named {name} is already running",
            hint=f"testbed down {name} ends it; another --name avoids it",
        ) from error
    return listener


def running() -> list[tuple[int, str]]:
    """Return (uid, name) of every sandbox this user may reach: root all, others their own."""
    me = os.geteuid()
    found = set()
    for line in Path("/proc/net/unix").read_text(errors="replace").splitlines()[1:]:
        fields = line.split(maxsplit=7)
        if len(fields) < 8 or fields[3] != _LISTENING or not fields[7].startswith("@testbed/"):
            continue
        _, uid, name = fields[7].split("/", 2)
        if uid.isdigit() and _NAME.fullmatch(name) and me in (0, int(uid)):
            found.add((int(uid), name))
    return sorted(found)


def connect(name: str) -> socket.socket:
    """Connect to a running sandbox, preferring one's own.  :class:`NoSuchSandboxError`."""
    check_name(name)
    me = os.geteuid()
    candidates = sorted((uid for uid, each in running() if each == name), key=lambda u: u != me)
    for uid in candidates:
        connection = _connect_as(uid, name)
        if connection is not None:
            return connection
    names = ", ".join(each for _, each in running()) or "none"
    raise NoSuchSandboxError(f"no sandbox named {name} is running", hint=f"running: {names}")


def peer(connection: socket.socket) -> tuple[int, int]:
    """Return (pid, uid) of the other side of a UNIX socket, as this process sees them.

    The pid is 0 if the other side is in a PID namespace that is neither ours nor below ours.
    """
    pid, uid, _ = _PEER.unpack(
        connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    )
    return pid, uid


def _address(uid: int, name: str) -> bytes:
    return f"\0testbed/{uid}/{name}".encode()


def _connect_as(uid: int, name: str) -> socket.socket | None:
    """Connect with the credentials of ``uid``; None if it went away or is not to be had.

    A rootless holder knows only its owner: the kernel shows it every other user, root included,
    as "nobody".  So root connects as the owner.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    me = os.geteuid()
    try:
        if uid != me:
            os.seteuid(uid)
        try:
            connection.connect(_address(uid, name))
        finally:
            if uid != me:
                os.seteuid(me)
    except OSError:
        connection.close()
        return None
    pid, owner = peer(connection)
    # Any user may bind any abstract name.  Without a pid, it lives outside of the container this
    # process is in, where its life cannot be watched.
    if owner != uid or not pid:
        connection.close()
        return None
    return connection
