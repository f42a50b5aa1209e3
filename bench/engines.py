"""A comparison of the emulator with the kernel's netem: the same options and frames for both.

Run it where there is netem; in virtual time computing costs nothing, so that only the engines are
compared::

    testbed machine exec uml:7.3+virtual-time -- .venv/bin/python bench/engines.py

Numbered ECN-capable packets go over one link at even intervals, and what arrives is put side by
side.
The engines draw different random numbers.  So shares must agree as far as chance allows (four
standard errors of their difference) and times to a tenth of a millisecond beside that.  At the end
there is a Markdown table, with ``--page`` a file; the exit code is 1 if the engines disagree.
``make engines`` writes docs/engines.md so.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import platform
import socket
import statistics
import struct
import sys
import time
import zlib
from pathlib import Path
from typing import Final, NamedTuple

from testbed.errors import PlatformError
from testbed.sandbox import Sandbox
from testbed.topology.load import loads_topology
from testbed.topology.plan import plan
from testbed.topology.resolve import resolve

ETH_P_IP: Final = 0x0800
NO_NUMBER: Final = -1
STRANGER: Final = b"\2" * 6  # an unused MAC address, so that no stack answers
FRAME: Final = 1000  # octets
GAP_S: Final = 0.001
COUNT: Final = 5000
QUIET_S: Final = 1.0  # after this time no more frames come
OPTIONS: Final = (
    "{delay: 20ms}",
    "{delay: 20ms 5ms}",
    "{delay: 20ms 5ms distribution normal}",
    "{delay: 20ms 5ms distribution pareto}",
    "{rate: 20mbit, delay: 10ms}",
    "{rate: 5mbit, limit: 20}",
    "{loss: 2%}",
    "{loss: gemodel 1% 20%}",
    "{loss: state 1% 30% 20% 60% 1%}",
    "{loss: 2% ecn}",
    "{delay: 10ms, slot: 20ms packets 30}",
    "{slot: 5ms 25ms bytes 20kb}",
    "{duplicate: 2%}",
    "{corrupt: 2%}",
    "{delay: 10ms, reorder: 25%}",
    "{rate: 7mbit, delay: 10ms, queue: fifo limit 50}",
    "{rate: 7mbit, delay: 10ms, queue: fifo limit 30ms}",
    "{rate: 7mbit, delay: 10ms, queue: codel}",
    "{rate: 7mbit, delay: 10ms, queue: codel ecn}",
    "{rate: 7mbit, delay: 10ms, queue: codel ce_threshold 2ms}",
    "{rate: 7mbit, delay: 10ms, queue: fq_codel noecn}",
    "{rate: 7mbit, delay: 10ms, queue: fq_codel limit 40}",
    "{rate: 7mbit, delay: 10ms, queue: pie tupdate 20ms}",
    "{rate: 7mbit, delay: 10ms, queue: pie tupdate 20ms ecn}",
    "{rate: 7mbit, delay: 10ms, queue: red limit 100kb min 10kb max 40kb probability 30%}",
    "{rate: 7mbit, delay: 10ms, queue: red limit 100kb min 10kb max 40kb probability 30% ecn}",
    "{rate: 7mbit burst 20kb, delay: 10ms, queue: fifo limit 50}",
    "{rate: 9mbit, delay: 10ms 5ms, loss: 5%, queue: codel}",
)
# Linux's timers are up to a jiffy late, and PIE's starts again each time it has
# expired: with 100 jiffies a second, as here, 20 ms become 30.
_LATE, _IN_TIME = "tupdate 20ms", "tupdate 30ms"
# With a queue, htb takes a frame from netem up to this long after the frame was ready.
QUEUED_MS: Final = 8 * FRAME / 7e6 * 1e3
_TOPOLOGY: Final = """
nodes: {{a: {{}}, b: {{}}}}
links:
  l: {{between: [a, b], netem: {{}}, toward: {{b: {options}}}}}
"""
TEXT: Final = """\
# The emulator against netem

This page compares the two engines of [wires](wires.md) with the same frames. Time is virtual, so
that only the engines differ. This page was written by

```console
$ testbed machine exec --writable docs {machine} -- .venv/bin/python {argv}
```

Each cell has the value of netem, and then that of the emulator, for {count} frames of {size}
octets, one every {gap_ms:g} ms, on Linux {release}. The engines draw different random numbers. Two
shares agree if chance explains their difference. Two times agree if they differ by at most a tenth
of a millisecond more than chance explains. A frame with a corrupted number counts as lost.

