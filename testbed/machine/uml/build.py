"""Builds a user-mode Linux. :mod:`testbed.machine.uml.builds` describes the folders.

A build continues an interrupted one: the sources appear complete or not at all, and make(1) removes
unfinished files when SIGTERM ends it.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from testbed.errors import InputError, MachineError, PlatformError
from testbed.machine import packages
from testbed.machine.uml import builds
from testbed.machine.uml.builds import DEBIAN, OBJECTS, SOURCE, Build
from testbed.machine.uml.maker import Maker, Watcher, making

_SOURCE: Final = "linux-source-"  # the prefix of the package names
_TOOLS: Final = {"gcc": "gcc", "make": "make", "flex": "flex", "bison": "bison", "bc": "bc"}
# These options are required. A version may lack other options of the fragment.
_REQUIRED: Final = frozenset(
    f"CONFIG_{name}=y"
    for name in ("HOSTFS", "OVERLAY_FS", "NET_NS", "VETH", "NET_SCH_NETEM", "MPTCP", "MPTCP_IPV6")
)
# No path, person or date of the build: so the same sources give the same kernel. Also, the kernel's
# version string is a source of its entropy.
_REPRODUCIBLE: Final = (
    *("KBUILD_BUILD_USER=testbed", "KBUILD_BUILD_HOST=testbed", "KBUILD_BUILD_VERSION=1"),
    *("KBUILD_BUILD_TIMESTAMP=1970-01-01", "LOCALVERSION="),
)


def build(source: str, watcher: Watcher) -> Build:
    """Build a kernel, or return the existing build.

    :param source: ``debian:7.3``, or the path of a kernel source tree.
    :raises InputError: the source is invalid.
    :raises PlatformError: a tool is missing, the disk is full, or Debian's packages cannot be
        reached.
    :raises MachineError: the build fails.
    """
    if source.startswith(DEBIAN):
        return _build_debian(source, watcher)
    return _build_tree(Path(source), watcher)


def _build_debian(source: str, watcher: Watcher) -> Build:
    version = source.removeprefix(DEBIAN)
    if found := builds.find(version):
        return _completed(found, watcher)
    _check_tools()
    directory = builds.folder(f"debian-{version}-{builds.configuration()}")
    package = f"{_SOURCE}{version}"
    if builds.unfinished(directory) is None:
        _check_package(package)
    with making(directory, watcher) as maker:
        if found := builds.find(version):  # another process has built it
            return found
        tree = directory / SOURCE / package
        if builds.unfinished(directory) is None or not tree.is_dir():
            _unpack(package, maker)
        result = _make(source, tree, maker)
        for name in (SOURCE, OBJECTS):
            shutil.rmtree(directory / name)
        return result


def _build_tree(tree: Path, watcher: Watcher) -> Build:
    if not (tree / "arch" / "um" / "Kconfig").is_file():
        raise InputError(
            f"{tree} is not a Linux source tree: it has no arch/um",
            hint="give one, or debian:VERSION",
        )
    _check_tools()
    tree = tree.resolve()
    with making(builds.of_tree(tree), watcher) as maker:
        return _make(str(tree), tree, maker)


def _check_package(package: str) -> None:
    known = packages.search(rf"{_SOURCE}\d+(\.\d+)+")
    if package not in known:
        raise InputError(
            f"Debian has no source of Linux {package.removeprefix(_SOURCE)!r}",
            hint=f"available: {', '.join(it.removeprefix(_SOURCE) for it in known)}",
        )


def _unpack(package: str, maker: Maker) -> None:
    """Fetch and unpack a source package. The folder ``source`` only appears when it is complete."""
    maker.watcher.step(f"fetching and unpacking {package}")
    fetched, scratch = (maker.directory / name for name in ("package", "unpacking"))
    for old in (fetched, scratch, maker.directory / SOURCE, maker.directory / OBJECTS):
        shutil.rmtree(old, ignore_errors=True)
    packages.unpack([package], fetched)
    scratch.mkdir()
    maker.run(["tar", "-C", str(scratch), "-xJf", f"{fetched}/usr/src/{package}.tar.xz"])
    scratch.rename(maker.directory / SOURCE)  # always the same name, for ccache
    shutil.rmtree(fetched)


def _make(source: str, tree: Path, maker: Maker) -> Build:
    """Configure and compile."""
    result = Build(
        source=source,
        version=builds.version(tree),
        configuration=builds.configuration(),
        directory=str(maker.directory),
    )
    result.begin()
    objects = maker.directory / OBJECTS
    objects.mkdir(exist_ok=True)
    make = ["nice", "make", "-C", str(tree), "ARCH=um", f"O={objects}", *_REPRODUCIBLE]
    if shutil.which("ccache"):
        make.append("CC=ccache gcc")
    maker.watcher.step(f"configuring Linux {result.version}")
    maker.run([*make, f"KCONFIG_ALLCONFIG={builds.FRAGMENT}", "allnoconfig"])
    _check_configuration(objects / ".config", result.version)
    maker.compile([*make, f"-j{len(os.sched_getaffinity(0))}", "linux"], objects)
    maker.run(["strip", "-o", str(result.linux), str(objects / "linux")])
    _compile_library(builds.ENTROPY, result.entropy, maker)
    _compile_library(builds.REGSET, result.regset, maker)
    result.finish()
    return result


def _completed(found: Build, watcher: Watcher) -> Build:
    """Add the files that a build of an older testbed lacks."""
    if not found.regset.exists():
        _check_tools()
        with making(Path(found.directory), watcher) as maker:
            _compile_library(builds.REGSET, found.regset, maker)
    return found


def _compile_library(source: Path, target: Path, maker: Maker) -> None:
    draft = target.with_suffix(".new")
    maker.run(["gcc", "-O2", "-shared", "-fPIC", "-o", str(draft), str(source)])
    draft.rename(target)


def _check_configuration(path: Path, version: str) -> None:
    missing = sorted(_REQUIRED - set(path.read_text().splitlines()))
    if missing:
        raise MachineError(
            f"Linux {version} cannot be built with {', '.join(missing)}",
            hint="use version 6.1 or later",
        )


def _check_tools() -> None:
    missing = [package for tool, package in _TOOLS.items() if shutil.which(tool) is None]
    if missing:
        raise PlatformError(
            f"not installed: {', '.join(missing)}",
            why="a user-mode Linux is built from source",
            instead=f"apt install {' '.join(missing)}",
        )
