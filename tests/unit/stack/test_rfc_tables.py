"""The tables of requirements (docs/rfc*.md) say what is so."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.rfc import markers, page, rows, text

TABLES: Final = rows.tables()
SHOWN: Final = markers.collect()
SCRIPT: Final = rows.ROOT / "scripts" / "rfc-requirements"
RFC: Final = """\
Table of Contents

   1.  Introduction
   2.  Rules

1.  Introduction

   The words "MUST" and "MAY" have a meaning, e.g., in RFC 2119.

2.  Rules of a Game That Has
    a Long Name

   *  A host MUST greet.  It MUST NOT
      shout, but it MAY sing.

2.1.  More

   Nothing is OPTIONAL.

Appendix A.  Songs

   Hosts SHOULD sing well.
"""
NUMBERED: Final = """\
3.1.  Rules

   A host MUST greet (MUST-2), and it SHOULD NOT shout (SHLD-
   1).  A host that greets MUST (MUST-2) smile.

A.  Summary

   | Smile | MUST-3 |
"""


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.rfc)
def test_a_page_is_what_the_script_writes(table: rows.Table) -> None:
    """``scripts/rfc-tables`` writes the pages again."""
    assert page.path_of(table).read_text() == page.draw(table, SHOWN)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.rfc)
def test_each_requirement_has_code_and_a_test_or_a_reason(table: rows.Table) -> None:
    shown = {each.id for each in SHOWN if each.rfc == table.rfc}
    met = {row.id for row in table.rows if row.code} & shown
    assert [row.id for row in table.rows if row.id not in met and not row.reason] == []


def test_each_marker_names_a_requirement() -> None:
    known = {(table.rfc, row.id) for table in TABLES for row in table.rows}
    assert [each for each in SHOWN if (each.rfc, each.id) not in known] == []


def test_the_code_that_rows_name_is_there() -> None:
    named = {code for table in TABLES for row in table.rows for code in row.code}
    assert [code for code in named if not rows.defines(code)] == []


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.rfc)
def test_each_id_is_there_once(table: rows.Table) -> None:
    assert len({row.id for row in table.rows}) == len(table.rows)


def test_key_words_are_requirements() -> None:
    """Each by its section, word and count; words in quotes, and of the contents, are none."""
    found = text.sections(RFC)
    assert [(section.number, section.title) for section in found] == [
        ("2", "Rules of a Game That Has a Long Name"),
        ("2.1", "More"),
        ("A", "Songs"),
    ]
    assert [each.id for section in found for each in section.requirements] == [
        "2-MUST-1",
        "2-MUST-NOT-1",
        "2-MAY-1",
        "2.1-OPTIONAL-1",
        "A-SHOULD-1",
    ]
    greet, shout, sing = found[0].requirements
    assert greet.digest != shout.digest == sing.digest


def test_numbers_of_the_rfc_are_its_requirements() -> None:
    """Each where it is first named, with the word before it."""
    found = text.sections(NUMBERED)
    assert [(section.number, each.id, each.level) for section in found
            for each in section.requirements] == [
        ("3.1", "MUST-2", "MUST"),
        ("3.1", "SHLD-1", "SHOULD NOT"),
        ("A", "MUST-3", "MUST"),
    ]  # fmt: skip


def test_a_table_is_held_against_the_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``scripts/rfc-requirements`` lists the requirements of a text, and what differs from it."""
    main = runpy.run_path(str(SCRIPT))["main"]
    file, table = tmp_path / "rfc.txt", tmp_path / "rfc1.yaml"

    def run(*arguments: Path) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", [SCRIPT.name, *map(str, arguments)])
        return main(), capsys.readouterr().out

    file.write_text(RFC)
    _, listed = run(file)
    said = listed.replace("    level:", "    says: something\n    level:")
    table.write_text("rfc: 1\nsections:\n" + said)
    assert run(file, table)[0] == 0
    file.write_text(RFC.replace("shout", "whisper"))
    status, differs = run(file, table)
    assert status == 1
    assert "2-MUST-NOT-1" in differs


def test_markers_are_read_from_the_source(tmp_path: Path) -> None:
    file = tmp_path / "test_it.py"
    file.write_text(
        '@pytest.mark.requirement("RFC 1", "MUST-1", "MAY-2")\nasync def test_a(): ...\n'
        '@pytest.mark.requirement("RFC 2", "MUST-1")\n@other\ndef test_b(): ...\n'
    )
    assert [(each.test, each.rfc, each.id) for each in markers.collect(tmp_path)] == [
        ("test_a", "RFC 1", "MUST-1"),
        ("test_a", "RFC 1", "MAY-2"),
        ("test_b", "RFC 2", "MUST-1"),
    ]


@pytest.mark.parametrize("arguments", ['"RFC 1"', '"RFC 1", NAME'])
def test_a_marker_has_strings(tmp_path: Path, arguments: str) -> None:
    source = f"@pytest.mark.requirement({arguments})\ndef test_a(): ...\n"
    (tmp_path / "test_it.py").write_text(source)
    with pytest.raises(TypeError):
        markers.collect(tmp_path)
