"""``testbed endpoint``: add, delete or change MPTCP endpoints of a running sandbox."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import typer

from testbed.cli import completion, live
from testbed.cli.options import Json, Sandbox

if TYPE_CHECKING:
    from testbed.topology.present import AnyChange
    from testbed.topology.spec import EndpointSpec


Verb = Annotated[Literal["add", "del", "change"], typer.Argument(help="Add, delete or change it.")]
Which = Annotated[
    str,
    typer.Argument(
        help="An address, or an interface for all of its addresses; del and change also take"
        " the id of an endpoint.",
        autocompletion=completion.endpoints,
    ),
]
Flags = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[FLAG]...",
        help="add: subflow, signal, backup, fullmesh, laminar; change: [no]backup, [no]fullmesh.",
        autocompletion=completion.endpoint_flags,
    ),
]
Number = Annotated[
    int | None,
    typer.Option("--id", min=1, max=255, help="add: the id of the endpoint; default: a free one."),
]
Port = Annotated[
    int | None, typer.Option(min=1, max=65535, help="add: announce this port as well.")
]


def command(
    name: Sandbox,
    node: live.Host,
    verb: Verb,
    which: Which,
    flags: Flags = None,
    number: Number = None,
    port: Port = None,
    dry_run: live.DryRun = False,
    json: Json = False,
) -> None:
    """Add, delete or change MPTCP endpoints of a running sandbox.

    The words are those of ip-mptcp(8). Existing connections follow the change: they open and close
    subflows, announce and withdraw addresses, and tell their peers about backups (MP_PRIO).

    Examples:

        testbed endpoint lab client add wifi subflow backup
        testbed endpoint lab server add lte signal --port 6000
        testbed endpoint lab client change wifi backup
        testbed endpoint lab client change 2 nobackup fullmesh
        testbed endpoint lab client del 10.0.1.1
    """
    change = _change(node, verb, which, flags or [], number, port)
    live.carry_out(name, change, dry_run=dry_run, json=json)


def _change(
    node: str, verb: str, which: str, flags: list[str], number: int | None, port: int | None
) -> AnyChange:
    from testbed.errors import InputError
    from testbed.topology.present import GiveEndpoint, SetEndpoint, TakeEndpoint

    if verb == "add":
        return GiveEndpoint(node=node, endpoint=_endpoint(which, flags, number, port))
    if number is not None or port is not None:
        raise InputError(f"{verb} takes neither --id nor --port")
    if verb == "change":
        return SetEndpoint(node=node, which=which, **_toggled(flags))
    if flags:
        raise InputError(f"del takes no flags, but is given {' '.join(flags)}")
    return TakeEndpoint(node=node, which=which)


def _endpoint(which: str, flags: list[str], number: int | None, port: int | None) -> EndpointSpec:
    """Return the specification of a new endpoint. Raises InputError."""
    from testbed.errors import InputError
    from testbed.topology.spec import EndpointSpec, FlagName

    known = get_args(FlagName)
    for flag in flags:
        _check_flag(flag, known)
    if not flags:
        raise InputError("an endpoint needs a flag", hint=f"one of: {', '.join(known)}")
    chosen = [name for name in known if name in flags]
    named = {"address" if _is_address(which) else "interface": which}
    return EndpointSpec(flags=chosen, id=number, port=port, **named)


def _is_address(which: str) -> bool:
    import ipaddress

    try:
        ipaddress.ip_address(which)
    except ValueError:
        return False
    return True


def _toggled(flags: list[str]) -> dict[str, bool]:
    """Return the flags that ``[no]backup`` and ``[no]fullmesh`` change.  Raises InputError."""
    from testbed.errors import InputError

    known = completion.CHANGED_FLAGS
    found: dict[str, bool] = {}
    for flag in flags:
        _check_flag(flag, known)
        name = flag.removeprefix("no")
        if name in found:
            raise InputError(f"{name!r} is given twice")
        found[name] = flag == name
    if not found:
        raise InputError("there is no flag to change", hint=f"one of: {', '.join(known)}")
    return found


def _check_flag(flag: str, known: Sequence[str]) -> None:
    from testbed.errors import InputError
    from testbed.hints import nearest

    if flag not in known:
        raise InputError(f"there is no flag {flag!r}", hint=nearest(flag, known))
