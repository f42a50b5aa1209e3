"""Baselines as files."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from testbed.campaign import baselines
from testbed.cli.application import application
from testbed.errors import InputError, StoreError
from tests.unit.analysis.sides import cell, side

SIDE = side("a folder", cell(metrics={"goodput": [1.0, 2.0], "duration": [3.0, 4.0]}))


def test_what_is_kept_comes_back_under_its_own_name(tmp_path: Path) -> None:
    path = baselines.place(tmp_path / "baseline", "quick.1")
    baselines.save(path, SIDE)
    found = baselines.read(path)
    assert (found.name, found.headline) == ("quick.1", ("goodput",))
    assert found.cells[0].metrics == {"goodput": (1.0, 2.0)}
    assert found.environment == SIDE.environment
    baselines.save(path, SIDE, ("duration",))
    assert baselines.read(path).headline == ("duration",)


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "-x"])
def test_a_name_that_would_lead_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="is not a valid name for a baseline"):
        baselines.place(Path(), name)


def test_nothing_is_no_baseline(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no run that counts"):
        baselines.save(tmp_path / "x.json", side("a folder", cell(count=0, failed=2)))


def test_what_is_not_there_is_told_with_what_is(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="`testbed baseline save` saves one"):
        baselines.read(tmp_path / "quick.json")
    baselines.save(tmp_path / "other.json", SIDE)
    with pytest.raises(InputError, match="baselines: other"):
        baselines.read(tmp_path / "quick.json")


def test_damage_and_later_schemas_are_told(tmp_path: Path) -> None:
    path = tmp_path / "quick.json"
    path.write_text('{"schema": 2')
    with pytest.raises(StoreError, match="is damaged"):
        baselines.read(path)
    path.write_bytes(msgspec.json.encode(msgspec.structs.replace(SIDE, schema=99)))
    with pytest.raises(StoreError, match="has schema 99"):
        baselines.read(path)


def test_the_list_names_damage_and_has_the_rest(tmp_path: Path) -> None:
    baselines.save(tmp_path / "quick.json", SIDE)
    (tmp_path / "bad.json").write_text("{")
    arguments = ["baseline", "list", "--json", "--directory", str(tmp_path)]
    done = CliRunner().invoke(application, arguments)
    assert done.exit_code == 1
    assert [each["name"] for each in json.loads(done.stdout)] == ["quick"]
    assert done.stderr.count("\n") == 1
    assert "bad.json is damaged" in done.stderr
    (tmp_path / "bad.json").unlink()
    assert CliRunner().invoke(application, arguments).exit_code == 0


def test_one_that_cannot_be_replaced_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "quick.json"
    baselines.save(path, SIDE)
    before = path.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match="cannot be written: No space left"):
        baselines.save(path, SIDE, ("duration",))
    assert path.read_bytes() == before
    assert [*tmp_path.iterdir()] == [path]
