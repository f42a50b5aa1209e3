"""The in-kernel redirect of the netem engine, by each classifier this kernel has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.sandbox.netlink.redirect import Redirect

pytestmark = pytest.mark.sandbox

PROJECT = Path(__file__).parent.parent.parent

# a0 - a1 => b1 - b0: what enters at a0 must come out of b0.
FORWARD = """
import os, socket, sys
from testbed.sandbox import syscalls
from testbed.sandbox.netlink import links, redirect
from testbed.netlink.transport import Netlink
from testbed.topology.operations import VethEnd

if os.geteuid() != 0:
    syscalls.unshare(syscalls.CLONE_NEWUSER)
syscalls.unshare(syscalls.CLONE_NEWNET)
here = os.open("/proc/self/ns/net", os.O_RDONLY)
with Netlink() as netlink:
    for first, side in ((10, "a"), (20, "b")):
        ends = [
            VethEnd(namespace="", interface=f"{side}{n}", mac=f"02:00:00:00:0{n}:{first}", mtu=1500)
            for n in (0, 1)
        ]
        made = netlink.request(
            [
                links.new_veth(ends[0], ends[1], (first, first + 1), (here, here), 0),
                links.set_link(first + 1, up=True),
            ]
        )
        assert made == [None, None], made
    ingress, classifier = redirect.requests(redirect.Redirect(sys.argv[1]), 11, 21)
    assert netlink.request([ingress]) == [None]
    (refused,) = netlink.request([classifier])
    if refused is not None:
        print("refused", refused)
        raise SystemExit
    assert redirect.target_of(netlink, 11) == 21
    assert redirect.target_of(netlink, 21) is None
taps = {}
for name in ("a0", "b0"):
    taps[name] = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88B5))
    taps[name].bind((name, 0x88B5))
    taps[name].settimeout(10)
frame = bytes.fromhex("ffffffffffff" "020000000010" "88b5") + b"through" * 10
taps["a0"].send(frame)
assert taps["b0"].recv(2000) == frame
print("forwarded")
"""


@pytest.mark.parametrize("way", list(Redirect))
def test_redirect_passes_frames_on(way: Redirect) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORWARD, way],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    if done.stdout.startswith("refused"):
        pytest.skip(f"this kernel has no {way}: {done.stdout}")
    assert done.stdout == "forwarded\n"
