"""Comparisons as documents: Markdown for a pull request, JUnit XML for a CI system."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from testbed.analysis import wording
from testbed.analysis.comparison import Comparison
from testbed.analysis.verdicts import Verdict
from testbed.text import clean


def markdown(found: Comparison) -> str:
    """Return a comparison as a table in GitHub's Markdown, with the warnings below."""
    heads = wording.heads(found)
    lines = [
        f"### {_cell(wording.title(found))}",
        "",
        _row(heads),
        _row(["---"] * len(heads)),
        *(_row(list(wording.cells(found, change))) for change in found.changes),
        "",
        f"{wording.counted(found)}; {wording.explanation(found)}",
    ]
    notes = [
        f"{change.verdict}: {wording.subject(change)}: {wording.why(change)}"
        for change in found.changes
        if change.why is not None
    ]
    notes += [f"warning: {warning}" for warning in found.warnings]
    if notes:
        lines += ["", *(f"- {_cell(note)}" for note in notes)]
    return "\n".join(lines) + "\n"


def junit(found: Comparison) -> str:
    """Return a comparison as JUnit XML: one test case per change, skipped if undecided."""
    counts = found.counts
    suite = ET.Element(
        "testsuite",
        name=clean(wording.title(found)),
        tests=str(len(found.changes)),
        failures=str(counts.get(Verdict.REGRESSED, 0)),
        errors="0",
        skipped=str(counts.get(Verdict.INCONCLUSIVE, 0)),
    )
    for change in found.changes:
        case = ET.SubElement(
            suite,
            "testcase",
            classname=clean(f"{found.experiment}.{change.side}"),
            name=clean(wording.subject(change)),
        )
        said = clean(f"{change.verdict}: {wording.relative(change)}")
        if change.verdict is Verdict.REGRESSED:
            ET.SubElement(case, "failure", message=said, type="regressed").text = said
        elif change.verdict is Verdict.INCONCLUSIVE:
            ET.SubElement(case, "skipped", message=clean(f"{said}; {wording.why(change)}"))
        ET.SubElement(case, "system-out").text = said
    ET.SubElement(suite, "system-err").text = clean("\n".join(found.warnings))
    ET.indent(suite)
    return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(text: str) -> str:
    """Return text with escapes for Markdown."""
    text = clean(text).replace("\n", " ").replace("&", "&amp;").replace("<", "&lt;")
    for letter in "\\`*_[]|#":
        text = text.replace(letter, f"\\{letter}")
    return text
