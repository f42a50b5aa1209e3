"""Programs as they are over our stack, against the kernel's MPTCP, as clients and as servers.

Each run of the tests tries some; ``TESTBED_INTEROP=full`` (``make interop``) all of them, on one
path and on two, which is also how ``scripts/program-table`` makes the table of docs/programs.md.
"""

from __future__ import annotations

import os

import pytest

from testbed.topology.model import Family
from tests.interop.programs.cases import CASES
from tests.interop.programs.side import Ends, missing

pytestmark = pytest.mark.sandbox

FULL = os.environ.get("TESTBED_INTEROP") == "full"
WIRE = "rate 40mbit delay 2ms"
TRIED = [
    (case, ours, paths)
    for case in CASES
    for ours in case.ends
    for paths in (1, 2)
    if FULL or (ours in case.quick and paths == 2)
]


@pytest.mark.parametrize(
    ("case", "ours", "paths"),
    TRIED,
    ids=[f"{case.name}-our {ours}-{paths}" for case, ours, paths in TRIED],
)
def test_program(lab, tmp_path, case, ours, paths):
    absent = missing("mptcpize", *case.needs)
    if absent:
        pytest.skip(absent)

    async def test(lab):
        ends = Ends(lab, ours, tmp_path)
        await case.run(ends)
        await ends.prove(paths)

    lab([WIRE] * paths, Family.IPV4, test)
