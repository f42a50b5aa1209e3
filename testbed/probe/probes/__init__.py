"""The probes, by name.

To add one, add a module, and a line in :data:`PROBES`. Another package adds one by an entry point.
The records of a probe are of a subclass of :class:`~testbed.records.Record` whose tag is the name
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
    """A probe: it measures nodes, in the sampler's process.

    ``start`` and ``stop`` are called once, ``sample`` at every interval and once more at the end,
    before ``stop``. All probes run in one thread, so a slow one delays the others.

    :cvar record: the class of its records.
    :param nodes: the nodes to measure.
    :param options: this probe's part of the job.
    """

    record: ClassVar[type[Record]]

    def __init__(self, nodes: Nodes, options: Mapping[str, object]) -> None:
        if options:
            raise InputError(f"the probe takes no options, but got {', '.join(options)}")
        self.nodes = nodes

    def start(self) -> Iterable[Record]:
        """Start.

        :raises PlatformError: the probe cannot work on this system.
        """
        return ()

    def sample(self) -> Iterable[Record]:
        """Return a sample."""
        return ()

    def stop(self) -> Iterable[Record]:
        """Clean up, and return the last records."""
        return ()

    def watched(self) -> Mapping[int, Callable[[], Iterable[Record]]]:
        """Return descriptors, and a function for each to call when it is readable."""
        return {}


def _accept(name: str, found: Any) -> type[Probe]:
    if not isinstance(found, type) or not issubclass(found, Probe):
        raise TypeError(f"{found!r} is not a subclass of Probe")
    record_of(name, found)  # so that its records can be read
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
