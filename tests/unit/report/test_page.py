"""The page: hostile strings do nothing, and it needs nothing but itself."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
from html.parser import HTMLParser
from xml.etree import ElementTree

import msgspec
import pytest
from typer.testing import CliRunner

from testbed.cli.application import application
from testbed.report.building import Options, build, page
from testbed.report.page import _template as templates
from testbed.report.page import embedded
from testbed.report.running import MOST_RUNS, choose
from testbed.results.model import Cell, RunRecord, Status

HOSTILE = (
    "</script><script>alert(1)</script><img src=x onerror=alert(2)>\x1b[31m\x00../../etc\"'&amp;"
)


class Elements(HTMLParser):
    """The elements of a page, with their attributes, and the text of each."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append((self.found[-1][0] if self.found else "", data))

    def named(self, tag):
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture(scope="module")
def written(simulated):
    built, damage = build([simulated], Options())
    return page(built, damage)


@pytest.fixture
def poisoned(folder):
    """A folder in which every free text is hostile."""
    path = folder / "experiment.json"
    record = json.loads(path.read_text())
    record["name"] = record["topology"] = record["spec"]["description"] = HOSTILE
    record["spec"]["stacks"][1] = {"userspace": {}, "label": HOSTILE}
    record["spec"]["expect"] = []
    path.write_text(json.dumps(record))
    environment = json.loads((folder / "environment.json").read_text())
    environment["cpu"]["model"] = environment["kernel"]["release"] = HOSTILE
    environment["tools"] = {HOSTILE: HOSTILE}
    (folder / "environment.json").write_text(json.dumps(environment))
    for run in (folder / "runs").glob("*/run.json"):
        record = json.loads(run.read_text())
        if record["stack"] == "userspace":
            record["stack"] = HOSTILE
        record["status"], record["reason"] = "invalid", HOSTILE
        record["wires"][0]["netem"] = record["wires"][0]["link"] = HOSTILE
        record["counters"] = {HOSTILE: {HOSTILE: 1}}
        record["events"][0]["action"] = HOSTILE
        run.write_text(json.dumps(record))
        series = run.parent / "series.jsonl"
        quoted = json.dumps(HOSTILE)[1:-1].encode()
        series.write_bytes(
            series.read_bytes().replace(b'"link":"wifi"', b'"link":"' + quoted + b'"')
        )
    return folder


def test_hostile_strings_are_text(poisoned) -> None:
    built, damage = build([poisoned], Options())
    assert damage == []
    text = page(built, damage)
    elements = Elements(text)
    kinds = [attributes.get("type") for attributes in elements.named("script")]
    assert kinds == ["application/json", None]
    assert elements.named("img") == []
    assert not [name for _, of in elements.found for name in of if name.startswith("on")]
    assert "\x1b" not in text
    assert "\x00" not in text
    assert sum("alert(1)" in data for _, data in elements.texts) > 10


def test_drawings_are_well_formed_whatever_is_written_in_them(poisoned) -> None:
    built, _ = build([poisoned], Options())
    text = page(built, [])
    drawings = re.findall(r"<svg .*?</svg>", text, flags=re.DOTALL)
    assert len(drawings) > 4
    for drawing in drawings:
        ElementTree.fromstring(drawing)


def test_json_in_the_page_cannot_end_its_element() -> None:
    text = embedded({"a": "</script><!--&\u2028"})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"a": "</script><!--&\u2028"}


def test_the_policy_names_the_script_and_the_style(written) -> None:
    (policy,) = [
        it["content"]
        for it in Elements(written).named("meta")
        if it.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy.startswith("default-src 'none';")
    for tag in ("script", "style"):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", written, flags=re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_nothing_is_fetched(written) -> None:
    for _, attributes in Elements(written).found:
        for name in ("src", "href", "srcset", "action", "data"):
            assert (attributes.get(name) or "#").startswith("#")
    assert "@import" not in written
    assert "url(" not in written


def test_everything_asked_for_is_there(written) -> None:
    headings = [data for tag, data in Elements(written).texts if tag == "h2"]
    assert [text for text in headings if text.strip()] == [
        "The experiment",
        "The network",
        "Verdicts",
        "Results",
        "Every repetition",
        "Over time",
        "What really ran",
        "The environment",
        "How to run it again",
    ]
    for expected in ("goodput of userspace, relative to userspace-tcp", "10.0.1.1", "4mbit"):
        assert expected in written


def test_the_same_folder_gives_the_same_page(simulated, written) -> None:
    built, damage = build([simulated], Options())
    assert page(built, damage) == written


def run_of(number, stack, delay, goodput):
    return RunRecord(
        number=number,
        stack=stack,
        parameters={"links.wifi.delay": delay},
        repetition=number % 3,
        seed=1,
        status=Status.OK,
        started_at="",
        seconds=1.0,
        metrics={"goodput": goodput},
    )


def test_of_many_runs_the_middle_one_of_each_cell_is_shown() -> None:
    cells = [
        Cell(stack=stack, parameters={"links.wifi.delay": f"{delay}ms"})
        for delay in range(30)
        for stack in ("tcp", "mptcp")
    ]
    runs = [
        run_of(3 * index + which, cell.stack, cell.parameters["links.wifi.delay"], which * 1.0)
        for index, cell in enumerate(cells)
        for which in (0, 1, 2)
    ]
    chosen = choose(runs, cells, "goodput")
    shown = [run for of in chosen.groups.values() for run in of]
    assert len(shown) == MOST_RUNS
    assert {run.metrics["goodput"] for run in shown} == {1.0}
    assert all([run.stack for run in of] == ["tcp", "mptcp"] for of in chosen.groups.values())
    assert f"{MOST_RUNS} of 180 runs" in chosen.note
    assert [
        run.number for of in choose(runs, cells, "goodput", [7]).groups.values() for run in of
    ] == [7]


def test_the_command_writes_the_page(simulated, tmp_path) -> None:
    target = tmp_path / "page.html"
    done = CliRunner().invoke(application, ["report", str(simulated), "-o", str(target), "--json"])
    assert done.exit_code == 0
    said = msgspec.json.decode(done.output)
    assert said["damage"] == []
    assert said["octets"] == len(target.read_bytes())


def test_the_command_names_damage_and_goes_on(folder, tmp_path) -> None:
    (folder / "runs" / "0001" / "run.json").write_text("{")
    target = tmp_path / "page.html"
    done = CliRunner().invoke(application, ["report", str(folder), "-o", str(target)])
    assert done.exit_code == 0
    assert done.stderr.count("\n") == 1
    assert "could not be read" in done.stderr
    assert target.exists()


def test_the_command_again_is_a_command(folder, tmp_path) -> None:
    """The command on the page reproduces the experiment of the folder."""
    record = json.loads((folder / "experiment.json").read_text())
    file = tmp_path / "silent.yaml"
    file.write_text(json.dumps(record["spec"]))  # as jq prints it
    done = CliRunner().invoke(application, ["run", "--sim", "--dry-run", str(file)])
    assert done.exit_code == 0, done.output
    assert done.output.count("userspace-tcp") >= 2


@pytest.mark.parametrize(
    ("module", "more", "install"),
    [
        ("jinja2", [], "testbed[report]"),
        ("matplotlib", ["--figures", "figures"], "testbed[figures]"),
        ("pyarrow", ["--figures", "figures"], "testbed[figures]"),
    ],
)
def test_what_is_missing_is_named(module, more, install, simulated, tmp_path, monkeypatch) -> None:
    templates.cache_clear()
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(application, ["report", str(simulated), "--run", "1", *more])
    assert done.exit_code == 4
    assert f"{install}" in done.stderr
