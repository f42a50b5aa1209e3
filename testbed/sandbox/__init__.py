"""The sandbox: the private namespaces of a topology, and the operations in them.

A client (:class:`Sandbox`, asyncio) talks to one *holder* process, which owns every namespace. The
sandbox changes nothing outside of them. When the holder ends for any reason, the kernel cleans up.
"""

from testbed.sandbox.client import Process, Sandbox, nursery
from testbed.sandbox.model import Changed, Description, Execution, Exit, Feature
from testbed.sandbox.observation import NamespaceState, Observation

__all__ = [
    "Changed",
    "Description",
    "Execution",
    "Exit",
    "Feature",
    "NamespaceState",
    "Observation",
    "Process",
    "Sandbox",
    "nursery",
]
