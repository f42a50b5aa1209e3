"""The server of reports: it reads only, and only what it lists."""

from __future__ import annotations

import asyncio
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from urllib.parse import urlencode, urlsplit

import pytest

pytest.importorskip("starlette", reason="Starlette is not installed")
pytest.importorskip("jinja2", reason="Jinja2 is not installed")

from testbed.report import building, server
from testbed.report.server import COOKIE, application, is_loopback
from testbed.results.store import Store

HOSTILE = '"><script>alert(1)</script>'


class Answer:
    def __init__(self, messages) -> None:
        start, *rest = messages
        self.status = start["status"]
        self.headers = {name.decode(): value.decode() for name, value in start["headers"]}
        self.text = b"".join(part.get("body", b"") for part in rest).decode()


def ask(app, address, *, method="GET", host="localhost:8000", cookie="", more=()):
    """Return what an application answers, without a network."""
    parts = urlsplit(address)
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": parts.path,
        "raw_path": parts.path.encode(),
        "query_string": parts.query.encode(),
        "root_path": "",
        "headers": [(b"host", host.encode()), (b"cookie", cookie.encode()), *more],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
    }
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    return Answer(sent)


def links(text):
    """Return where the links of a page lead."""
    found = []

    class Links(HTMLParser):
        def handle_starttag(self, tag, attrs):
            if tag == "a":
                found.append(dict(attrs)["href"])

    Links().feed(text)
    return found


@pytest.fixture
def root(simulated, tmp_path):
    for place in ("silent/1", f"silent/{HOSTILE.replace('/', '-')}"):
        shutil.copytree(simulated, tmp_path / "results" / place)
    return tmp_path / "results"


@pytest.fixture
def app(root):
    return application(root)


def test_folders_are_listed_and_their_names_are_text(app) -> None:
    answer = ask(app, "/")
    assert answer.status == 200
    assert "2 of 2 folders" in answer.text
    assert "<script" not in answer.text
    assert "alert(1)" in answer.text


def test_search(app) -> None:
    assert "0 of 2 folders" in ask(app, "/?q=nothing").text
    assert "1 of 2 folders" in ask(app, "/?q=alert").text
    searched = ask(app, "/?" + urlencode({"q": HOSTILE}))
    assert "<script" not in searched.text
    assert "2 of 2 folders" in ask(app, "/?state=unfinished&stack=userspace").text


def test_links_of_the_list_lead_to_reports(app) -> None:
    reports = [link for link in links(ask(app, "/").text) if link.startswith("/report")]
    assert len(reports) == 2
    for link in reports:
        answer = ask(app, link)
        assert answer.status == 200
        assert "What really ran" in answer.text


def test_two_folders_on_one_page(app) -> None:
    names = ["silent/1", f"silent/{HOSTILE.replace('/', '-')}"]
    answer = ask(app, "/report?" + urlencode([("folder", name) for name in names]))
    assert answer.text.count("<article") == 3
    assert "What changed" in answer.text
    assert "virtual time: every difference is real" in answer.text


def test_folders_of_two_experiments_are_not_compared(app, root) -> None:
    new = root / "silent/1/.new"
    file = root / "silent/1/experiment.json"
    record = json.loads(file.read_text())
    record["spec"]["workload"]["duration"] = "4s"
    new.write_text(json.dumps(record))
    new.replace(file)
    names = ["silent/1", f"silent/{HOSTILE.replace('/', '-')}"]
    answer = ask(app, "/report?" + urlencode([("folder", name) for name in names]))
    assert answer.text.count("<article") == 3
    assert "refused" in answer.text
    assert "--across experiment" in answer.text
    (link,) = [link for link in links(answer.text) if "force" in link]
    forced = ask(app, link)
    assert forced.text.count("<article") == 3
    assert "What changed" in forced.text
    assert "refused" not in forced.text
    assert not [link for link in links(forced.text) if "force" in link]


