r"""The names of running sandboxes: abstract UNIX sockets, which leave nothing on a disk.

The address of a sandbox is ``\0testbed/<uid>/<name>`` in the network namespace of its creator. An
abstract socket disappears with its last descriptor (unix(7)).
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
    """Return a name for a sandbox that no other one uses."""
    return f"sandbox-{secrets.token_hex(4)}"


def check_name(name: str) -> str:
    """Return ``name`` if it is valid for a sandbox; raise :class:`InputError` otherwise."""
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name!r} is not a valid name for a sandbox",
            hint="use 1 to 64 letters, digits, '.', '_' or '-', starting with a letter or digit",
        )
    return name


def bind(name: str) -> socket.socket:
    """Return a socket bound to the name. The caller must listen.

    :raises SandboxError: the name is in use.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(_address(os.geteuid(), name))
    except OSError as error:
        listener.close()
        raise SandboxError(
            f"a sandbox named {name} is already running",
            hint=f"end it with `testbed down {name}`, or choose another --name",
        ) from error
    return listener


def running() -> list[tuple[int, str]]:
    """Return (uid, name) of this user's sandboxes; for root, those of all users."""
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
    """Connect to a running sandbox, preferably one of this user.

    :raises NoSuchSandboxError: no sandbox has the name.
    """
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
    """Return (pid, uid) of the peer of a UNIX socket, as seen by this process.

    The pid is 0 if the peer's PID namespace is neither that of this process nor a descendant of it.
    """
    pid, uid, _ = _PEER.unpack(
        connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    )
    return pid, uid


def _address(uid: int, name: str) -> bytes:
    return f"\0testbed/{uid}/{name}".encode()


def _connect_as(uid: int, name: str) -> socket.socket | None:
    """Connect with the credentials of ``uid``; return None if that fails.

    A rootless holder recognises only its owner: the kernel shows it every other user, including
    root, as "nobody". So root connects as the owner.
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
    # Any user may bind any abstract name. A peer without a pid is outside of the container of this
    # process, which then cannot watch it.
    if owner != uid or not pid:
        connection.close()
        return None
    return connection
