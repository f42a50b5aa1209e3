"""Path managers, by name.  Adding one is adding a module and a line here.

Programs may register further ones (:data:`PATH_MANAGERS`) before they make an endpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from testbed.stack.mptcp.path_manager.base import PathEndpoint, PathLimits, PathManager
from testbed.stack.mptcp.path_manager.fullmesh import FullMesh
from testbed.stack.mptcp.path_manager.kernel_like import KernelLike
from testbed.stack.registry import Registry

PATH_MANAGERS: Final[Registry[Callable[[Sequence[PathEndpoint], PathLimits], PathManager]]] = (
    Registry("path manager", {"fullmesh": FullMesh, "kernel_like": KernelLike})
)
