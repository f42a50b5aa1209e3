"""``testbed import``: networks in the formats of other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from testbed.cli.helptext import of as help_of
from testbed.cli.options import Json, Output
from testbed.cli.output import print_json, write_new
from testbed.text import clean

if TYPE_CHECKING:
    from testbed.interchange.imports import Imported

application = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="""Convert networks of other programs to topologies.

    Parts without a counterpart are named in notes, on standard error and at the top of the file.

    \b
        testbed import mininet net.py -o topology.yaml
        testbed check topology.yaml
    """,
)
Force = Annotated[bool, typer.Option("--force", help="Overwrite the file if it is there.")]


def mininet(
    script: Annotated[
        str, typer.Argument(metavar="FILE.py[:TOPO]", help="A script, and a topology in it.")
    ],
    output: Output = None,
    force: Force = False,
    limit: Annotated[
        float,
        typer.Option("--timeout", min=1, metavar="SECONDS", help="Longest run time of the script."),
    ] = 60,
    json: Json = False,
) -> None:
    """Read the network that a Mininet script builds.

    The script runs in a process of its own. Mininet need not be installed: modules of testbed
    replace it. Programs that the script starts are noted, but do not run. The script cannot write
    files or open connections. :TOPO chooses a topology: a subclass of Topo, or a key of `topos`. If
    commands of hosts set addresses, sysctls, tc shaping or MPTCP endpoints, the topology has these
    too.

    Examples:

        testbed import mininet net.py > topology.yaml
        testbed import mininet custom.py:mytopo -o topology.yaml
    """
    from testbed.interchange import mininet as format_

    path, name = _named(script)
    deliver(format_.read(path, name, limit_s=limit), output, force=force, json=json)


def _named(script: str) -> tuple[Path, str | None]:
    """Return the file and the topology of FILE.py[:TOPO]. A file's name may contain colons.

    :raises InputError: the name of one of the two is empty.
    """
    from testbed.errors import InputError

    file, colon, topology = script.rpartition(":")
    if not colon or Path(script).exists():
        return Path(script), None
    if not topology or not file:
        lacking = "file" if topology else "topology"
        raise InputError(
            f"there is no name of a {lacking} at the ':'",
            file=script,
            hint="write FILE.py or FILE.py:TOPO",
        )
    return Path(file), topology


def minitopo(
    file: Annotated[Path, typer.Argument(metavar="TOPO", help="minitopo's topology file.")],
    experiment: Annotated[
        Path | None, typer.Argument(metavar="[XP]", help="The experiment file that goes with it.")
    ] = None,
    output: Output = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """Read minitopo's topology and experiment files.

    A topology of the type MultiIf becomes a client, a router and a server. With an experiment file
    the output is an experiment that contains the topology. Experiments of the types nc, http,
    https, sendfile and iperf have a counterpart.

    Examples:

        testbed import minitopo topo > topology.yaml
        testbed import minitopo topo xp -o experiment.yaml
    """
    from testbed.interchange import minitopo as format_

    deliver(format_.read(file, experiment), output, force=force, json=json)


Hosts = Annotated[
    str | None,
    typer.Option(metavar="PLACE,...", help="Places that have a host; default: all."),
]
Rate = Annotated[str | None, typer.Option(help="Rate of links whose speed is not in the file.")]
Graphml = Annotated[Path, typer.Argument(metavar="FILE.graphml", help="The network.")]
Matrix = Annotated[
    Path,
    typer.Argument(metavar="FILE.csv", help="Names in the first row and column, times in ms."),
]


def topology_zoo(
    file: Graphml,
    output: Output = None,
    force: Force = False,
    hosts: Hosts = None,
    rate: Rate = None,
    divide: Annotated[
        float, typer.Option(min=1e-6, help="Divide the speeds in the file by this.")
    ] = 1.0,
    delay: Annotated[str, typer.Option(help="One-way delay of links without coordinates.")] = "1ms",
    json: Json = False,
) -> None:
    """Read a network of the Internet Topology Zoo.

    Each place becomes a router, with a host h-PLACE. The delay of a link is that of light in fibre
    along the great circle.

    Examples:

        testbed import topology-zoo Abilene.graphml --divide 1000 -o abilene.yaml
        testbed import topology-zoo Kdl.graphml --hosts Lexington,Louisville --rate 100mbit
    """
    from testbed.document import read_text
    from testbed.interchange import public_topologies as format_
    from testbed.units import parse_rate, parse_time

    choices = format_.Choices(
        hosts=tuple(filter(None, (hosts or "").split(","))),
        rate=None if rate is None else parse_rate(rate),
        divide=divide,
        delay_ns=parse_time(delay),
    )
    graph = format_.read_topology_zoo(read_text(file), str(file))
    made = format_.imported(graph, choices, file.name, "Topology Zoo")
    deliver(made, output, force=force, json=json)


def rtt_matrix(
    file: Matrix,
    output: Output = None,
    force: Force = False,
    hosts: Hosts = None,
    rate: Rate = None,
    json: Json = False,
) -> None:
    """Read a matrix of round-trip times between places.

    Each place becomes a router, with a host h-PLACE. Each pair becomes a link with half the time in
    each direction. If a pair has two times, the link has their mean.

    Examples:

        testbed import rtt-matrix cities.csv --rate 50mbit -o cities.yaml
    """
    from testbed.document import read_text
    from testbed.interchange import public_topologies as format_
    from testbed.units import parse_rate

    choices = format_.Choices(
        hosts=tuple(filter(None, (hosts or "").split(","))),
        rate=None if rate is None else parse_rate(rate),
    )
    graph = format_.read_rtt_matrix(read_text(file), str(file))
    deliver(format_.imported(graph, choices, file.name, "RTT"), output, force=force, json=json)


def deliver(found: Imported, output: Path | None, *, force: bool, json: bool) -> None:
    """Write the result of a format's reader, and print a note for each unsupported feature.

    :param output: the output file; by default standard output.
    :param force: whether to overwrite the file.
    :param json: whether to print one JSON document: the data and the notes.
    :raises InputError: the file exists, or the topology cannot be built. In the second case it is
        written nevertheless, to be corrected.
    """
    if output is not None:
        write_new(output, found.text(), force=force)
    if json:
        print_json({"kind": found.kind, "data": found.data, "notes": found.notes})
    elif output is None:
        typer.echo(found.text(), nl=False)
    for note in found.notes:
        typer.echo(clean(f"note: {note}"), err=True)
    found.check()


for _function in (mininet, minitopo, topology_zoo, rtt_matrix):
    application.command(_function.__name__.replace("_", "-"), help=help_of(_function))(_function)
