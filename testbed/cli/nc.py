"""``testbed nc``: netcat over the userspace stack."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from testbed.cli import completion

Where = Annotated[
    list[str], typer.Argument(metavar="[HOST] PORT", help="HOST PORT, or -l [ADDRESS] PORT.")
]
Listen = Annotated[bool, typer.Option("-l", "--listen", help="Wait for one connection.")]
Ipv4 = Annotated[bool, typer.Option("-4", help="IPv4 only.")]
Ipv6 = Annotated[bool, typer.Option("-6", help="IPv6 only.")]
Sources = Annotated[
    list[str] | None,
    typer.Option(
        "-s", "--source", metavar="ADDR", help="Local address; give more of them for subflows."
    ),
]
Stack = Annotated[
    str,
    typer.Option(
        metavar="STACK",
        help="userspace (MPTCP) or userspace-tcp, with parameters as in experiments.",
        autocompletion=completion.our_stacks,
    ),
]
Wait = Annotated[
    float | None,
    typer.Option(
        "-w",
        "--wait",
        metavar="SECONDS",
        min=0.001,
        help="Give up if nothing happens for this time.",
    ),
]
Retry = Annotated[
    float,
    typer.Option(
        metavar="SECONDS",
        min=0,
        help="Try again for this time if the connection is refused.",
    ),
]
Pcap = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write all segments to a pcapng file."),
]
Trace = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write the path manager's events as JSON lines."),
]
Verbose = Annotated[
    bool, typer.Option("-v", "--verbose", help="Describe the connection on standard error.")
]


def command(
    where: Where,
    listen: Listen = False,
    ipv4: Ipv4 = False,
    ipv6: Ipv6 = False,
    source: Sources = None,
    stack: Stack = "userspace",
    wait: Wait = None,
    retry: Retry = 3.0,
    pcap: Pcap = None,
    trace: Trace = None,
    verbose: Verbose = False,
) -> None:
    """Be netcat over the userspace stack.

    It connects standard input and output to a TCP or MPTCP connection. It works in the current
    network namespace, beside the kernel's TCP. Without -s it takes the addresses for subflows from
    "ip mptcp endpoint", and the limits from "ip mptcp limits". Without parameters of the stack it
    takes two from the namespace: the congestion control, and whether DSS checksums are required
    ("net.mptcp.checksum_enabled"). The end of the input closes the sending side; the command ends
    when both sides are closed. If the input is a terminal, it also ends when the peer closes its
    side. A process in the background does not read a terminal.

    With --stack "userspace(device=tun0)" the stack has addresses of its own: the peer addresses of
    tun0 ("ip address add ADDRESS peer OURS dev tun0"). It then needs no packet sockets, but tun0
    must belong to this user ("ip tuntap add dev tun0 mode tun user USER").

    Exit codes: 0 both sides closed in order; 1 the connection failed, -w ran out, or FILE could
    not be written to the end; 2 bad input; 4 this process may not open packet sockets, or may not
    use the TUN interface; 130 interrupted or terminated.

    Examples:

        testbed exec lab server -- testbed nc -l 5001 > file
        testbed exec lab client -- testbed nc -v 10.0.1.2 5001 < file
        testbed nc --stack "userspace(scheduler=blest)" 10.0.1.2 5001
        testbed nc --stack "userspace(device=tun0)" 10.0.1.2 5001
        testbed nc -s 10.0.1.1 -s 10.0.2.1 --trace events.jsonl 10.0.1.2 5001
    """
    import asyncio

    from testbed.cli.ending import end_as_ctrl_c
    from testbed.host import netcat
    from testbed.workload.stacks.choice import ours
    from testbed.workload.stacks.userspace import of_netcat

    chosen = ours(stack)
    options = netcat.options(
        where,
        listen=listen,
        ipv4=ipv4,
        ipv6=ipv6,
        sources=tuple(source or ()),
        wait_s=wait,
        retry_s=retry,
        pcap=pcap,
        trace=trace,
        verbose=verbose,
    )
    end_as_ctrl_c()  # the kernel cannot close our connection: the peer would wait forever
    asyncio.run(netcat.run(options, of_netcat(chosen.kind, chosen.decoded)))
