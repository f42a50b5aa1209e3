"""Publications: what their folders may say, and what is made of what was measured."""

from __future__ import annotations

import msgspec
import pytest

from testbed.errors import InputError, StoreError
from testbed.papers import measured, tables
from testbed.papers.judging import Word, judged
from testbed.papers.load import find, load, papers
from testbed.papers.measured import Measured, MeasuredCell, MeasuredSide
from testbed.papers.page import page
from testbed.papers.plan import Wanted, errands
from testbed.papers.schema import paper as schema
from testbed.papers.spec import Side
from testbed.papers.template import new


@pytest.fixture
def folder(tmp_path):
    new("trial", tmp_path)
    return tmp_path / "trial"


def changed(folder, file, old, new):
    path = folder / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return folder


def values(folder, **goodputs):
    """Return what was measured: a list for each stack, ``tcp`` for ``tcp`` and so on."""
    experiment = load(folder).experiments["example"]
    sides = []
    for side in Side:
        cells = tuple(
            MeasuredCell(stack=stack, parameters={}, values={"goodput": tuple(goodputs[name])})
            for stack in experiment.stacks(side)
            if (name := stack.replace("-", "_")) in goodputs
        )
        machine = experiment.machine(side)
        sides.append(
            MeasuredSide(
                experiment="example",
                side=side,
                machine=machine,
                digest=experiment.digest,
                cells=cells,
            )
        )
    return Measured(sides=tuple(sides))


def words(folder, found, **how):
    (claim,) = judged(load(folder), found, **how).claims
    return [claim.sides[side].word for side in Side]


def test_a_new_folder_is_right(folder):
    paper = load(folder)
    assert paper.name == "trial"
    assert paper.experiments["example"].stacks(Side.KERNEL) == ("tcp", "mptcp")
    assert paper.experiments["example"].machine(Side.KERNEL) == "uml:7.3+virtual-time"
    assert paper.experiments["example"].machine(Side.OURS) == "sim"


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        (
            "published.yaml",
            "  adds_up:",
            "  adds-up:",
            "published.yaml:7: claims.adds-up: the key: expected text",
        ),
        ("published.yaml", "claim: adds_up", "claim: adds", r"published.yaml:12: values\[0\]: "),
        (
            "published.yaml",
            "read: secondary  #",
            "read: maybe  #",
            "published.yaml:10: claims.adds_up.read: invalid",
        ),
        ("published.yaml", "value: 1.9", "value: 1.9mbit", r"values\[0\]: .*not a number"),
        ("published.yaml", "stacks: [mptcp]", "stacks: [mptpc]", "no stack 'mptpc'.*mptcp"),
        ("published.yaml", "stacks: [mptcp]", "stacks: [userspace]", r"values\[0\].* the side of"),
        ("published.yaml", "experiment: example\n", "experiment: exampel\n", "'exampel'"),
        (
            "published.yaml",
            "    metric: goodput\n",
            "    metric: goodptu\n",
            r"values\[0\]: there is no metric 'goodptu'; did you mean 'goodput'",
        ),
        (
            "published.yaml",
            "metric: goodput}",
            "metric: goodptu}",
            r"figures\[0\]: there is no metric 'goodptu'",
        ),
        (
            "example.yaml",
            "metric: goodput, stack: mptcp",
            "metric: goodptu, stack: mptcp",
            r"example.yaml:14: expect\[0\]: there is no metric 'goodptu'",
        ),
        (
            "example.yaml",
            "metric: goodput, stack: mptcp",
            "metric: goodput, where: {speed: 1}, stack: mptcp",
            r"example.yaml:14: expect\[0\]: no cell of 'mptcp' has these parameters",
        ),
        (
            "published.yaml",
            "values:",
            "experiments: [example.yaml]\nvalues:",
            r"published.yaml:11: experiments\[0\]: there is an experiment 'example' already",
        ),
        ("published.yaml", "form: bars", "form: heatmap", "needs 'x'"),
        ("published.yaml", "form: bars", "form: lines, x: links.one.rate", "not a parameter"),
        ("published.yaml", "title:", "tilte:", "unknown key.*title"),
        ("example.yaml", "claim: adds_up", "claim: adds_pu", r"example.yaml:14: expect\[0\]: "),
        (
            "example.yaml",
            "stack: userspace, relative_to: userspace-tcp",
            "stack: userspace, relative_to: tcp",
            "of two",
        ),
        (
            "example.yaml",
            "{claim: adds_up, metric: goodput, stack: mptcp",
            "{metric: goodput, stack: mptcp",
            r"published.yaml:7: claims.adds_up: no expectation of the kernel side",
        ),
        ("source.md", "## What we changed", "## Changes", "source.md:.*## What we changed"),
    ],
)
def test_a_mistake_is_named_by_its_place(folder, file, old, new, message):
    with pytest.raises(InputError, match=message):
        load(changed(folder, file, old, new))


