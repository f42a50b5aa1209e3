"""A wire that replays a trace: the file is beside the topology's, and is checked with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.errors import InputError
from testbed.topology.load import load_topology
from testbed.topology.resolve import resolve

TOPOLOGY = """
nodes: {client: {}, server: {}}
links:
  lte:
    between: [client, server]
    netem: %s
    toward: {client: {trace: traces/down.trace}}
"""


def write(folder: Path, netem: str = "{delay: 10ms, trace: up.trace}") -> Path:
    (folder / "traces").mkdir()
    (folder / "traces" / "down.trace").write_text("1\n2\n")
    (folder / "up.trace").write_text("10\n")
    file = folder / "lte.yaml"
    file.write_text(TOPOLOGY % netem)
    return file


@pytest.mark.parametrize("netem", ["{delay: 10ms, trace: up.trace}", "delay 10ms trace up.trace"])
def test_traces_are_found_beside_the_topology(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, netem: str
) -> None:
    file = write(tmp_path, netem)
    monkeypatch.chdir("/")
    link = resolve(load_topology(file)).link("lte")
    assert link.toward_b.trace == str(tmp_path / "up.trace")
    assert link.toward_a.trace == str(tmp_path / "traces" / "down.trace")
    assert link.toward_a.delay == link.toward_b.delay


def test_a_trace_that_cannot_be_used_is_named_with_its_place(tmp_path: Path) -> None:
    file = write(tmp_path)
    (tmp_path / "up.trace").write_text("5\nfast\n")
    with pytest.raises(InputError) as caught:
        load_topology(file)
    assert str(caught.value).startswith(f"{file}:6: links.lte.netem: {tmp_path}/up.trace:2: 'fast'")


def test_all_traces_that_cannot_be_used_are_told_at_once_and_their_hints_once(
    tmp_path: Path,
) -> None:
    file = write(tmp_path)
    (tmp_path / "up.trace").unlink()
    (tmp_path / "traces" / "down.trace").write_text("at,rate\n0s,5\n")
    with pytest.raises(InputError) as caught:
        load_topology(file)
    assert [each.path for each in caught.value.every] == [
        "links.lte.toward.client",
        "links.lte.netem",
    ]
    assert all(each.hint is None for each in caught.value.every)
