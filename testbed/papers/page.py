"""The generator of docs/papers.md: the tables of all publications, and how to add one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from testbed.papers import measured, tables
from testbed.papers.judging import JudgedPaper, Word, judged
from testbed.papers.load import Paper
from testbed.papers.measured import Measured, MeasuredSide
from testbed.papers.spec import Side

PAGE: Final = Path("docs/papers.md")
HEAD: Final = """\
# Publications

`experiments/papers` has published results of Multipath TCP as experiments: the claims of a paper,
an RFC or a report, the experiment files that test them, and a verdict for each claim.
`scripts/papers-page` writes this page from these files and the measured values; a test checks that
they agree.

```console
$ testbed papers list
$ testbed papers run --quick                # the first claim of each
$ testbed papers run rfc6356 --jobs 2       # one of them, with all claims
$ testbed papers run --jobs 2 --resume      # all of them; continues after an interruption
$ testbed papers run deconinck2017 --full   # all cases, where `papers run` takes a sample
$ testbed papers show rfc6356 --page rfc6356.html
```

`testbed papers run rfc6356` ends with the table of its claims and with a page,
`results/papers/rfc6356/report.html`, on which the figures have the form of the publication and its
numbers are marked. `results/papers/report.html` lists the pages of several publications. `--resume`
continues an interrupted run. `testbed papers show` shows the values of your runs. With `--kept`, or
if there are no runs, it shows the values that come with testbed, as this page does.
`testbed run experiments/papers/rfc6356` does the same as `testbed papers run rfc6356`.

Each claim has two verdicts. *ours* is the stack of this project in a [simulation](simulation.md).
*kernel* is Linux in user-mode Linux on a [virtual clock](virtual-time.md), or in the machine that
the experiment names. Both give the same numbers each time. An interval, in brackets or after ±, is
a 95 % interval over repetitions with different seeds. The first table of each publication names
the commit of testbed with which each experiment was measured.

| verdict | when |
| --- | --- |
| reproduced | every expectation of the claim is met |
| not reproduced | the whole interval of one is outside its bounds; the reason is given below |
| cannot be judged here | a stack or this laboratory lacks something, or nothing was measured |

Sysctls list the schedulers and congestion controls of Linux: `testbed machine exec uml:7.3 -- cat
/proc/sys/net/mptcp/available_schedulers /proc/sys/net/ipv4/tcp_available_congestion_control`.

A published number was read *literally*, in the publication itself, unless the table says
*secondary*. A secondary number is from other authors, who cite it: the publication was not
available.

"""
_MEASURED: Final = ("experiment", "side", "machine", "testbed and commit", "day", "cells")
FOOT: Final = """\
## How to add one

```console
$ testbed papers new mine2026
$ testbed schema paper > paper.schema.json     # for your editor
$ testbed papers run mine2026
$ testbed papers run mine2026 --keep           # writes the values to measured.json
$ scripts/papers-page
```

The first command writes a folder with a complete experiment:

| file | what it says |
| --- | --- |
| `source.md` | the full reference, the parameters as published, and what we changed and why |
| `published.yaml` | the claims, the published numbers, and the figures to draw |
| `*.yaml` | [experiments](experiments.md); an expectation names the `claim:` it is a part of |
| `measured.json` | the values of each cell, written by `--keep`: the page of the repository |

A claim is an ordering or a ratio, such as "at least as much as the best path alone". An absolute
number of another machine is not a claim. For each side a claim has expectations about stacks of
that side, or `cannot:` gives the reason why there are none. `because:` explains a claim that was
not reproduced, by facts that a reader can check. `testbed papers run` ends with exit code 3 if a
claim is not reproduced and nothing explains it, and also if something explains it but it is
reproduced.

With `sample: 32` in `published.yaml`, `papers run` takes 32 of an experiment's cases, which its
seed chooses; `--full` takes all. In an expectation about a table of cases, `in_at_least: 45%` is
the share of the cells in which the bounds must hold, and with `best: true` the expectation is
relative to the best of several selectors, not to their sum. `cases: FILE.csv` takes the cases from
a table whose columns are `case` and the paths that it sets.

A figure is `bars`, `lines`, a `heatmap` or a `cdf`, as in the publication; published values of its
metric are marked. With `relative_to` it shows ratios, and with `benefit_over: TCP` and
`paths: workload.via` the experimental aggregation benefit: 0 is the goodput of the best path alone,
1 the sum of all paths. `points` of a `cdf` mark the published values of a distribution.
"""


def page(papers: Sequence[Paper], root: Path) -> str:
    """Return the page.

    :param root: the root of the clone.
    """
    found = [(paper, measured.read(paper.folder)) for paper in papers]
    every = [judged(paper, values) for paper, values in found]
    parts = [HEAD, *_summary(every)]
    for (paper, values), verdicts in zip(found, every, strict=True):
        parts += _paper(paper, values, verdicts, root)
    return "".join([*parts, FOOT])


def _summary(every: Sequence[JudgedPaper]) -> Iterator[str]:
    count = sum(len(paper.claims) for paper in every)
    yield f"## {count} claims of {len(every)} publications\n\n"
    rows = [
        (str(side), *(str(words[word]) for word in Word))
        for side, words in tables.counts(every).items()
    ]
    yield table(("side", *map(str, Word)), rows)
    yield "\n"
    yield table(tables.CLAIMS, tables.claim_rows(every))
    yield "\n"


def _paper(paper: Paper, values: Measured, found: JudgedPaper, root: Path) -> Iterator[str]:
    published = paper.published
    place = os.path.relpath(paper.folder.resolve(), root.resolve() / PAGE.parent)
    yield f"## {paper.name}\n\n"
    yield f"{published.authors}: [{published.title}]({published.link}). {published.venue}.\n"
    yield f"[What it says, and what we changed]({place}/source.md).\n\n"
    now = values.now(paper).sides
    yield table(_MEASURED, [_where(paper, it) for it in now]) if now else "Nothing was measured.\n"
    yield "\n"
    rows = [*tables.value_rows(found)]
    if rows:
        yield table(tables.VALUES, rows) + "\n"
    yield from _explanations(found)


def _where(paper: Paper, side: MeasuredSide) -> Sequence[str]:
    """Return a row with the object, machine, version and time of a measurement."""
    return (
        side.experiment,
        str(side.side),
        f"`{side.machine}`" + (f", Linux {side.kernel}" if side.kernel else ""),
        side.testbed,
        side.created_at[:10],
        side.part(paper.experiments[side.experiment]) or "all",
    )


def _explanations(found: JudgedPaper) -> Iterator[str]:
    for claim in found.claims:
        for side in Side:
            what = claim.sides[side]
            if what.word is Word.NOT:
                why = what.why or "No reason is given."
                yield f"**{claim.name}, {side}: not reproduced.** {why}\n\n"
                failed = [check for check in what.checks if check.verdict != "pass"]
                yield "".join(f"- {tables.check_line(check)}\n" for check in failed[:8])
                more = len(failed) - 8
                yield (f"- and {more} more\n" if more > 0 else "") + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(map(_cell, line))} |\n" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
