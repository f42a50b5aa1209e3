"""`testbed page`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from testbed.cli.application import application

RUN = CliRunner()
PAGE = "objects: [{name: a, size: 1KB}, {name: b, size: 2KB, after: {a: 100}, delay: 5ms}]\n"
HAR = {
    "log": {
        "entries": [
            {
                "startedDateTime": "2026-03-14T15:09:26Z",
                "time": 10,
                "request": {"url": "http://shop.example/", "headers": []},
                "response": {"status": 200, "bodySize": 1234},
                "timings": {"send": 0, "wait": 5, "receive": 5},
            }
        ]
    }
}


def test_show_says_what_is_in_a_page(tmp_path: Path) -> None:
    file = tmp_path / "page.yaml"
    file.write_text(PAGE)
    done = RUN.invoke(application, ["page", "show", str(file), "--json"])
    assert done.exit_code == 0
    shown = json.loads(done.output)
    assert (shown["object_count"], shown["octets"], shown["depth"]) == (2, 3072, 2)
    assert shown["objects"][1]["after"] == [{"name": "a", "octets": 100}]
    assert shown["objects"][1]["delay_s"] == 0.005
    table = RUN.invoke(application, ["page", "show", str(file)]).output
    assert "2 objects, 3072 octets, at most 2 in a row" in table
    assert "a (100)" in table


def test_convert_writes_what_the_workload_reads(tmp_path: Path) -> None:
    recording, file = tmp_path / "shop.har", tmp_path / "shop.yaml"
    recording.write_text(json.dumps(HAR))
    arguments = ["page", "convert", str(recording), "--description", "A shop", "-o", str(file)]
    assert RUN.invoke(application, arguments).exit_code == 0
    assert file.read_text() == (
        "# Converted from shop.har by `testbed page convert`.\n"
        'description: "A shop"\n'
        "objects:\n"
        '  - {name: "shop.example", size: 1234}\n'
    )
    assert RUN.invoke(application, ["page", "show", str(file)]).exit_code == 0


def test_convert_reads_standard_input() -> None:
    done = RUN.invoke(application, ["page", "convert", "-"], input=json.dumps(HAR))
    assert done.exit_code == 0
    assert "size: 1234" in done.output


def test_show_reads_standard_input() -> None:
    done = RUN.invoke(application, ["page", "show", "-", "--json"], input=PAGE)
    assert done.exit_code == 0
    assert json.loads(done.output)["octets"] == 3072


def test_show_says_what_a_recording_would_be(tmp_path: Path) -> None:
    """The name of the file does not matter."""
    for name in ("shop.har", "shop.json"):
        (tmp_path / name).write_text(json.dumps(HAR))
        done = RUN.invoke(application, ["page", "show", str(tmp_path / name), "--json"])
        assert done.exit_code == 0
        (it,) = json.loads(done.output)["objects"]
        assert (it["name"], it["octets"]) == ("shop.example", 1234)
    done = RUN.invoke(application, ["page", "show", "-"], input=json.dumps({"log": {}}))
    assert done.exit_code == 2
    assert "contains no object" in done.stderr


def test_what_is_no_page_is_placed() -> None:
    done = RUN.invoke(application, ["page", "show", "-"], input="objects:\n  - {nam: a}\n")
    assert done.exit_code == 2
    assert "-:2" in done.stderr


def test_what_is_no_recording_is_named(tmp_path: Path) -> None:
    for name in ("absent.har", "x.har"):
        (tmp_path / "x.har").write_text("<html>")
        done = RUN.invoke(application, ["page", "convert", str(tmp_path / name)])
        assert done.exit_code == 2
        assert name in done.stderr


@pytest.mark.parametrize("command", ["show", "convert"])
def test_json_that_is_nested_too_deeply_is_one_line(command, tmp_path):
    deep = tmp_path / "deep.json"
    deep.write_text("[" * 5000 + "]" * 5000)
    result = CliRunner().invoke(application, ["page", command, str(deep)])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("testbed: ")
    assert result.stderr.count("\n") == 1
