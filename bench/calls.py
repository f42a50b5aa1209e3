"""The number of function calls for a data segment.  It is the same on every machine.

Run it with ``python bench/calls.py``: it runs the sources under ``sys.setprofile``, which does
not see compiled functions.  The cases are those of ``stack.py`` and ``simulation.py``.  ``--top N``
names the functions that are called most.  ``--json`` prints one JSON document.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any, Final

os.environ["TESTBED_COMPILED"] = "no"  # set this before the import of the stack

import msgspec
import simulation
import stack
from _figures import Figure

from testbed import compiled
from testbed.stack.tcp.sender import Sender

# Sent before counting, so that windows have grown, and again while counting.
OCTETS: Final = 4 << 20
SECONDS: Final = (0.5, 1.5)  # the result is the difference of both
Calls = Counter[CodeType]


@contextmanager
def counting() -> Iterator[Calls]:
    """Count the calls of Python functions."""
    calls: Calls = Counter()

    def note(frame: FrameType, event: str, _argument: Any) -> None:
        if event == "call":
            calls[frame.f_code] += 1

    sys.setprofile(note)
    try:
        yield calls
    finally:
        sys.setprofile(None)


def of_stack(*, codec: bool) -> tuple[int, Calls]:
    """Return the number of data segments of a TCP transfer, and the calls of both sides."""
    pair = stack.Pair(codec=codec, gso=False)
    client, server = pair.connect(stack.FLOW)
    data = random.Random(3).randbytes(stack.BATCH)
    carry(pair, client, server, data)
    before = pair.segments
    with counting() as calls:
        carry(pair, client, server, data)
    return pair.segments - before, calls


def carry(pair: stack.Pair, client: Any, server: Any, data: bytes) -> None:
    """Move some octets."""
    received = 0
    while received < OCTETS:
        client.send(data)
        pair.exchange()
        received += len(server.read(stack.BATCH * 8))
        while pair.server.next_event() or pair.client.next_event():
            pass


def of_simulation() -> tuple[int, Calls]:
    """Return the number of data segments in a second of a simulated transfer, and its calls."""
    simulation.run({"duration": "0.1s"})  # do first what a process does once
    found = []
    for seconds in SECONDS:
        with counting() as calls:
            simulation.run({"duration": f"{seconds}s"})
        found.append(calls)
    found[1].subtract(found[0])
    return found[1][Sender.send_data.__code__], found[1]


MEASURED: Final[Mapping[str, Callable[[], tuple[int, Calls]]]] = {
    "one data segment through TCP, both sides": lambda: of_stack(codec=False),
    "... and codec": lambda: of_stack(codec=True),
    "one data segment of MPTCP in a simulation": of_simulation,
}


def main() -> int:
    """Print the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument(
        "--top", type=int, default=0, metavar="N", help="print the N most frequent functions"
    )
    arguments = parser.parse_args()
    figures = []
    for what, measure in MEASURED.items():
        segments, calls = measure()
        value = calls.total() / segments
        figures.append(
            Figure(what=f"{what}: calls", value=value, unit="calls", better="lower",
                   build=compiled.INTERPRETED)
        )  # fmt: skip
        if not arguments.json:
            print(f"{what}: {value:.1f} calls, of {segments} segments")
        for code, count in calls.most_common(arguments.top):
            print(f"  {count / segments:6.2f} {code.co_qualname} ({code.co_filename})")
    if arguments.json:
        print(msgspec.json.encode({"figures": figures}).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
