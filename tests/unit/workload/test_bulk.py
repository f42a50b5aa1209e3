"""Bulk transfer over a stack in memory, in virtual time."""

from __future__ import annotations

import pytest

from testbed.errors import WorkloadError
from testbed.workload import bulk
from testbed.workload.halves import verify
from testbed.workload.transfer import Both


def job(**changes):
    fields = {"octets": 1_000_000, "duration_ns": None, "forward": True, "reverse": False}
    return bulk.Job(**{**fields, "seed": 1, **changes})


@pytest.mark.parametrize(
    ("forward", "reverse"), [(True, False), (False, True), (True, True)], ids=["->", "<-", "<->"]
)
def test_everything_arrives_each_way_that_is_asked_for(halves, forward, reverse):
    client, server = halves.run(bulk, job(forward=forward, reverse=reverse), halves.stack())
    verify(client, server)
    assert server.received.octets == 1_000_000 * forward
    assert client.received.octets == 1_000_000 * reverse
    assert sum(server.bins) == server.received.octets


def test_the_two_directions_carry_different_octets(halves):
    client, server = halves.run(bulk, job(reverse=True), halves.stack())
    assert client.sent != server.sent


def test_the_time_is_from_the_start_of_connecting_to_the_last_octet(halves):
    stack = halves.stack(delay_s=0.05, rate=8e6)  # a second for the payload
    client, server = halves.run(bulk, job(), stack)
    assert client.connected_ns - client.started_ns == pytest.approx(0.1e9)
    assert server.finished_ns - client.started_ns == pytest.approx(1.15e9, rel=1e-6)


def test_both_ways_have_a_goodput_each(halves):
    stack = halves.stack(delay_s=0.05, rate=8e6)
    both = job(reverse=True)
    found = bulk.evaluate([Both.of(both, halves.run(bulk, both, stack))]).metrics
    assert found["goodput_forward"] == pytest.approx(8e6 / 1.15, rel=1e-3)
    assert found["goodput_reverse"] == pytest.approx(8e6 / 1.15, rel=1e-3)


def test_a_duration_ends_the_sending_and_what_was_sent_still_arrives(halves):
    stack = halves.stack(delay_s=0.05, rate=8e6)
    client, server = halves.run(bulk, job(octets=None, duration_ns=2_000_000_000), stack)
    verify(client, server)
    assert 2_000_000_000 <= server.finished_ns - client.started_ns < 2_500_000_000
    assert server.received.octets == pytest.approx(2_000_000, rel=0.2)


def test_a_silent_time_is_the_longest_gap(halves):
    writes = []

    def hold_back_the_third(data):
        writes.append(data)
        stack.delay_s = 3.0 if len(writes) >= 3 else 0.0
        return [data]

    stack = halves.stack(rate=8e6, tamper=hold_back_the_third)
    _, server = halves.run(bulk, job(), stack)
    # The gap includes a quarter of a second to send it.
    assert server.longest_gap_ns == pytest.approx(3.26e9, rel=0.01)


@pytest.mark.parametrize("wrong", ["flips a bit", "loses an octet", "repeats an octet"])
def test_one_wrong_octet_is_found(halves, tampering, wrong):
    client, server = halves.run(bulk, job(), halves.stack(tamper=tampering[wrong]))
    with pytest.raises(WorkloadError) as caught:
        verify(client, server)
    for flow in (client.sent, server.received):
        assert f"{flow.octets} octets with CRC-32 {flow.digest}" in str(caught.value)


def test_who_waits_in_vain_says_for_what(halves):
    stack = halves.stack(rate=8e3)  # 1,000 s for the payload
    client, server = halves.run(bulk, job(), stack, limit_s=5)
    assert isinstance(client, WorkloadError)
    assert "the client timed out after 5 s while waiting for room to send after" in str(client)
    assert isinstance(server, WorkloadError)
    assert "the server timed out after 5 s while waiting for" in str(server)


def test_a_server_nobody_comes_to_says_so(halves):
    class Mute:
        serve = staticmethod(bulk.serve)

        @staticmethod
        async def connect(*_):
            return None

    _, server = halves.run(Mute, job(), halves.stack(), limit_s=3)
    assert str(server) == "the server timed out after 3 s while waiting for a connection"


def test_a_refused_connection_names_the_address(halves):
    client, _ = halves.run(bulk, job(), halves.stack(), serve=False)
    assert isinstance(client, WorkloadError)
    assert "waiting for a connection to" in str(client)
    assert "refused" in str(client)


def test_a_half_that_fails_resets_the_connection(halves):
    written = []

    def break_down(data):
        written.append(data)
        if len(written) == 3:
            raise OSError(5, "Input/output error")
        return [data]

    reverse = job(forward=False, reverse=True)
    client, server = halves.run(bulk, reverse, halves.stack(rate=8e6, tamper=break_down))
    assert "Input/output error" in str(server)
    assert "reset by peer" in str(client)


def test_a_connection_that_times_out_is_not_the_end_of_the_duration(halves):
    """The kernel's ETIMEDOUT is a TimeoutError, as is the end of the time to send."""
    written = []

    def time_out(data):
        written.append(data)
        if len(written) == 3:
            raise TimeoutError(110, "Connection timed out")
        return [data]

    timed = job(octets=None, duration_ns=2_000_000_000)
    client, _ = halves.run(bulk, timed, halves.stack(rate=8e6, tamper=time_out))
    assert isinstance(client, WorkloadError)
    assert "Connection timed out" in str(client)
