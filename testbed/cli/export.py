"""``testbed export``: topologies in the formats of other programs."""

from __future__ import annotations

import typer

from testbed.cli.helptext import of as help_of
from testbed.cli.import_ import Force
from testbed.cli.options import Json, Output, TopologyFile
from testbed.cli.output import print_json, write_new
from testbed.text import clean

application = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="""Write topologies for other programs.

    Parts without a counterpart are named in notes on standard error.

    \b
        testbed export mininet topologies/two_paths.yaml -o net.py
        sudo python3 net.py
    """,
)


def mininet(
    file: TopologyFile,
    output: Output = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """Write a topology as a script for Mininet.

    The script defines a Topo, and gives the hosts the addresses, routes, rules, sysctls and MPTCP
    endpoints that `testbed plan` shows. Run without Mininet's mn, it opens Mininet's prompt.

    Examples:

        testbed export mininet topologies/two_paths.yaml > net.py
        testbed export mininet wifi_lte -o net.py
    """
    from testbed.interchange.mininet import write
    from testbed.shipped import TOPOLOGIES, located
    from testbed.topology.load import load_topology
    from testbed.topology.resolve import resolve

    path = located(file, TOPOLOGIES)
    written = load_topology(path)
    with written.placing(""):
        exported = write(resolve(written), str(path))
    if output is not None:
        write_new(output, exported.text, force=force)
    if json:
        print_json({"script": exported.text, "notes": exported.notes})
    elif output is None:
        typer.echo(exported.text, nl=False)
    for note in exported.notes:
        typer.echo(clean(f"note: {note}"), err=True)


for _function in (mininet,):
    application.command(_function.__name__, help=help_of(_function))(_function)
