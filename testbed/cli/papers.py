"""`testbed papers`: published results as experiments, and our results beside them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from testbed.cli import completion
from testbed.cli.helptext import of as help_of
from testbed.cli.options import Again, Jobs, Json, Repetitions, Results
from testbed.cli.output import console, print_json, write_file
from testbed.errors import InputError

if TYPE_CHECKING:
    from testbed.cli.publications import Options
    from testbed.papers.judging import JudgedPaper, Word
    from testbed.papers.load import Paper
    from testbed.papers.measured import Measured
    from testbed.papers.plan import Wanted
    from testbed.papers.spec import Side

application = typer.Typer(
    no_args_is_help=True,
    help="Reproduce published results, with a verdict for each claim.\n\n"
    "\b\n    testbed papers list\n\n"
    "\b\n    testbed papers run --quick\n\n"
    "\b\n    testbed papers show rfc6356",
)
_ROOT: Final = Path("experiments/papers")
_RESULTS: Final = Path("results/papers")
Root = Annotated[Path, typer.Option("--folder", help="The folder of the publications.")]
Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[NAME...]", help="Only these publications.", autocompletion=completion.papers
    ),
]
Quick = Annotated[
    bool, typer.Option("--quick", help="The first claim of each, one run of each cell.")
]
Only = Annotated[
    str | None, typer.Option(metavar="[kernel|ours]", help="Only the stacks of this side.")
]
Experiments = Annotated[
    list[str] | None,
    typer.Option(metavar="E", help="Only this experiment; may be given again."),
]
Sample = Annotated[
    int | None,
    typer.Option(min=1, help="At most this many cases of an experiment, chosen by its seed."),
]
Full = Annotated[
    bool, typer.Option("--full", help="All cases, also if a publication asks for a sample.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Continue the newest result folders.")]
Keep = Annotated[
    bool, typer.Option("--keep", help="Also write the values into the publication's folder.")
]
Name = Annotated[
    str, typer.Argument(help="Name of a publication.", autocompletion=completion.papers)
]
Page = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Write a page with its figures, drawn like those of the paper."
    ),
]
Kept = Annotated[
    bool,
    typer.Option("--kept", help="The values that came with testbed, not those of your runs."),
]


def list_(root: Root = _ROOT, json: Json = False) -> None:
    """List the publications, with the number of their claims that were reproduced.

    Examples:

        testbed papers list
        testbed papers list --json
    """
    from testbed.papers import measured
    from testbed.papers.judging import judged
    from testbed.papers.load import papers

    found = papers(root)
    every = [judged(paper, measured.read(paper.folder)) for paper in found]
    if json:
        print_json(every)
    else:
        _print_list(found, every)


def run(
    names: Names = None,
    quick: Quick = False,
    only: Only = None,
    experiment: Experiments = None,
    sample: Sample = None,
    full: Full = False,
    repetitions: Repetitions = None,
    jobs: Jobs = 1,
    resume: Resume = False,
    again: Again = False,
    keep: Keep = False,
    results: Results = _RESULTS,
    root: Root = _ROOT,
    json: Json = False,
) -> None:
    """Run the experiments of publications, judge their claims, and write a page for each.

    Our stacks are simulated; the kernel's run in the machine that an experiment names, or in
    user-mode Linux on a virtual clock. Values and pages go to results/papers/NAME, those of
    --quick to results/papers/quick. Exit code 3: a claim is not reproduced although no `because`
    explains it, or is reproduced although one does. Exit code 4: a machine does not work here;
    everything else ran.

        testbed papers run --quick --jobs 2

        testbed papers run rfc6356 --only ours

        testbed papers run --resume --jobs 2

        testbed papers run deconinck2017 --full --jobs 2

        testbed papers run rfc6356 --experiment idle

        testbed papers run rfc6356 --keep
    """
    from testbed.cli.publications import Options
    from testbed.papers.load import find, papers
    from testbed.papers.plan import Wanted

    chosen = [find(name, root) for name in dict.fromkeys(names)] if names else papers(root)
    wanted = Wanted(
        side=_side(only),
        quick=quick,
        experiments=tuple(experiment or ()),
        sample=sample,
        full=full,
        repetitions=repetitions,
    )
    options = Options(
        results=results / "quick" if quick else results,
        jobs=jobs,
        resume=resume,
        again=again,
        keep=keep,
        json=json,
    )
    _check(options, wanted)
    sys.exit(carry_out(chosen, options, wanted))


def _check(options: Options, wanted: Wanted) -> None:
    """Refuse options that contradict one another."""
    if options.again and not options.resume:
        raise InputError("--again needs --resume")
    if options.keep and wanted.quick:
        raise InputError("--keep cannot be used with --quick: it needs all cells")
    if wanted.full and (wanted.quick or wanted.sample is not None):
        raise InputError("--full cannot be used with --quick or --sample: it takes all cases")


def carry_out(papers: Sequence[Paper], options: Options, wanted: Wanted | None = None) -> int:
    """Run publications, print the verdicts on their claims, and return the exit code.

    :param wanted: the selected runs; by default all.
    """
    from testbed.cli import publications
    from testbed.cli.ending import end_as_ctrl_c
    from testbed.papers.plan import Wanted, errands

    end_as_ctrl_c()
    wanted = wanted or Wanted()
    try:
        found = publications.carry_out(errands(papers, wanted), options)
    except KeyboardInterrupt:
        console(stderr=True).print(
            "Finished runs are kept; the same command with --resume continues"
        )
        raise
    judgements = [(paper, *_judged(paper, options.results, quick=wanted.quick)) for paper in papers]
    every = [verdicts for *_, verdicts in judgements]
    if options.keep:
        publications.keep(papers, found)
    page = publications.pages(judgements, options.results)
    if options.json:
        print_json(every)
    else:
        _print_claims(every)
        _print_place(page)
    surprises = [f"{paper.name}: {text}" for paper in every for text in paper.surprises]
    for text in surprises:
        console(stderr=True).print(f"testbed: {text}", soft_wrap=True)
    wrong = any(cell.wrong for it in found.measured.values() for s in it.sides for cell in s.cells)
    return 1 if wrong else 3 if surprises else 4 if found.lacking else 0


def _judged(paper: Paper, results: Path, *, quick: bool) -> tuple[Measured, JudgedPaper]:
    """Return the values of the runs below a directory, and the verdicts."""
    from testbed.papers import measured
    from testbed.papers.judging import judged

    values = measured.read(results / paper.name)
    first = [next(iter(paper.published.claims))] if quick else ()
    return values, judged(paper, values, claims=first, partly=quick)


def show(
    name: Name,
    page: Page = None,
    kept: Kept = False,
    results: Results = _RESULTS,
    root: Root = _ROOT,
    json: Json = False,
) -> None:
    """Show a publication: claims, published numbers, and the numbers measured here.

    The values are those of your runs, if results/papers has some. Otherwise they are those in the
    folder of the publication.

    Examples:

        testbed papers show rfc6356
        testbed papers show rfc6356 --page rfc6356.html
    """
    from testbed.papers import measured
    from testbed.papers.judging import judged
    from testbed.papers.load import find

    paper = find(name, root)
    own = results / paper.name
    folder = paper.folder if kept or not (own / measured.NAME).exists() else own
    values = measured.read(folder)
    found = judged(paper, values)
    if page is not None:
        from testbed.report.publication import page_of

        write_file(page, page_of(paper, values, found))
    if json:
        print_json(found)
        return
    _print_claims([found])
    _print_paper(found)
    if (folder / measured.NAME).exists():
        console().print(f"Values: {folder / measured.NAME}", soft_wrap=True)
    _print_place(page)


def _print_place(page: Path | None) -> None:
    if page is not None:
        console().print(f"Page: {page}", soft_wrap=True)


def new(
    name: Annotated[str, typer.Argument(help="Name of the folder, for example mine2026.")],
    root: Root = _ROOT,
    json: Json = False,
) -> None:
    """Write a folder for a new publication, with an example that runs.

    Examples:

        testbed papers new mine2026
    """
    from testbed.papers.template import new as write

    files = write(name, root)
    if json:
        print_json([str(file) for file in files])
        return
    for file in files:
        console().print(str(file), soft_wrap=True)


def _side(only: str | None) -> Side | None:
    from testbed.hints import nearest
    from testbed.papers.spec import Side

    if only is None:
        return None
    if only not in [*Side]:
        hint = nearest(only, [*Side]) or "kernel or ours"
        raise InputError(f"--only {only}: there is no such side", hint=hint)
    return Side(only)


def _print_list(papers: Sequence[Paper], every: Sequence[JudgedPaper]) -> None:
    from rich.table import Table

    from testbed.papers.spec import Side

    table = Table(box=None, pad_edge=False)
    for column in ("publication", "claims", *Side, "title"):
        table.add_column(column, overflow="fold")
    for paper, found in zip(papers, every, strict=True):
        words = ([claim.sides[side].word for claim in found.claims] for side in Side)
        counts = [_reproduced(side) for side in words]
        table.add_row(paper.name, str(len(found.claims)), *counts, paper.published.title)
    console().print(table)
    console().print(
        f"{', '.join(Side)}: reproduced claims, of the judged ones",
        style="dim",
        soft_wrap=True,
    )


def _reproduced(words: Sequence[Word]) -> str:
    """Return the share of judged claims that were reproduced; ``-`` if none is judged."""
    from testbed.papers.judging import Word
    from testbed.papers.tables import NOTHING

    judged = [word for word in words if word is not Word.CANNOT]
    return f"{judged.count(Word.REPRODUCED)} of {len(judged)}" if judged else NOTHING


def _print_claims(every: Sequence[JudgedPaper]) -> None:
    from rich.table import Table

    from testbed.papers import tables

    table = Table(box=None, pad_edge=False)
    for column in tables.CLAIMS:
        table.add_column(column)
    for row in tables.claim_rows(every):
        table.add_row(*row)
    console().print(table)


def _print_paper(found: JudgedPaper) -> None:
    from rich.table import Table

    from testbed.papers import tables
    from testbed.papers.judging import Word
    from testbed.papers.spec import Side

    rows = [*tables.value_rows(found)]
    if rows:
        table = Table(box=None, pad_edge=False)
        for column in tables.VALUES:
            table.add_column(column)
        for row in rows:
            table.add_row(*row)
        console().print()
        console().print(table)
    for claim in found.claims:
        for side in Side:
            what = claim.sides[side]
            console().print()
            console().print(f"{claim.name}, {side}: {what.word}", soft_wrap=True)
            if what.why and what.word is not Word.REPRODUCED:
                console().print(f"  {what.why}", soft_wrap=True)
            for check in what.checks:
                console().print(f"  {check.verdict}: {tables.check_line(check)}", soft_wrap=True)


for _name, _command in (("list", list_), ("run", run), ("show", show), ("new", new)):
    application.command(_name, help=help_of(_command))(_command)
