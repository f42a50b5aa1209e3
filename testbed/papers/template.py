"""The template of a publication: a folder whose experiments run without changes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from testbed.errors import InputError

_NAME: Final = re.compile(r"[a-z][a-z0-9_-]*")
_FILES: Final = {
    "source.md": """\
# The title of the publication

Who wrote it, where and when it was published, and which figure or table this is.

## As published

The network, the traffic and the parameters, with their units, as the publication gives them.

## What we changed

The differences from the publication, and the reasons. If there are none, say so.
""",
    "published.yaml": """\
title: The title of the publication
authors: A. Author, B. Author
venue: Conference 2011
link: https://www.example.org/paper.pdf
claims:
  # The first claim is what `testbed papers run --quick` tries.
  adds_up:
    says: Over two idle paths a transfer gets at least 1.5 times what it gets over the first alone.
    where: section 1, figure 1
    read: secondary  # literally, once you have read it there
values:
  - claim: adds_up
    label: two paths over one
    metric: goodput
    value: 1.9
    relative_to: tcp
    where: figure 1
    read: secondary
    experiment: example
    stacks: [mptcp]
figures:
  - {title: Goodput by stack, form: bars, experiment: example, metric: goodput}
""",
    "example.yaml": """\
# What the experiment asks, in a sentence.
description: 2 MB over two paths of 8 Mbit/s
topology:
  nodes: {client: {}, server: {}}
  links:
    one: {between: [client, server], netem: {rate: 8mbit, delay: 10ms}}
    two: {between: [client, server], netem: {rate: 8mbit, delay: 10ms}}
# tcp and mptcp are the kernel's and run in the first of these machines; ours are simulated.
machines: [uml:7.3+virtual-time]
stacks: [tcp, mptcp, userspace-tcp, userspace]
workload: {kind: bulk, from: client, to: server, size: 2MB}
repetitions: 1
expect:
  - {claim: adds_up, metric: goodput, stack: mptcp, relative_to: tcp, at_least: 1.5}
  - {claim: adds_up, metric: goodput, stack: userspace, relative_to: userspace-tcp, at_least: 1.5}
""",
}


def new(name: str, root: Path) -> list[Path]:
    """Write the folder of a new publication, and return its files.

    :raises InputError: the name is invalid, the folder exists already, or it cannot be written.
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name!r} is not a valid name", hint="use letters, digits, - and _, as in lim2017"
        )
    folder = root / name
    try:
        folder.mkdir(parents=True)
        for file, text in _FILES.items():
            (folder / file).write_text(text, encoding="utf-8")
    except FileExistsError:
        raise InputError(f"{folder} exists already", hint="choose another name") from None
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}") from error
    return [folder / file for file in _FILES]
