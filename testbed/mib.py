"""The kernel's MIB counters by the names nstat(8) gives them: ``MPTcpExtMPJoinSynAckRx``.

The files are those of the network namespace of the thread that opens them (proc_net(5)); a file
that stays open can be read again from its start at any time, from any namespace.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

FILES: Final = ("snmp", "netstat", "snmp6")  # below /proc/thread-self/net

# Where programs on a stack of our own tell what it has counted: an abstract socket (unix(7)), which
# belongs to the network namespace of a node.
OWN: Final = "\0testbed/counters"


class OwnCounters(msgspec.Struct, frozen=True, kw_only=True):
    """What one program has counted so far.

    :param source: tells programs apart.
    :param over: nothing more will follow.
    """

    source: str
    values: dict[str, int]
    over: bool


def parse(text: str) -> dict[str, int]:
    """Read one of :data:`FILES`.

    ``snmp`` and ``netstat`` have pairs of lines, names and values, that begin with a group's name;
    ``snmp6`` has a name and a value on each line.
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
