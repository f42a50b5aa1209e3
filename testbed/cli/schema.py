"""``testbed schema``: the JSON Schema of a kind of file."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from testbed.cli.output import print_json


class Document(StrEnum):
    """The files that have a schema."""

    TOPOLOGY = "topology"
    EXPERIMENT = "experiment"
    PAPER = "paper"
    PAGE = "page"


def command(
    document: Annotated[Document, typer.Argument(help="The kind of file.")] = Document.TOPOLOGY,
) -> None:
    """Print the JSON Schema of a kind of file.

    Editors use it to complete and check YAML: with the YAML language server, begin a file with
    ``# yaml-language-server: $schema=topology.schema.json``.

    Examples:

        testbed schema > topology.schema.json
        testbed schema experiment > experiment.schema.json
        testbed schema paper > paper.schema.json
        testbed schema page > page.schema.json
    """
    from testbed.experiment import schema
    from testbed.papers.schema import paper

    schemas = {
        Document.TOPOLOGY: schema.topology,
        Document.EXPERIMENT: schema.experiment,
        Document.PAPER: paper,
        Document.PAGE: schema.page,
    }
    print_json(schemas[document]())
