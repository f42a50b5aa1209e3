"""Listening sockets of a namespace, by inet_diag (sock_diag(7))."""

from __future__ import annotations

from testbed.sandbox.holder.namespace import Namespace
from testbed.sandbox.observation import Listener


def read_listeners(namespace: Namespace) -> tuple[Listener, ...]:
    """Return the TCP and MPTCP sockets that listen."""
    return ()
