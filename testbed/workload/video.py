"""Segmented video over HTTP, like DASH (ISO/IEC 23009-1), at several bit rates.

A segment is an object of :mod:`testbed.workload.objects`. The player requests one segment after the
other over one connection, and waits while its buffer is full.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Final

import msgspec

from testbed.workload import kinds
from testbed.workload.objects import Client
from testbed.workload.objects import serve as serve_objects
from testbed.workload.playback import Playback, bba0
from testbed.workload.result import Findings
from testbed.workload.several import Several
from testbed.workload.stacks.model import Transport
from testbed.workload.transfer import Activity, Both, Goal, Report, now_ns, sleep_until

_S: Final = 1_000_000_000


class Job(kinds.Job, msgspec.Struct, frozen=True, kw_only=True, tag_field=kinds.TAG, tag="video"):
    """A video of ``segments`` segments, each ``segment_ns`` long.

    :param ladder: the bit rates in bit/s, the lowest first.
    :param buffer_ns: the size of the buffer. A segment is requested only if the buffer has room for
        it.
    :param reservoir_ns: the reservoir of BBA-0; ``cushion_ns`` is its cushion.
    """

    ladder: tuple[int, ...]
    segments: int
    segment_ns: int
    buffer_ns: int
    reservoir_ns: int
    cushion_ns: int
    seed: int
    session: int = 0

    @property
    def goal(self) -> Goal:
        """The sum of the halves' activities at the end."""
        return Goal(unit="segments", total=self.segments)

    @property
    def sizes(self) -> list[int]:
        """The octets of the objects, one object per segment and bit rate."""
        octets = [max(1, rate * self.segment_ns // (8 * _S)) for rate in self.ladder]
        return octets * self.segments


async def connect(
    stack: Transport, remote: tuple[str, int], job: Job, activity: Activity
) -> Report:
    """The client's half.

    ``Report.samples_ns`` has two numbers for each segment: its arrival time, from the start of
    connecting, and the index of its bit rate in the ladder.
    """
    samples: list[int] = []
    with Several(stack, activity, f"{job.seed} client") as several:
        client = Client(several, remote, activity, keep_alive=True)
        playback, chosen, began_ns = Playback(job.segment_ns), 0, now_ns()
        for number in range(job.segments):
            excess_ns = playback.level_ns(now_ns()) + job.segment_ns - job.buffer_ns
            with activity.waiting("room in the player's buffer"):
                await sleep_until(now_ns() + max(0, excess_ns))
            level_ns = playback.level_ns(now_ns())
            chosen = bba0(job.ladder, chosen, level_ns, job.reservoir_ns, job.cushion_ns)
            await client.get(number * len(job.ladder) + chosen)
            playback.add(now_ns())
            samples += [now_ns() - began_ns, chosen]
            activity.samples += 1
        return await client.finish(samples)


async def serve(stack: Transport, local: tuple[str, int], job: Job, activity: Activity) -> Report:
    """The server's half. It ends when the client has all segments."""
    return await serve_objects(stack, local, job.sizes, job.seed, activity)


def evaluate(sessions: Sequence[Both]) -> Findings:
    """Return startup delay, stalls and bit rates of the playback."""
    [both] = sessions  # a video has a single session
    job: Job = both.job
    samples = both.client.samples_ns
    arrivals_ns, chosen = samples[::2], samples[1::2]
    playback = Playback(job.segment_ns)
    for arrival_ns in arrivals_ns:
        playback.add(arrival_ns)
    return Findings(
        metrics={
            "startup_delay": arrivals_ns[0] / _S,
            "stalls": len(playback.stalls_ns),
            "stall_time": sum(playback.stalls_ns) / _S,
            "video_rate": sum(job.ladder[index] for index in chosen) / len(chosen),
            "rate_switches": sum(one != other for one, other in itertools.pairwise(chosen)),
        },
        samples_ns={"stall_time": tuple(playback.stalls_ns)} if playback.stalls_ns else {},
    )
