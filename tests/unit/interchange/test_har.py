"""Recordings of browsers as pages of the workload ``web``."""

from __future__ import annotations

import json
from typing import Any

import pytest

from testbed.document import loads
from testbed.errors import InputError
from testbed.interchange import har, pages
from testbed.workload.page import ObjectSpec, PageSpec, resolved

SITE = "http://shop.example"


def entry(path: str, at_ms: int, took_ms: float, **changes: Any) -> dict[str, Any]:
    """An object that is wanted at a moment, responds after half its time, and has 1000 octets."""
    response = {"status": 200, "bodySize": 1000, "headersSize": 100, "content": {"size": 4000}}
    response["redirectURL"] = ""
    timings = {"blocked": 0, "dns": -1, "connect": -1, "send": 0, "wait": took_ms / 2}
    return {
        "startedDateTime": f"2026-03-14T15:09:26.{at_ms:03}Z",
        "time": took_ms,
        "request": {"method": "GET", "url": SITE + path, "headers": changes.pop("headers", [])},
        "response": response | changes.pop("response", {}),
        "timings": timings | {"receive": took_ms / 2} | changes.pop("timings", {}),
        **changes,
    }


def read(*entries: dict[str, Any]) -> tuple[ObjectSpec, ...]:
    return har.read(json.dumps({"log": {"version": "1.2", "entries": entries}}).encode()).objects


def script(*paths: str) -> dict[str, Any]:
    frames = [{"url": SITE + path} for path in paths]
    return {"type": "script", "stack": {"callFrames": [], "parent": {"callFrames": frames}}}


def test_an_object_waits_for_what_made_the_browser_ask():
    document, style, font, data = read(
        entry("/", 0, 100),
        entry("/base.css", 110, 10, _initiator={"type": "parser", "url": SITE + "/"}),
        entry("/a.woff2", 130, 10, _initiator={"type": "parser", "url": SITE + "/base.css"}),
        entry("/goods.json", 150, 10, _initiator=script("/a.woff2", "/")),
    )
    assert document == ObjectSpec(name="shop.example", size=1000)
    assert style == ObjectSpec(name="base.css", size=1000, after=("shop.example",), delay="10ms")
    assert font == ObjectSpec(name="a.woff2", size=1000, after=("base.css",), delay="10ms")
    assert data == ObjectSpec(name="goods.json", size=1000, after=("a.woff2",), delay="10ms")


def test_what_came_last_before_an_object_may_have_led_to_it():
    """A script waited for data, but Chromium names the parser of the document."""
    data = {"content": {"size": 9, "mimeType": "application/json; charset=utf-8"}}
    picture = {"content": {"size": 9, "mimeType": "image/png"}}
    objects = read(
        entry("/", 0, 10),
        entry("/goods.json", 20, 10, response=data),
        entry("/logo.png", 20, 12, response=picture),
        entry("/1.png", 35, 10, _initiator={"type": "parser", "url": SITE + "/"}),
        entry("/2.png", 25, 10, _initiator={"type": "parser", "url": SITE + "/"}),
        entry("/a.css", 11, 2, response={"content": {"size": 9, "mimeType": "text/css"}}),
        entry("/3.png", 40, 10, _initiator={"type": "parser", "url": SITE + "/a.css"}),
    )
    found = {it.name: (it.after, it.delay) for it in objects}
    assert found["1.png"] == (("shop.example", "goods.json"), "5ms")
    assert found["2.png"] == (("shop.example",), "15ms")
    assert found["3.png"] == (("a.css",), "27ms")


def test_what_was_wanted_before_all_of_it_was_there_waits_for_a_part():
    """From 50 to 100 ms the document came; at 60 ms a fifth of it was there."""
    _, style, early = read(entry("/", 0, 100), entry("/b.css", 60, 10), entry("/c.css", 70, 10))
    assert (style.after, style.delay) == ({"shop.example": 200}, 0)
    assert early.after == {"shop.example": 400}


def test_without_an_initiator_the_referer_tells():
    referer = [{"name": "referer", "value": SITE + "/base.css"}]
    objects = read(
        entry("/", 0, 10),
        entry("/base.css", 20, 10),
        entry("/a.png", 40, 10, headers=referer),
        entry("/b.png", 40, 10),
    )
    assert [it.after for it in objects[2:]] == [("base.css",), ("shop.example",)]


@pytest.mark.parametrize("target", [SITE + "/en/", "/en/", "en/"])
def test_who_is_redirected_waits_for_that(target):
    redirect = {"status": 302, "redirectURL": target, "bodySize": 0}
    first, second = read(
        entry("/", 0, 10, response=redirect), entry("/en/", 12, 10, _initiator={"type": "other"})
    )
    assert first.size == 1
    assert second == ObjectSpec(name="en", size=1000, after=("shop.example",), delay="2ms")


def test_a_server_thinks_for_what_waiting_is_longer_than_a_round_trip():
    entries = (
        entry("/", 0, 100, timings={"connect": 30, "ssl": 20, "wait": 60}),
        entry("/a", 100, 100, timings={"wait": 9}),
    )
    slow, usual = read(*entries)
    assert (slow.think, usual.think) == ("50ms", 0)
    text = json.dumps({"log": {"entries": entries}}).encode()
    assert [it.think for it in har.read(text, thinking=False).objects] == [0, 0]


