"""Open-loop requests over a stack in memory, in virtual time."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from testbed.document import structured
from testbed.errors import WorkloadError
from testbed.workload import rpc
from testbed.workload.base import Workload
from testbed.workload.halves import verify
from testbed.workload.transfer import Both

MS = 1_000_000


def job(*calls: rpc.Call) -> rpc.Job:
    return rpc.Job(calls=calls, seed=1)


def spec(**fields: Any) -> Any:
    return structured({"kind": "rpc", "from": "client", "to": "server", **fields}, Workload)


def test_a_request_does_not_wait_for_the_response_before_it(halves):
    many = job(*((index * MS, 100, 1000) for index in range(50)))
    client, server = halves.run(rpc, many, halves.stack(delay_s=0.03, rate=1e12))
    verify(client, server)
    assert client.samples_ns == pytest.approx([60 * MS] * 50, rel=1e-3)
    assert client.finished_ns - client.connected_ns == pytest.approx(109 * MS, rel=1e-3)


def test_a_response_time_begins_when_its_request_was_due_not_when_it_could_be_sent(halves):
    """At 8 Mbit/s the first request takes 1 s; the second was due after 10 ms."""
    calls = job((0, 1_000_000, 10), (10 * MS, 10, 10))
    client, server = halves.run(rpc, calls, halves.stack(delay_s=0.01, rate=8e6))
    verify(client, server)
    assert client.samples_ns == pytest.approx([1020 * MS, 1010 * MS], rel=1e-3)


def test_the_metrics_are_of_all_connections(halves):
    calls = job(*((index * 10 * MS, 10, 10) for index in range(100)))
    both = Both.of(calls, halves.run(rpc, calls, halves.stack(delay_s=0.03, rate=1e12)))
    findings = rpc.evaluate([both, both])
    assert findings.metrics["transactions"] == 200
    assert findings.metrics["response_time_p999"] == pytest.approx(0.06, rel=1e-3)
    assert len(findings.samples_ns["response_time"]) == 200


def test_a_server_that_ends_early_is_an_error(halves):
    class Short:
        connect = staticmethod(rpc.connect)

        @staticmethod
        async def serve(stack, local, _, activity):
            def answer_in_part(reader, writer):
                writer.write(b"x" * 300)
                writer.write_eof()
                writer.close()

            await stack.listen(answer_in_part, local)

    client, _ = halves.run(Short, job((0, 10, 1000), (10**12, 10, 1000)), halves.stack())
    assert isinstance(client, WorkloadError)
    assert "the client was waiting for data after 300 octets" in str(client)


def test_connections_take_turns_in_the_order_of_the_requests():
    sessions = spec(arrivals={"every": "10ms", "number": 5}, connections=2, start="1s").sessions(7)
    assert [session.at_ns for session in sessions] == [10**9] * 2
    assert [[due // MS for due, _, _ in session.job.calls] for session in sessions] == [
        [0, 20, 40],
        [10, 30],
    ]


def test_equal_seeds_give_equal_requests():
    random = spec(
        request={"uniform": [10, 100]},
        response={"lognormal": {"median": "4KB", "sigma": 1}},
        arrivals={"poisson": 100},
        start="1s",
        stop="11s",
    )
    calls = random.sessions(3)[0].job.calls
    assert random.sessions(3)[0].job.calls == calls != random.sessions(4)[0].job.calls
    assert 900 < len(calls) < 1100
    assert calls[-1][0] < 10**10
    assert all(10 <= request <= 100 for _, request, _ in calls)
    assert len({response for _, _, response in calls}) > 500


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "missing required field `arrivals`"),
        ({"arrivals": {"poisson": 5}}, "`arrivals` need an end"),
        ({"arrivals": {"poisson": 5, "every": "1s", "number": 1}}, "`every` or `poisson`"),
        ({"arrivals": {"every": "1us"}, "stop": "1s"}, "more than 100000 arrivals"),
        ({"arrivals": {"every": "1s", "number": 1}, "response": 0}, "`response` must be more"),
        ({"arrivals": {"every": "1s", "number": 1}, "request": {"uniform": [2, 1]}}, "smaller"),
        ({"arrivals": {"every": "1s", "number": 1}, "conections": 2}, "unknown field `conections`"),
    ],
)
def test_what_makes_no_sense_is_refused(fields, words):
    with pytest.raises(msgspec.ValidationError, match=words):
        spec(**fields)
