"""The probes: each module here defines one as ``PROBE``, under the module's name.

Adding one is adding one module.  Its records are subclasses of
:class:`~testbed.records.Record` whose tag is that name.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping

from testbed.errors import InputError
from testbed.probe.nodes import Nodes
from testbed.records import Record


class Probe:
    """Something that measures nodes, in the sampler's process.

    ``start`` and ``stop`` are called once, ``sample`` at every interval and once more at the end,
    before ``stop``.  All run in one thread: what takes long delays the others.

    :param nodes: the nodes to look at.
    :param options: this probe's part of the job.
    """

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


def names() -> tuple[str, ...]:
    """Return the names of all probes the sampler has."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def probe(name: str) -> type[Probe]:
    """Return the class of the probe of that name.

    :raises InputError: there is none.
    """
    if name not in names():
        raise InputError(f"unknown probe {name!r}", hint=f"there are: {', '.join(names())}")
    found: type[Probe] = importlib.import_module(f"{__name__}.{name}").PROBE
    return found