In the rows with a queue, a source sends 8 Mbit/s to a link of 7 Mbit/s and does not slow down.
There two times may differ by {queued_ms:.1f} ms, the time of one frame: htb takes a frame out of
netem when it may send it, so the kernel's discipline sees the frame later. In Linux the timer of
PIE is one jiffy late, 10 ms in this kernel, so the emulator has 30 ms instead of 20.

{table}
"""
_HEAD: Final = struct.Struct(
    "!6s6sH20s8sIqI"
)  # destination, source, IPv4, UDP; number, send time, checksum of both
_SUMMED: Final = struct.Struct("!Iq")
_BODY: Final = bytes(FRAME - _HEAD.size)
_IPV4: Final = struct.Struct("!BBHHHBBH4s4s")
_ECT_0, _CE = 2, 3
_UDP: Final = struct.pack("!HHHH", 9, 9, FRAME - 34, 0)


class Seen(NamedTuple):
    """The frames that left a link, as shares of those that entered, and times in milliseconds."""

    lost: float
    duplicated: float
    corrupted: float
    marked: float
    overtaken: float
    delay_ms: float
    spread_ms: float
    mbit: float


# In the nodes


def send() -> None:
    """Send the frames from eth0."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as out:
        out.bind((_interface(), 0))
        start = time.monotonic()
        for number in range(COUNT):
            time.sleep(max(0.0, start + number * GAP_S - time.monotonic()))
            stamp = (number, time.monotonic_ns())
            ip = _ip(_ECT_0)
            head = _HEAD.pack(STRANGER, STRANGER, ETH_P_IP, ip, _UDP, *stamp, _checksum(*stamp))
            out.send(head + _BODY)


