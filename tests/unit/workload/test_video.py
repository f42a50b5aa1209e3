"""Video over a stack in memory, in virtual time; the player's buffer and its rule by themselves."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from testbed.document import structured
from testbed.workload import video
from testbed.workload.base import Workload
from testbed.workload.halves import verify
from testbed.workload.playback import Playback, bba0
from testbed.workload.transfer import Both

S = 1_000_000_000
LADDER = (1_000_000, 2_000_000, 4_000_000)


def spec(**fields: Any) -> Any:
    fields = {"ladder": ["1mbit", "2mbit", "4mbit"], **fields}
    return structured({"kind": "video", "from": "client", "to": "server", **fields}, Workload)


def seen(halves, rate: float, **fields: Any) -> dict[str, float]:
    [session] = spec(**fields).sessions(seed=1)
    client, server = halves.run(video, session.job, halves.stack(delay_s=0.01, rate=rate))
    verify(client, server)
    return video.evaluate([Both.of(session.job, (client, server))]).metrics


def test_a_path_for_the_highest_bit_rate_leads_there_without_stalls(halves):
    metrics = seen(halves, rate=20e6, segments=25)
    assert (metrics["stalls"], metrics["stall_time"]) == (0, 0)
    assert metrics["startup_delay"] == pytest.approx(0.2 + 0.04, rel=0.01)
    assert metrics["rate_switches"] == 2
    assert metrics["video_rate"] == (4 * 1e6 + 3 * 2e6 + 18 * 4e6) / 25


def test_a_path_below_the_lowest_bit_rate_stalls_for_what_it_lacks(halves):
    """A segment of 4 s takes 8 s at half of its rate: 4 s of each but the first are stalls."""
    metrics = seen(halves, rate=500e3, segments=5)
    assert metrics["stalls"] == 4
    assert metrics["stall_time"] == pytest.approx(16, rel=0.01)
    assert (metrics["video_rate"], metrics["rate_switches"]) == (1e6, 0)


def test_a_full_buffer_makes_the_player_wait(halves):
    """At the end 30 s are in the buffer, less what is played while the last segment arrives."""
    [session] = spec(segments=25).sessions(seed=1)
    client, _ = halves.run(video, session.job, halves.stack(delay_s=0.01, rate=1e9))
    assert client.samples_ns[-2] == pytest.approx((25 * 4 - 30) * S, rel=0.01)


def test_the_buffer_is_played_while_segments_arrive():
    playback = Playback(4 * S)
    assert playback.level_ns(0) == 0
    playback.add(1 * S)
    playback.add(2 * S)
    assert playback.level_ns(3 * S) == 6 * S
    playback.add(12 * S)
    assert playback.stalls_ns == [3 * S]
    assert playback.level_ns(12 * S) == 4 * S


@pytest.mark.parametrize(
    ("before", "level", "after"),
    [
        (2, 10, 0),  # the reservoir
        (0, 30, 2),  # above the cushion
        (0, 16, 0),  # the map gives 1.9 Mbit/s: too little for the next one
        (0, 18, 1),  # 2.2 Mbit/s
        (1, 28, 1),  # 3.7 Mbit/s: stays
        (2, 18, 2),  # 2.2 Mbit/s: stays
        (2, 16, 1),  # 1.9 Mbit/s: below the next one down
    ],
)
def test_bba0_follows_the_map_and_stays_between_steps(before, level, after):
    assert bba0(LADDER, before, level * S, 10 * S, 20 * S) == after


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"ladder": []}, "length >= 1"),
        ({"ladder": ["2mbit", "1mbit"]}, "from the lowest bit rate to the highest"),
        ({"ladder": ["fast"]}, "`ladder`"),
        ({"buffer": "5s"}, "room for two segments"),
        ({"reservoir": "20s", "cushion": "7s"}, "more than `buffer` minus `segment`"),
        ({"stop": "9s"}, "remove `stop`"),
        ({"segmnt": "4s"}, "unknown field `segmnt`"),
    ],
)
def test_what_makes_no_sense_is_refused(fields, words):
    with pytest.raises(msgspec.ValidationError, match=words):
        spec(**fields)
