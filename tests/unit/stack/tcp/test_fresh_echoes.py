"""Whether a segment answers what has left of late (RFC 7323)."""

from __future__ import annotations

import pytest

from testbed.packet.options import Timestamps
from testbed.stack.tcp.timestamps import Timestamping

S = 1_000_000_000


@pytest.mark.parametrize(
    ("age_s", "fresh"), [(0, True), (59, True), (61, False), (-1, False), (1 << 20, False)]
)
def test_echo_is_fresh_for_a_minute(age_s: int, fresh: bool) -> None:
    now = 3_000_000 * S
    clock = Timestamping(0xFFFF_FF00, offered=True)
    clock.look((Timestamps(7, clock.value(now - age_s * S)),), now)
    assert clock.echo_fresh is fresh


def test_segment_without_the_option_is_not_fresh() -> None:
    clock = Timestamping(1, offered=True)
    clock.look((Timestamps(7, clock.value(S)),), S)
    assert clock.echo_fresh
    clock.look((), S)
    assert not clock.echo_fresh
