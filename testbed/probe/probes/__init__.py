"""The probes, by name.

Adding one is adding one module, and its line in :data:`PROBES`; another package adds one by an
entry point.  What it writes is a subclass of :class:`~testbed.records.Record` whose tag is the name
of the probe.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Final

from testbed.errors import InputError
from testbed.probe.nodes import Nodes
from testbed.records import Record
from testbed.records.kinds import record_of
from testbed.registry import Registry


class Probe:
    """Something that measures nodes, in the sampler's process.

    ``start`` and ``stop`` are called once, ``sample`` at every interval and once more at the end,
    before ``stop``.  All run in one thread: what takes long delays the others.

    :cvar record: what it writes.
    :param nodes: the nodes to look at.
    :param options: this probe's part of the job.
    """

    record: ClassVar[type[Record]]

    def __init__(self, nodes: Nodes, options: Mapping[str, object]) -> None:
        if options:
            raise InputError(f"the probe takes no options, but is given {', '.join(options)}")
        self.nodes = nodes

    def start(self) -> Iterable[Record]:
        """Begin.

        :raises PlatformError: it cannot work here.
        """
        return ()

    def sample(self) -> Iterable[Record]:
        """Return how things are now."""
        return ()

    def stop(self) -> Iterable[Record]:
        """Clean up, and return what is left to say."""
        return ()

    def watched(self) -> Mapping[int, Callable[[], Iterable[Record]]]:
        """Return descriptors, and what to call when one can be read."""
        return {}


def _accept(name: str, found: Any) -> type[Probe]:
    if not isinstance(found, type) or not issubclass(found, Probe):
        raise TypeError(f"{found!r} is no subclass of Probe")
    record_of(name, found)  # what it writes can be read back
    return found


PROBES: Final[Registry[type[Probe]]] = Registry(
    "probe",
    "testbed.probes",
    {
        "cpu": "testbed.probe.probes.cpu:Cpu",
        "mptcp_info": "testbed.probe.probes.mptcp_info:MptcpInfo",
        "nstat": "testbed.probe.probes.nstat:Nstat",
        "pcap": "testbed.probe.probes.pcap:Pcap",
        "pm_events": "testbed.probe.probes.pm_events:PmEvents",
        "tcp_info": "testbed.probe.probes.tcp_info:TcpInfo",
    },
    _accept,
)