def test_a_claim_that_cannot_be_judged_says_why(folder):
    changed(
        folder,
        "example.yaml",
        "claim: adds_up, metric: goodput, stack: mptcp",
        "metric: goodput, stack: mptcp",
    )
    changed(
        folder,
        "published.yaml",
        "    read: secondary  #",
        "    cannot: {kernel: no such thing}\n    read: secondary  #",
    )
    (claim,) = judged(load(folder), values(folder, userspace_tcp=[1, 1], userspace=[2, 2])).claims
    assert tables.judgement(claim.sides[Side.KERNEL]) == "cannot be judged here: no such thing"
    assert claim.sides[Side.OURS].word is Word.REPRODUCED


@pytest.mark.parametrize(
    ("goodput", "word"),
    [
        ([19.0, 19.0], Word.REPRODUCED),
        ([11.0, 11.0], Word.NOT),
        ([11.0, 19.0], Word.CANNOT),  # the interval reaches across the bound
        ([], Word.CANNOT),
    ],
)
def test_the_verdict_follows_from_the_values(folder, goodput, word):
    found = values(folder, tcp=[10, 10], mptcp=[19, 19], userspace_tcp=[10, 10], userspace=goodput)
    assert words(folder, found) == [Word.REPRODUCED, word]


def test_values_of_another_experiment_are_none(folder):
    found = values(folder, tcp=[10], mptcp=[19], userspace_tcp=[10], userspace=[19])
    assert words(folder, found) == [Word.REPRODUCED, Word.REPRODUCED]
    changed(folder, "example.yaml", "at_least: 1.5", "at_least: 1.95")
    assert words(folder, found) == [Word.NOT, Word.NOT]
    changed(folder, "example.yaml", "size: 2MB", "size: 3MB")
    assert words(folder, found) == [Word.CANNOT, Word.CANNOT]
    (claim,) = judged(load(folder), found).claims
    assert "has changed since it was measured" in claim.sides[Side.OURS].why


def test_what_nobody_explains_is_a_surprise(folder):
    bad = values(folder, tcp=[10], mptcp=[19], userspace_tcp=[10], userspace=[11])
    good = values(folder, tcp=[10], mptcp=[19], userspace_tcp=[10], userspace=[19])
    (said,) = judged(load(folder), bad).surprises
    assert "the ours side did not reproduce adds_up" in said
    changed(
        folder,
        "published.yaml",
        "    read: secondary  #",
        "    because: {ours: it is slow}\n    read: secondary  #",
    )
    assert judged(load(folder), bad).surprises == ()
    (said,) = judged(load(folder), good).surprises
    assert "the ours side reproduced adds_up, but" in said


def test_numbers_stand_side_by_side(folder):
    found = judged(load(folder), values(folder, tcp=[10, 10], mptcp=[19, 20]))
    (row,) = tables.value_rows(found)
    assert row[1] == "1.90"
    assert row[4] == "figure 1 (secondary)"
    assert row[5].startswith("1.95 ±")
    assert row[6] == "-"
    assert tables.counts([found])[Side.OURS] == {Word.REPRODUCED: 0, Word.NOT: 0, Word.CANNOT: 1}


