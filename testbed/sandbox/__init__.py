"""The sandbox: a topology's own namespaces, and everything that is done in them.

A client (:class:`Sandbox`, asyncio) talks to one *holder* process, which owns every namespace.
Nothing outside is touched, and when the holder ends, however it ends, the kernel cleans up.
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