def receive() -> None:
    """Print number, send time, arrival time, intact, marked of each frame, until no more come."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as into:
        into.bind((_interface(), ETH_P_IP))
        into.settimeout(30)
        print("ready", flush=True)
        arrivals = []
        try:
            while True:
                frame = into.recv(2048)
                arrived_ns = time.monotonic_ns()
                _, _, _, ip, udp, number, sent_ns, checksum = _HEAD.unpack_from(frame)
                if checksum != _checksum(number, sent_ns):
                    number = NO_NUMBER
                marked = ip == _ip(_CE)  # ECN codepoint CE and its IPv4 checksum
                intact = (
                    (marked or ip == _ip(_ECT_0))
                    and (udp, frame[_HEAD.size :]) == (_UDP, _BODY)
                    and number != NO_NUMBER
                )
                arrivals.append((number, sent_ns, arrived_ns, intact, marked))
                into.settimeout(QUIET_S)
        except TimeoutError:
            print(json.dumps(arrivals), flush=True)


def _ip(ecn: int) -> bytes:
    """Return an IPv4 header (RFC 791) with an ECN codepoint."""
    fields = (0x45, ecn, FRAME - 14, 0, 0, 64, socket.IPPROTO_UDP)
    ends = (b"\xc0\0\2\1", b"\xc0\0\2\2")
    total = sum(struct.unpack("!10H", _IPV4.pack(*fields, 0, *ends)))
    total = (total & 0xFFFF) + (total >> 16)
    return _IPV4.pack(*fields, ~total & 0xFFFF, *ends)


def _checksum(number: int, sent_ns: int) -> int:
    return zlib.crc32(_SUMMED.pack(number, sent_ns))


def _interface() -> str:
    return next(name for _, name in socket.if_nameindex() if name != "lo")


# Outside


async def through(engine: str, options: str) -> Seen:
    """Send the frames through one engine."""
    topology = resolve(loads_topology(_TOPOLOGY.format(options=options)))
    async with await Sandbox.create() as sandbox:
        await sandbox.execute(plan(topology, engine=engine, seed=1))
        argv = [sys.executable, __file__, "--role"]
        read, write = os.pipe()
        receiver = await sandbox.spawn("b", [*argv, "receive"], stdout=write, stderr=2)
        os.close(write)
        with os.fdopen(read) as lines:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(None, lines.readline)
            sender = await sandbox.spawn("a", [*argv, "send"], stderr=2)
            arrivals = json.loads(await loop.run_in_executor(None, lines.readline))
        await sender.wait(30)
        await receiver.wait(30)
    return summed_up(arrivals)


def summed_up(arrivals: list[tuple[int, int, int, bool, bool]]) -> Seen:
    """Turn arrivals, in their order, into shares and times."""
    numbers = [number for number, *_ in arrivals if number != NO_NUMBER]
    once = len(set(numbers))
    latest, overtaken = -1, 0
    for number in numbers:
        overtaken += number < latest
        latest = max(latest, number)
    delays = [(arrived - sent) / 1e6 for _, sent, arrived, intact, _ in arrivals if intact]
    took_s = (arrivals[-1][2] - arrivals[0][2]) / 1e9
    return Seen(
        lost=1 - once / COUNT,
        duplicated=(len(numbers) - once) / COUNT,
        corrupted=sum(not intact for *_, intact, _ in arrivals) / COUNT,
        marked=sum(marked for *_, marked in arrivals) / COUNT,
        overtaken=overtaken / COUNT,
        delay_ms=statistics.fmean(delays),
        spread_ms=statistics.pstdev(delays),
        mbit=(len(arrivals) - 1) * FRAME * 8 / took_s / 1e6,
    )


def agree(left: Seen, right: Seen, slack_ms: float = 0.0) -> bool:
    """Return whether a difference beyond a given time is within chance."""
    for name in ("lost", "duplicated", "corrupted", "marked", "overtaken"):
        one, two = getattr(left, name), getattr(right, name)
        mean = (one + two) / 2
        # Losses in bursts are not independent: five a burst on average.
        error = math.sqrt(2 * mean * (1 - mean) / COUNT * 5)
        if abs(one - two) > 4 * error + 1 / COUNT:
            return False
    spread = math.hypot(left.spread_ms, right.spread_ms) / math.sqrt(COUNT)
    if abs(left.delay_ms - right.delay_ms) > 0.1 + slack_ms + 4 * spread:
        return False
    if abs(left.spread_ms - right.spread_ms) > 0.1 + slack_ms + 0.05 * left.spread_ms:
        return False
    # Compare rates without the effect of losses, which have their own comparison.
    return abs(left.mbit / right.mbit * (1 - right.lost) / (1 - left.lost) - 1) < 0.02


def as_markdown(rows: list[tuple[str, Seen, Seen, bool]]) -> str:
    """Return the table: netem / emulator in each cell."""
    names = ("lost", "duplicated", "corrupted", "marked", "overtaken", "delay", "spread", "rate")
    lines = [f"| options | {' | '.join(names)} | agree |", "| --- " * (len(names) + 2) + "|"]
    for options, kernel, ours, same in rows:
        shares = [f"{a:.2%} / {b:.2%}" for a, b in zip(kernel[:5], ours[:5], strict=True)]
        times = [f"{a:.2f} / {b:.2f} ms" for a, b in zip(kernel[5:7], ours[5:7], strict=True)]
        rate = f"{kernel.mbit:.2f} / {ours.mbit:.2f} Mbit/s"
        cells = [f"`{options}`", *shares, *times, rate, "yes" if same else "no"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def page(table: str) -> str:
    """Return the page of the documentation."""
    return TEXT.format(
        machine=os.environ.get("TESTBED_MACHINE", "host"),
        argv=" ".join(sys.argv),
        count=COUNT,
        size=FRAME,
        gap_ms=GAP_S * 1000,
        queued_ms=QUEUED_MS,
        release=platform.release(),
        table=table,
    )


def main() -> int:
    """Measure, print and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--role", choices=("send", "receive"), help=argparse.SUPPRESS)
    parser.add_argument("--page", type=Path, help="write a page for the documentation to this file")
    parser.add_argument("--only", default="", help="only options that contain this text")
    arguments = parser.parse_args()
    if arguments.role:
        send() if arguments.role == "send" else receive()
        return 0
    rows = []
    for options in (each for each in OPTIONS if arguments.only in each):
        try:
            kernel = asyncio.run(through("netem", options))
        except PlatformError as error:
            print(f"not measured: {error}")
            return 0
        ours = asyncio.run(through("emulator", options.replace(_LATE, _IN_TIME)))
        slack_ms = QUEUED_MS if "queue" in options else 0.0
        rows.append((options, kernel, ours, agree(kernel, ours, slack_ms)))
        print(options, *(f"\n  {seen}" for seen in (kernel, ours)), rows[-1][-1], flush=True)
    table = as_markdown(rows)
    print(table)
    if arguments.page:
        arguments.page.write_text(page(table))
    return 0 if all(same for *_, same in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
