"""Runs QEMU as long as testbed is connected. vng(1) starts this program in place of QEMU.

vng starts virtme-run, and virtme-run starts QEMU. Neither ends QEMU when it is killed. This program
ends QEMU when the connection to testbed closes: at the end of the run, or because testbed was
killed.

Usage: ``keeper.py SOCKET QEMU [ARGUMENT...]``
"""

import ctypes
import os
import select
import signal
import socket
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> int:
    """Run QEMU, and return its exit status."""
    path, *argv = sys.argv[1:]
    if argv[1:] == ["--version"]:  # vng queries the version before it starts a guest
        os.execv(argv[0], argv)  # noqa: S606 - argv is what vng would start
    with socket.socket(socket.AF_UNIX) as testbed:
        testbed.connect(path)
        ours = os.getpid()
        child = os.fork()
        if not child:
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() == ours:
                os.execv(argv[0], argv)  # noqa: S606 - argv is what vng would start
            os._exit(1)
        ended = os.pidfd_open(child)
        ready, _, _ = select.select([testbed.fileno(), ended], [], [])
        if ended not in ready:
            os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    sys.exit(main())
