"""The kernel's MIB counters by their names in nstat(8), such as ``MPTcpExtMPJoinSynAckRx``.

A file belongs to the network namespace of the thread that opens it (proc_net(5)). An open file can
be read again from its start at any time, from any namespace.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

FILES: Final = ("snmp", "netstat", "snmp6")  # below /proc/thread-self/net

# Programs on our own stack report its counters to an abstract socket (unix(7)), which
# belongs to the network namespace of a node.
OWN: Final = "\0testbed/counters"


class OwnCounters(msgspec.Struct, frozen=True, kw_only=True):
    """The counters of one program.

    :param source: an identifier of the program.
    :param over: whether these are the final values.
    """

    source: str
    values: dict[str, int]
    over: bool


def parse(text: str) -> dict[str, int]:
    """Parse the text of one of :data:`FILES`.

    ``snmp`` and ``netstat`` have pairs of lines, with names and with values. Each line begins with
    the name of a group. ``snmp6`` has a name and a value on each line.
    """
    return dict(_pairs(text) if ":" in text.partition("\n")[0] else _single(text))


def _pairs(text: str) -> Iterator[tuple[str, int]]:
    lines = text.splitlines()
    for names, values in zip(lines[::2], lines[1::2], strict=False):
        group, _, rest = names.partition(":")
        for name, value in zip(rest.split(), values.split()[1:], strict=True):
            yield group + name, int(value)


def _single(text: str) -> Iterator[tuple[str, int]]:
    for line in text.splitlines():
        name, value = line.split()
        yield name, int(value)
