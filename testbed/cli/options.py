"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

from testbed.cli import completion

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document for programs.")]
Sandbox = Annotated[
    str, typer.Argument(help="A running sandbox.", autocompletion=completion.sandboxes)
]
Node = Annotated[
    str, typer.Argument(help="One of its nodes, or @wire.", autocompletion=completion.nodes)
]
