"""Requests and responses over a stack in memory, in virtual time."""

from __future__ import annotations

import pytest

from testbed.errors import WorkloadError
from testbed.workload import reqres
from testbed.workload.halves import verify
from testbed.workload.transfer import Both


def job(**changes):
    fields = {"request": 100, "response": 1000, "count": 10, "interval_ns": 0, "reconnect": False}
    return reqres.Job(**{**fields, "seed": 1, **changes})


def test_a_latency_is_one_round_trip(halves):
    client, server = halves.run(reqres, job(), halves.stack(delay_s=0.03, rate=1e12))
    verify(client, server)
    assert client.samples_ns == pytest.approx([60_000_000] * 10, rel=1e-3)


def test_a_new_connection_for_each_adds_its_handshake(halves):
    stack = halves.stack(delay_s=0.03, rate=1e12)
    client, server = halves.run(reqres, job(reconnect=True), stack)
    verify(client, server)
    assert client.samples_ns == pytest.approx([120_000_000] * 10, rel=1e-3)


def test_the_time_of_the_servers_work_adds_to_each(halves):
    stack = halves.stack(delay_s=0.03, rate=1e12)
    client, server = halves.run(reqres, job(service_ns=40_000_000), stack)
    verify(client, server)
    assert client.samples_ns == pytest.approx([100_000_000] * 10, rel=1e-3)


def test_an_interval_spaces_the_starts(halves):
    spaced = job(interval_ns=1_000_000_000)
    client, server = halves.run(reqres, spaced, halves.stack(delay_s=0.03, rate=1e12))
    verify(client, server)
    assert client.finished_ns - client.started_ns == pytest.approx(9.06e9, rel=1e-3)
    assert client.longest_gap_ns == pytest.approx(1e9, rel=0.1)


def test_the_metrics_are_of_the_latencies(halves):
    stack = halves.stack(delay_s=0.03, rate=1e12)
    findings = reqres.evaluate([Both.of(job(), halves.run(reqres, job(), stack))])
    assert findings.metrics["transactions"] == 10
    assert findings.metrics["latency_p99"] == pytest.approx(0.06, rel=1e-3)
    assert len(findings.samples_ns["latency"]) == 10


def test_a_peer_that_ends_early_is_an_error(halves):
    class Short:
        connect = staticmethod(reqres.connect)

        @staticmethod
        async def serve(stack, local, _, activity):
            def answer_in_part(reader, writer):
                writer.write(b"x" * 300)
                writer.write_eof()
                writer.close()

            await stack.listen(answer_in_part, local)

    client, _ = halves.run(Short, job(), halves.stack())
    assert isinstance(client, WorkloadError)
    assert str(client) == (
        "the peer ended the connection while the client was waiting for data after 300 octets"
    )


def test_octets_after_the_last_response_are_found(halves):
    written = []

    def add_to_the_last(data):
        written.append(data)
        return [data, b"again"] if len(written) == 20 else [data]

    client, server = halves.run(reqres, job(), halves.stack(tamper=add_to_the_last))
    with pytest.raises(WorkloadError, match="the client received 10005 octets"):
        verify(client, server)