def test_a_ratio_is_to_the_stack_of_the_same_side(folder):
    changed(folder, "published.yaml", "relative_to: tcp", "relative_to: [tcp, userspace-tcp]")
    changed(folder, "published.yaml", "stacks: [mptcp]", "stacks: [mptcp, userspace]")
    found = values(folder, tcp=[10], mptcp=[19], userspace_tcp=[20], userspace=[30])
    (row,) = tables.value_rows(judged(load(folder), found))
    assert row[5:] == ("1.90", "1.50")


def test_quick_takes_the_cells_of_the_first_claim(folder):
    (ours,) = errands([load(folder)], Wanted(side=Side.OURS, quick=True))
    assert len(ours.cells) == 2
    assert ours.repetitions == 1
    wanted = Wanted(side=Side.OURS, experiments=("example",), repetitions=3)
    (whole,) = errands([load(folder)], wanted)
    assert (whole.cells, whole.repetitions) == (None, 3)
    with pytest.raises(InputError, match=r"no experiment 'exampel'.*example"):
        errands([load(folder)], Wanted(experiments=("exampel",)))


def test_quick_takes_a_sample_of_many_cases(folder):
    cases = "cases:\n" + "".join(f"  c{n}: {{links.one.delay: {n}ms}}\n" for n in range(1, 31))
    changed(folder, "example.yaml", "repetitions: 1\n", cases)
    published = folder / "published.yaml"
    published.write_text("quick: 3\n" + published.read_text().partition("values:")[0])
    paper = load(folder)

    def cells(**wanted):
        (errand,) = errands([paper], Wanted(side=Side.OURS, **wanted))
        return errand.cells

    assert len(cells(quick=True)) == 3 * 2
    assert len(cells(quick=True, sample=2)) == 2 * 2  # an explicit sample takes precedence
    assert cells(quick=True) == cells(quick=True)
    assert cells(quick=True) < cells(sample=3)  # cells of all stacks
    assert cells() is None
    published.write_text("sample: 5\n" + published.read_text())
    paper = load(folder)
    assert len(cells()) == 5 * 4
    assert len(cells(sample=4)) == 4 * 4
    assert cells(full=True) is None


def test_what_is_kept_is_read_again(folder):
    found = values(folder, tcp=[10.5], mptcp=[19], userspace_tcp=[10], userspace=[19])
    assert measured.read(folder) == Measured()
    measured.write(folder, found)
    assert measured.read(folder) == found
    other = values(folder, tcp=[11.5])
    joined = found.joined(other.sides)
    tcp, mptcp = joined.of("example", Side.KERNEL).cells
    assert (tcp.values, mptcp.values) == ({"goodput": (11.5,)}, {"goodput": (19,)})
    gone = msgspec.structs.replace(other.sides[0], digest="another")
    assert [cell.stack for cell in joined.joined([gone]).of("example", Side.KERNEL).cells] == [
        "tcp"
    ]


@pytest.mark.parametrize(("text", "message"), [("{", "damaged"), ('{"schema": 9}', "schema 9")])
def test_a_damaged_record_is_named(folder, text, message):
    (folder / "measured.json").write_text(text)
    with pytest.raises(StoreError, match=message):
        measured.read(folder)


def test_a_name_that_is_not_there(folder):
    with pytest.raises(InputError, match=r"no publication .trail.*trial"):
        find("trail", folder.parent)
    with pytest.raises(InputError, match="no publication in"):
        papers(folder)


def test_the_schema_knows_the_keys():
    claims = schema()["$defs"]["PublishedSpec"]["properties"]["claims"]
    assert claims["additionalProperties"] == {"$ref": "#/$defs/ClaimSpec"}


def test_the_page_says_why_not(folder):
    measured.write(folder, values(folder, tcp=[10], mptcp=[11], userspace_tcp=[10], userspace=[19]))
    changed(
        folder,
        "published.yaml",
        "    read: secondary  #",
        "    because: {kernel: its paths are one}\n    read: secondary  #",
    )
    text = page([load(folder)], folder.parent)
    assert "**adds_up, kernel: not reproduced.** its paths are one" in text
    assert "- goodput of mptcp, relative to tcp, is at least 1.5: 1.10" in text
