"""The path managers by name. A new one needs a module and a line here.

Another package adds one by an entry point. A program may register one in :data:`PATH_MANAGERS`
before it creates an endpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from testbed.registry import Registry, making
from testbed.stack.mptcp.path_manager.base import PathEndpoint, PathLimits, PathManager
from testbed.stack.mptcp.path_manager.command import Commanded
from testbed.stack.mptcp.path_manager.fullmesh import FullMesh
from testbed.stack.mptcp.path_manager.kernel_like import KernelLike
from testbed.stack.mptcp.path_manager.ndiffports import DifferentPorts

PATH_MANAGERS: Final[Registry[Callable[[Sequence[PathEndpoint], PathLimits], PathManager]]] = (
    Registry(
        "path manager",
        "testbed.path_managers",
        {
            "command": Commanded,
            "fullmesh": FullMesh,
            "kernel_like": KernelLike,
            "ndiffports": DifferentPorts,
        },
        making("path manager", PathManager),
    )
)
