"""The endpoints of a host's own network are not ours to change."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.sandbox

# PID 1 of these namespaces is in the network it has made, as on a host.
SCRIPT = """
set -e
ip link set lo up
ip address add 192.0.2.1/32 dev lo
ip mptcp endpoint add 192.0.2.1 id 7 port 6000 signal
timeout 60 "$1" -m testbed nc -l 192.0.2.1 5001 < /dev/null && status=0 || status=$?
ip mptcp endpoint show
echo "exit code $status"
"""


def test_a_port_that_the_host_announces_is_left_to_it() -> None:
    root = [] if os.getuid() == 0 else ["--map-root-user"]
    done = subprocess.run(
        ["unshare", *root, "--net", "--mount", "--pid", "--fork", "--mount-proc",
         "sh", "-c", SCRIPT, "sh", sys.executable],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "192.0.2.1 port 6000 id 7 signal" in done.stdout, done
    assert "the port 6000 of an endpoint cannot be opened" in done.stderr
    assert "testbed does not change the endpoints of a host" in done.stderr
    assert done.stdout.endswith("exit code 4\n")
