"""Pages over HTTP/1.1, over a stack in memory, in virtual time."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from testbed.document import structured
from testbed.errors import WorkloadError
from testbed.workload import http
from testbed.workload.base import Workload
from testbed.workload.halves import verify
from testbed.workload.page import Object
from testbed.workload.transfer import Both

MS = 1_000_000


FIELDS = {"connections": 2, "think_ns": 0, "keep_alive": True, "seed": 1}


def job(*pages: tuple[int, ...], **changes: Any) -> http.Job:
    objects = tuple(tuple(Object(octets=octets) for octets in page) for page in pages)
    return http.Job(pages=objects, **FIELDS | changes)


def web(*objects: Object, **changes: Any) -> http.WebJob:
    return http.WebJob(pages=(objects,), **FIELDS | changes)


def spec(**fields: Any) -> Any:
    return structured({"kind": "http", "from": "client", "to": "server", **fields}, Workload)


def test_objects_share_connections_which_are_kept_for_the_next_page(halves):
    """A handshake and two round trips of 60 ms for four objects; then two round trips."""
    pages = job((1000,) * 4, (1000,) * 4)
    client, server = halves.run(http, pages, halves.stack(delay_s=0.03, rate=1e12))
    verify(client, server)
    assert client.received.octets == 8000
    assert len(client.further) == len(server.further) == 1
    first, second = client.samples_ns[0], client.samples_ns[7]
    assert first == pytest.approx(180 * MS, rel=1e-3)
    assert second == pytest.approx(120 * MS, rel=1e-3)
    assert client.samples_ns[1:3] == pytest.approx([120 * MS] * 2, rel=1e-3)
    assert client.samples_ns[3:7] == pytest.approx([120 * MS] * 2 + [60 * MS] * 2, rel=1e-3)


def test_without_keep_alive_each_object_has_a_connection(halves):
    pages = job((1000,) * 4, keep_alive=False)
    client, server = halves.run(http, pages, halves.stack(delay_s=0.03, rate=1e12))
    verify(client, server)
    assert len(client.further) == len(server.further) == 3
    assert client.samples_ns == pytest.approx([240 * MS] + [120 * MS] * 6, rel=1e-3)


def test_a_connection_that_is_free_takes_the_next_object(halves):
    """One object of 1 MB takes a second; the other connection carries all others meanwhile."""
    pages = job((1_000_000, *(10_000,) * 8))
    client, server = halves.run(http, pages, halves.stack(delay_s=0.001, rate=8e6))
    verify(client, server)
    assert client.samples_ns[0] == pytest.approx(1004 * MS, rel=1e-2)
    assert max(client.samples_ns[4:]) < 20 * MS


def test_an_object_waits_for_others_and_for_what_is_computed(halves):
    """A handshake, and two round trips of 60 ms, one after the other, with 25 ms in between."""
    page = web(Object(octets=1000), Object(octets=1000, after=((0, 1000),), delay_ns=25 * MS))
    client, server = halves.run(http, page, halves.stack(delay_s=0.03, rate=1e12))
    verify(client, server)
    assert client.samples_ns[0] == pytest.approx(205 * MS, rel=1e-3)
    assert client.further == ()  # the connection is free again
    assert client.samples_ns[3:] == pytest.approx([120 * MS, 60 * MS], rel=1e-3)


def test_an_object_waits_for_part_of_another(halves):
    """A document of a second: its first tenth names a picture, which comes meanwhile."""
    page = web(Object(octets=4_000_000), Object(octets=1000, after=((0, 400_000),)))
    client, _ = halves.run(http, page, halves.stack(delay_s=0.001, rate=32e6))
    whole, first_octet, first_object, document, picture = client.samples_ns
    assert whole == first_object == document == pytest.approx(1004 * MS, rel=1e-2)
    assert first_octet < 100 * MS
    assert picture < 10 * MS
    after = web(Object(octets=4_000_000), Object(octets=1000, after=((0, 4_000_000),)))
    client, _ = halves.run(http, after, halves.stack(delay_s=0.001, rate=32e6))
    assert client.samples_ns[0] > whole


def test_an_object_with_several_before_it_waits_for_the_last(halves):
    page = web(
        Object(octets=1000, think_ns=500 * MS),
        Object(octets=1000),
        Object(octets=1000, after=((0, 1000), (1, 1000))),
    )
    client, _ = halves.run(http, page, halves.stack(delay_s=0.03, rate=1e12))
    assert client.samples_ns[3:] == pytest.approx([620 * MS, 120 * MS, 60 * MS], rel=1e-3)
    assert client.samples_ns[0] == pytest.approx(680 * MS, rel=1e-3)


def test_what_becomes_wanted_first_is_asked_for_first(halves):
    """One connection: the last object of the file is wanted before the one with a delay."""
    page = web(
        Object(octets=1000),
        Object(octets=1000, after=((0, 1000),), delay_ns=30 * MS),
        Object(octets=1000, after=((0, 1000),)),
        connections=1,
    )
    both = Both.of(page, halves.run(http, page, halves.stack(delay_s=0.03, rate=1e12)))
    # 120 ms until the document is there, 60 for the last, and then the one that was computed.
    assert both.client.samples_ns[0] == pytest.approx(240 * MS, rel=1e-3)
    assert http.evaluate([both]).metrics["objects"] == 3


def test_no_page_begins_after_its_time(halves):
    pages = job((10,), (10,), (10,), until_ns=10**9, think_ns=600 * MS)
    both = Both.of(pages, halves.run(http, pages, halves.stack(delay_s=0.03, rate=1e12)))
    findings = http.evaluate([both])
    assert (findings.metrics["pages"], findings.metrics["objects"]) == (2, 2)


def test_the_metrics_are_of_pages_and_objects(halves):
    pages = job((1000,) * 4, (1000,) * 4)
    both = Both.of(pages, halves.run(http, pages, halves.stack(delay_s=0.03, rate=1e12)))
    findings = http.evaluate([both])
    assert findings.metrics["page_load_time_p50"] == pytest.approx(0.12, rel=1e-3)
    assert findings.metrics["page_load_time_max"] == pytest.approx(0.18, rel=1e-3)
    assert findings.metrics["first_octet_time_p50"] == pytest.approx(0.06, rel=1e-3)
    assert findings.metrics["first_object_time_max"] == pytest.approx(0.12, rel=1e-3)
    assert findings.metrics["page_octets"] == 4000
    assert findings.metrics["object_time_p50"] == pytest.approx(0.06, rel=1e-3)
    assert findings.metrics["objects"] == len(findings.samples_ns["object_time"]) == 8


def test_content_that_was_changed_on_the_way_is_found(halves):
    def change(data):
        return [data[:-1] + b"?" if len(data) == 777 else data]

    client, server = halves.run(http, job((777, 778)), halves.stack(tamper=change))
    with pytest.raises(WorkloadError, match=r"the server sent 1555 octets .* the client received"):
        verify(client, server)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "the peer sent invalid HTTP: illegal status line"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "the status 404 instead of 200"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
            "the peer sent invalid HTTP: peer closed",
        ),
        (b"", "ended the connection while the client was waiting for a response"),
    ],
)
def test_a_server_of_something_else_is_an_error(halves, answer, words):
    class Strange:
        connect = staticmethod(http.connect)

        @staticmethod
        async def serve(stack, local, _, activity):
            def say(reader, writer):
                writer.write(answer)
                writer.write_eof()
                writer.close()

            await stack.listen(say, local)

    client, _ = halves.run(Strange, job((9,)), halves.stack())
    assert isinstance(client, WorkloadError)
    assert words in str(client)


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (b"GET /0 HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 200 "),
        (b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 404 "),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 404 "),
        (b"POST /0 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", b"HTTP/1.1 404 "),
    ],
)
def test_the_server_answers_anybody(halves, request_, answer):
    said = []

    class Anybody:
        serve = staticmethod(http.serve)

        @staticmethod
        async def connect(stack, remote, _, activity):
            reader, writer = await stack.connect(remote, request_)
            said.append(await reader.readuntil(b"\r\n"))
            for _ in range(2):
                await activity.meet()
            writer.write_eof()
            await reader.read()
            writer.close()
            await writer.wait_closed()

    halves.run(Anybody, job((9,)), halves.stack())
    assert said[0].startswith(answer)


def test_equal_seeds_give_equal_pages():
    pages = spec(objects=50, pages=2, size={"lognormal": {"median": "10KB", "sigma": 1}})
    [session] = pages.sessions(3)
    assert pages.sessions(3) == (session,) != pages.sessions(4)
    assert [len(page) for page in session.job.pages] == [50, 50]
    assert session.job.pages[0] != session.job.pages[1]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"objects": 0}, ">= 1"),
        ({"size": 0}, "`size` must be more than 0"),
        ({"think_time": "-1s"}, "`think_time`"),
        ({"objects": 1000, "pages": 1000}, "is 1000000; the maximum is 100000"),
        (
            {"objects": 1000, "pages": 11, "keep_alive": False},
            "maximum is 10000 without `keep_alive`",
        ),
        ({"conections": 2}, "unknown field `conections`"),
    ],
)
def test_what_makes_no_sense_is_refused(fields, words):
    with pytest.raises(msgspec.ValidationError, match=words):
        spec(**fields)
