"""``testbed packetdrill``: what it prints, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from testbed.cli.application import application

PASS = "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n"
FAIL = PASS + "+0 close(3) = 7\n"
UNSUPPORTED = PASS + "+0 `iptables -F`\n"


def invoke(*arguments: object):
    return CliRunner().invoke(application, ["packetdrill", *map(str, arguments)])


@pytest.fixture
def script(tmp_path: Path):
    def script(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    return script


@pytest.mark.parametrize(
    ("texts", "code"),
    [
        ((PASS,), 0),
        ((PASS, UNSUPPORTED), 4),
        ((PASS, UNSUPPORTED, FAIL), 1),
        ((FAIL, "+x"), 2),
    ],
)
def test_exit_codes(script, texts: tuple[str, ...], code: int) -> None:
    paths = [script(f"{number}.pkt", text) for number, text in enumerate(texts)]
    assert invoke(*paths).exit_code == code


def test_output_for_people(script) -> None:
    path = script("a/x_v6.pkt", FAIL)
    result = invoke(path)
    lines = result.output.splitlines()
    assert lines[0] == f"fail {path}:2 (ipv6): close returns something else"
    assert [line.split() for line in lines[1:3]] == [["expected", "7"], ["got", "0"]]
    assert lines[3].split() == ["directory", "pass", "fail", "unsupported"]
    assert lines[4].split() == [str(path.parent), "0", "1", "0"]


def test_json_sums_up_each_directory(script, tmp_path: Path) -> None:
    script("a/one_v4.pkt", PASS)
    script("b/two_v6.pkt", UNSUPPORTED)
    result = invoke("--json", tmp_path)
    document = json.loads(result.stdout)
    assert document["summary"] == [
        {"directory": str(tmp_path / "a"), "passed": 2, "failed": 0, "unsupported": 0},
        {"directory": str(tmp_path / "b"), "passed": 0, "failed": 0, "unsupported": 1},
        {"directory": "all", "passed": 2, "failed": 0, "unsupported": 1},
    ]
    assert [one["verdict"] for one in document["outcomes"]] == ["pass", "pass", "unsupported"]
    assert document["outcomes"][2]["reason"] == "the command 'iptables -F'"


def test_versions_are_chosen(script) -> None:
    document = json.loads(invoke("--json", "--ip-version", "ipv6", script("a.pkt", PASS)).stdout)
    assert [one["ip_version"] for one in document["outcomes"]] == ["ipv6"]
    refused = invoke("--ip-version", "ipx", script("a.pkt", PASS))
    assert refused.exit_code == 2
    assert "there is no IP version 'ipx'; one of ipv4, ipv4-mapped-ipv6, ipv6" in refused.stderr


def test_verbose_tells_what_happens(script) -> None:
    result = invoke("--verbose", "--ip-version", "ipv4", script("a.pkt", PASS))
    assert "0.000000 socket = 3" in result.output


def test_words_are_defined(script) -> None:
    path = script("a.pkt", "0 socket(..., SOCK_STREAM, PROTOCOL) = 3\n")
    assert invoke(path).exit_code == 4
    assert invoke("-D", "PROTOCOL=IPPROTO_TCP", path).exit_code == 0
    refused = invoke("-D", "PROTOCOL", path)
    assert (refused.exit_code, refused.stderr) == (
        2,
        "testbed: --define PROTOCOL: is not NAME=VALUE\n",
    )


def test_every_script_that_cannot_be_read_is_named(script) -> None:
    first, second = script("a_v6.pkt", "+x"), script("b_v6.pkt", "\n+y")
    result = invoke(first, second)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert f"{first}:1: a time is expected, not 'x'" in result.stderr
    assert f"{second}:2: a time is expected, not 'y'" in result.stderr
