"""Scripts with mistakes anywhere: each ends with a verdict or with one error."""

from __future__ import annotations

import contextlib
import random
import re
from pathlib import Path

from testbed.errors import InputError
from testbed.interchange import packetdrill

VECTORS = Path(__file__).parents[2] / "vectors" / "packetdrill"
NUMBERS = ("0", "-1", "255", "65536", "4294967296", "1000000000000")


def test_mistakes_are_errors_of_the_script(tmp_path: Path) -> None:
    texts = [path.read_text() for path in packetdrill.scripts([VECTORS])]
    chance = random.Random(7)
    path = tmp_path / "spoilt.pkt"
    for _ in range(100):
        pieces = re.findall(r"\s+|\w+|[^\w\s]", chance.choice(texts))
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(pieces))
            pieces[at] = chance.choice(("", chance.choice(pieces), chance.choice(NUMBERS)))
        path.write_text("".join(pieces))
        with contextlib.suppress(InputError):
            packetdrill.run(path, chance.choice(list(packetdrill.VERSIONS)))
