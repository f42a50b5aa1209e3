"""The input of a search, read from a command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from testbed.analysis.comparison import Terms
from testbed.analysis.likeness import ENVIRONMENT
from testbed.campaign import baselines
from testbed.campaign.bisect.commits import commit, repository
from testbed.campaign.bisect.model import Candidate, Kind, Wanted
from testbed.errors import InputError
from testbed.machine import machine

# The facts in which candidates may differ, because they are searched.
ACROSS: Final = {
    Kind.CHECKOUT: baselines.ACROSS,
    Kind.KERNEL: frozenset({ENVIRONMENT}),
    Kind.MACHINES: frozenset({ENVIRONMENT}),
}
# Options of `testbed run` that a search sets itself, or does not support.
_OURS: Final = ("--dry-run", "--json", "--results", "--resume", "--until-decided")
_PLACES: Final = ("--machine", "--sim")


class Ends(msgspec.Struct, frozen=True, kw_only=True):
    """The ends of a search, for :class:`testbed.campaign.bisect.model.Wanted`."""

    kind: Kind
    tree: str = ""
    good: Candidate
    bad: Candidate
    machines: tuple[str, ...] = ()


def ends(tree: Path, kernels: str | None, good: str | None, bad: str | None) -> Ends:
    """Return the ends in a list of machines, or else in a repository.

    :raises InputError: as for :func:`of_machines` and :func:`of_commits`.
    """
    if kernels is not None:
        return of_machines(kernels, good, bad)
    return of_commits(tree, good, bad)


def of_commits(tree: Path, good: str | None, bad: str | None) -> Ends:
    """Return the ends in a repository.

    :param tree: any folder of a checkout.
    :raises InputError: an end is no commit, or the repository is neither testbed's nor Linux's.
    """
    top = repository(tree)
    if (top / "arch" / "um" / "Kconfig").is_file():
        kind = Kind.KERNEL
    elif (top / "testbed" / "__main__.py").is_file():
        kind = Kind.CHECKOUT
    else:
        raise InputError(
            f"{top} is a checkout of neither testbed nor Linux",
            hint="name one with --tree, or list machines with --kernels",
        )
    if good is None:
        raise InputError("--good is missing", hint="give a commit before the change")
    ends = Ends(kind=kind, tree=str(top), good=commit(top, good), bad=commit(top, bad or "HEAD"))
    if ends.good == ends.bad:
        raise InputError(f"--good and --bad are the same commit, {ends.good}")
    return ends


def of_machines(text: str, good: str | None, bad: str | None) -> Ends:
    """Return the ends of a list of machines.

    :param text: the machines, separated by commas.
    :param good: the good end, by default the first machine of the list; ``bad`` by default the
        last.
    :raises InputError: a name is no machine, or too few are named.
    """
    names = [name for each in text.split(",") if (name := each.strip())]
    for name in names:
        machine(name)
    first, last = (_place(names, end, place) for end, place in ((good, 0), (bad, -1)))
    between = tuple(names[first : last + 1])
    if len(set(between)) < 2 or len(set(names)) < len(names):
        raise InputError(
            f"--kernels {text}: needs two or more different machines, the good one first",
            hint="for example uml:6.1,uml:6.12,uml:7.3",
        )
    one, *_, other = between
    return Ends(
        kind=Kind.MACHINES,
        good=Candidate(name=one),
        bad=Candidate(name=other),
        machines=between,
    )


def wanted(ends: Ends, given: Sequence[str], terms: Terms, **options: Any) -> Wanted:
    """Return the input of a search that steps run from the working directory.

    :param given: the arguments of `testbed run`.
    :param terms: the terms of the comparison. The searched facts may differ in addition.
    :param options: the other fields.
    :raises InputError: as for :func:`arguments`.
    """
    return Wanted(
        **msgspec.structs.asdict(ends),
        arguments=arguments(given, ends.kind),
        directory=str(Path.cwd()),
        terms=msgspec.structs.replace(terms, across=terms.across | ACROSS[ends.kind]),
        **options,
    )


def arguments(given: Sequence[str], kind: Kind) -> tuple[str, ...]:
    """Return the arguments of `testbed run` for each step, the experiment's path in full.

    :raises InputError: no experiment is named, or the search sets one of the options itself.
    """
    example = "testbed bisect ... -- experiments/quickstart.yaml --stack mptcp"
    if not given or given[0].startswith("-"):
        raise InputError("no experiment is named", hint=f"give the experiment after --: {example}")
    file, *options = given
    if not Path(file).is_file():
        raise InputError(f"there is no experiment {file}")
    refused = _OURS if kind is Kind.CHECKOUT else (*_OURS, *_PLACES)
    for option in options:
        name = option.partition("=")[0]
        if name in refused:
            raise InputError(
                f"{name} is not allowed: a search of {_SEARCHED[kind]} sets it in each step"
            )
    return (str(Path(file).resolve()), *options)


_SEARCHED: Final = {
    Kind.CHECKOUT: "commits",
    Kind.KERNEL: "kernels",
    Kind.MACHINES: "machines",
}


def _place(names: Sequence[str], end: str | None, default: int) -> int:
    if end is None:
        return default % len(names) if names else 0
    if end not in names:
        raise InputError(f"{end} is not among --kernels", hint=", ".join(names))
    return names.index(end)