@pytest.mark.parametrize(
    ("response", "size"),
    [
        ({"bodySize": -1, "_transferSize": 700}, 600),
        ({"bodySize": -1, "headersSize": -1, "content": {"size": 90, "compression": 40}}, 50),
        ({"bodySize": 0}, 1),
    ],
)
def test_the_size_is_what_crossed_the_network(response, size):
    assert read(entry("/", 0, 10, response=response))[0].size == size


def test_what_did_not_cross_the_network_is_left_out():
    objects = read(
        entry("/", 0, 10),
        entry("/cached", 20, 1, _fromCache="disk"),
        entry("/failed", 20, 1, response={"status": 0}),
        entry("/", 30, 10) | {"request": {"url": "data:image/png;base64,AA", "headers": []}},
    )
    assert len(objects) == 1


def at(url: str, path: str = "/", at_ms: int = 0, **changes: Any) -> dict[str, Any]:
    """An object of any URL."""
    return entry(path, at_ms, 1, **changes) | {"request": {"url": url, "headers": []}}


@pytest.mark.parametrize("url", ["http://", "http:///a", "http://?a", "//a/b", "ws://a/", "\0"])
def test_what_has_no_url_of_http_is_left_out(url):
    assert [it.name for it in read(at(url), entry("/", 5, 10))] == ["shop.example"]


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://[", "-"),
        ("HTTP://a.example", "a.example"),
        ("http://a/\0\n\x7f\x85\u2028b", "-b"),
        ("http://a//?b/c", "a"),
    ],
)
def test_every_url_gives_a_name_that_a_file_can_hold(url, name):
    (it,) = read(at(url))
    assert it.name == name
    page = PageSpec(objects=(it,))
    assert loads(pages.as_yaml(page), PageSpec, "page.yaml").value == page


def test_a_redirect_to_no_url_leads_nowhere():
    redirect = {"status": 302, "redirectURL": "http://["}
    _, second = read(entry("/", 0, 10, response=redirect), entry("/en/", 12, 10))
    assert second.after == ("shop.example",)


def test_an_initiator_of_another_form_says_nothing():
    for stack in ({"callFrames": 5}, {"callFrames": {"url": 1}}, {"callFrames": [[]]}, 7):
        _, second = read(entry("/", 0, 10), entry("/b", 12, 10, _initiator={"stack": stack}))
        assert second.after == ("shop.example",)


def test_a_mark_of_the_order_of_octets_is_passed_over():
    text = b"\xef\xbb\xbf" + json.dumps({"log": {"entries": [entry("/", 0, 10)]}}).encode()
    assert len(har.read(text).objects) == 1


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00", "9999-12-31T23:59:59"])
def test_a_time_of_no_zone_is_of_utc(moment):
    zone, none = ({"startedDateTime": moment + end} for end in ("Z", ""))
    _, second = read(entry("/", 0, 1000) | zone, entry("/b", 0, 1) | none)
    assert (second.after, second.delay) == ({"shop.example": 1}, 0)


def test_a_long_pause_is_written_in_full():
    later = {"startedDateTime": "2028-03-14T15:09:26Z"}
    _, second = read(entry("/", 0, 10), entry("/b", 0, 10) | later)
    assert second.delay == "63158399990ms"


@pytest.mark.parametrize(
    "changes",
    [{"response": {"bodySize": 10**30}}, {"timings": {"wait": 1e300, "connect": 1}}],
)
def test_what_is_too_large_is_a_mistake_of_its_object(changes):
    with pytest.raises(InputError, match=r"http://shop.example/: `(size|think)`: \S+ is not a"):
        read(entry("/", 0, 10, **changes))


def test_names_differ():
    objects = read(*(entry("/a b.js?v=1", at, 1) for at in (0, 10, 20)))
    assert [it.name for it in objects] == ["a-b.js", "a-b.js 2", "a-b.js 3"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"<html>", "it is not a recording in HAR"),
        (b"{}", "not a recording in HAR: Object missing required field `log`"),
        (b'{"log": {"entries": []}}', "contains no object"),
        (b"\xff", "it is not a recording in HAR"),
        (b'{"log": {"entries": [' + b"[" * 100_000, "it is not a recording in HAR"),
    ],
)
def test_what_is_no_recording_is_a_mistake(text, message):
    with pytest.raises(InputError, match=message):
        har.read(text)


def test_what_is_written_is_read():
    page = PageSpec(
        description='A "page": and more',
        objects=(
            ObjectSpec(name="index # 1", size=100),
            ObjectSpec(name="a: b", size=5, after={"index # 1": 7}, delay="1.5ms", think="2ms"),
            ObjectSpec(name="last", size=5, after=("index # 1", "a: b")),
        ),
    )
    written = loads(pages.as_yaml(page, ("A comment",)), PageSpec, "page.yaml")
    assert written.value == page
    assert len(resolved(written)) == 3


def test_what_yaml_cannot_hold_is_escaped():
    odd = "a\x7fb\x85c\u2028d\x1be\nf\U0001f600"
    objects = (ObjectSpec(name=odd, size=1), ObjectSpec(name="b", size=1, after={odd: 1}))
    page = PageSpec(description=f"{odd}\udcff", objects=(*objects,))
    text = pages.as_yaml(page, ("from a\n\x1b\udcffb",))
    assert text.encode().startswith(b"# from a\n# \\x1b\\udcffb\ndescription")
    written = loads(text, PageSpec, "page.yaml").value
    assert (written.description, written.objects) == (f"{odd}\ufffd", objects)
