"""Terminals as standard input."""

from __future__ import annotations

import os
import pty

from testbed.host.stdio import in_foreground


def test_a_job_in_the_background_may_not_read_its_terminal():
    child, terminal = pty.fork()
    if child == 0:  # it leads a session, in the foreground of its terminal
        here = in_foreground(0)
        job = os.fork()
        if job == 0:
            os.setpgid(0, 0)
            os._exit(in_foreground(0))
        _, there = os.waitpid(job, 0)
        os._exit(0 if (here, os.waitstatus_to_exitcode(there)) == (True, 0) else 1)
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    assert status == 0


def test_a_terminal_of_another_session_stops_nobody():
    controller, terminal = os.openpty()
    assert in_foreground(terminal)
    os.close(controller)
    os.close(terminal)