def test_requests_at_the_same_time_make_a_page_once(app, monkeypatch) -> None:
    made = []

    def build(*arguments):
        made.append(arguments)
        return building.build(*arguments)

    monkeypatch.setattr(server, "build", build)
    address = "/report?" + urlencode({"folder": "silent/1"})
    with ThreadPoolExecutor(8) as clients:
        answers = [*clients.map(lambda _: ask(app, address), range(24))]
    assert {answer.status for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert len(made) == 1


def test_a_request_that_names_two_hosts_is_refused(app) -> None:
    assert ask(app, "/", more=[(b"host", b"localhost:8000")]).status == 400


@pytest.mark.parametrize(
    "name",
    ["..", "../..", "/etc", "silent", "silent/1/../1", "silent/1/runs", "%2e%2e", "a\x00b", ""],
)
def test_nothing_else_is_reached(app, name) -> None:
    answer = ask(app, "/report?" + urlencode({"folder": name}))
    assert answer.status == 404
    assert ask(app, f"/{name}/../etc/passwd".replace("\x00", "%00")).status == 404


def test_it_only_reads(app, root) -> None:
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    ask(app, "/")
    ask(app, "/report?folder=silent/1")
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert ask(app, "/", method=method).status == 405
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_other_names_of_this_host_are_refused(app) -> None:
    for host in ("localhost", "127.0.0.1:8000", "[::1]:8000"):
        assert ask(app, "/", host=host).status == 200
    for host in ("evil.example", "192.0.2.1", "localhost.evil.example", "a_b.evil.example"):
        assert ask(app, "/", host=host).status == 400


@pytest.mark.parametrize(
    "host", ["", "a b", "[::1", "localhost@evil.example", "localhost:port", "localhost, evil"]
)
def test_what_is_no_name_of_a_host_is_refused(app, host) -> None:
    assert ask(app, "/", host=host).status == 400


def test_a_token_is_needed_and_leaves_the_address(root) -> None:
    app = application(root, token="secret")
    for address, cookie in (("/", ""), ("/?token=wrong", ""), ("/", f"{COOKIE}=wrong")):
        answer = ask(app, address, host="192.0.2.1", cookie=cookie)
        assert answer.status == 403
        assert "silent" not in answer.text
    answer = ask(app, "/report?folder=silent%2F1&token=secret", host="192.0.2.1")
    assert answer.status == 303
    assert answer.headers["location"] == "/report?folder=silent%2F1"
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert "SameSite=strict" in answer.headers["set-cookie"]
    shown = ask(app, answer.headers["location"], host="192.0.2.1", cookie=f"{COOKIE}=secret")
    assert shown.status == 200
    assert shown.headers["x-frame-options"] == "DENY"


def test_a_running_experiment_is_followed(app, root) -> None:
    address = "/report?folder=silent%2F1"
    assert 'class="following"' not in ask(app, address).text
    with Store.open(root / "silent/1").writing():
        answer = ask(app, address)
        assert 'class="following"' in answer.text
        assert "connect-src 'self'" in answer.text
        assert '"state":"running"' in ask(app, "/folders.json?folder=silent%2F1").text
        progress = json.loads(ask(app, "/progress.json?folder=silent%2F1&folder=..").text)
        assert [(it["id"], it["over"], it["planned"]) for it in progress] == [("silent/1", 4, 4)]
        assert ask(app, "/progress.json").text == "[]"
    assert 'class="following"' not in ask(app, address).text
    assert ask(app, "/progress.json?folder=silent%2F1").text == "[]"


def test_a_damaged_folder_is_said_to_be_one(app, root) -> None:
    (root / "silent/1/experiment.json").unlink()
    (root / "silent/1/experiment.json").write_text("{")
    assert "damaged" in ask(app, "/").text
    answer = ask(app, "/report?folder=silent%2F1")
    assert answer.status == 422
    assert "experiment.json is damaged" in answer.text


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False)],
)
def test_loopback(host, expected) -> None:
    assert is_loopback(host) is expected
