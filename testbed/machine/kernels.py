"""Kernels to boot: from this host, a path, a build tree, or the distribution's packages."""

from __future__ import annotations

import os
import platform
import re
import struct
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from testbed.errors import InputError, PlatformError
from testbed.machine import cache, packages

RUNNING: Final = "running"
ARCHITECTURES: Final = {"x86_64": "amd64"}  # our name, and Debian's
_VERSION: Final = re.compile(r"\d+(\.\d+)+([-+.~\w]*)")
_PACKAGE: Final = re.compile(r"linux-image-\S+")
_SERIES: Final = re.compile(r"linux-image-(\d+\.\d+)")
# The flavours of Debian and Ubuntu, the smallest first.
_FLAVOURS: Final = ("cloud-amd64", "virtual", "generic", "amd64")
_IMAGES: Final = ("boot/vmlinuz-*", "usr/lib/modules/*/vmlinuz")
# Documentation/arch/x86/boot.rst
_BOOT_MAGIC: Final = (0x202, b"HdrS")
_RELEASE_POINTER: Final = 0x20E


class Kernel(msgspec.Struct, frozen=True, kw_only=True):
    """A bootable kernel.

    :param image: a bzImage.
    :param release: the release that ``uname -r`` prints.
    :param modules: its ``lib/modules/RELEASE``, or ``None`` if everything is built in.
    """

    image: Path
    release: str
    modules: Path | None


def check(name: str) -> None:
    """Check that a name can be that of a kernel.

    :raises InputError: the name has no valid form, or its path does not exist.
    """
    path = Path(name)
    if name == RUNNING or _VERSION.fullmatch(name) or _PACKAGE.fullmatch(name):
        return
    if "/" not in name:
        raise InputError(
            f"{name or 'nothing'!r} is not the name of a kernel",
            hint="write running, a version such as 6.1, a package linux-image-..., or a path",
        )
    if not path.exists():
        raise InputError(f"there is no kernel {name}")


def at_hand(name: str) -> Kernel | None:
    """Return a kernel, or ``None`` if it has to be fetched first.

    :raises InputError: the path is no kernel.
    :raises PlatformError: this host has no readable image of its running kernel, or the package
        has no modules.
    """
    if name == RUNNING:
        return _running()
    if "/" in name:
        return _at(Path(name).resolve())
    found = [path.name for path in cache.path("kernels").glob("linux-image-*")]
    matching = [package for package in found if re.fullmatch(_pattern(name), package)]
    return _unpacked(_preferred(matching)) if matching else None


def fetch(name: str) -> Kernel:
    """Return the newest kernel of a name in the package archives, from the cache if possible.

    :raises InputError: no package matches, or the name is that of the running kernel or a path.
    :raises PlatformError: the archives cannot be reached, or have no modules of the kernel.
    """
    if name == RUNNING or "/" in name:
        raise InputError(f"{name} cannot be fetched: it is not the name of a package or version")
    found = packages.search(_pattern(name))
    if not found:
        known = ", ".join(_series(packages.search(rf"linux-image-.*({'|'.join(_FLAVOURS)})")))
        raise InputError(f"no package has a kernel {name}", hint=f"available: {known}")
    package = _preferred(found)
    tree = cache.folder("kernels") / package
    if not tree.exists():
        release = package.removeprefix("linux-image-")
        packages.unpack(packages.needed(package, rf"linux-\w+-{re.escape(release)}"), tree)
    return _unpacked(package)


def has_module(kernel: Kernel, name: str) -> bool:
    """Return whether a kernel has a module. Without a module folder all are taken as built in."""
    if kernel.modules is None:
        return True
    lists = (kernel.modules / each for each in ("modules.dep", "modules.builtin"))
    lines = (line for each in lists if each.exists() for line in each.read_text().splitlines())
    paths = (line.partition(":")[0] for line in lines)
    return any(Path(path).name.partition(".ko")[0] == name for path in paths)


def cached() -> list[str]:
    """Return the versions of the fetched kernels, oldest first: ``6.1``."""
    return _series(path.name for path in cache.path("kernels").glob("linux-image-*"))


def release(image: Path) -> str:
    """Return the release that a bzImage states.

    :raises InputError: the file is no bzImage.
    """
    with image.open("rb") as file:
        start = file.read(0x8000)
    offset, magic = _BOOT_MAGIC
    if start[offset : offset + 4] != magic:
        raise InputError(
            f"{image} is not a bzImage", hint="give arch/x86/boot/bzImage of a build tree"
        )
    (pointer,) = struct.unpack_from("<H", start, _RELEASE_POINTER)
    text = start[pointer + 0x200 :].partition(b"\0")[0]
    return text.decode(errors="replace").partition(" ")[0]


def _pattern(name: str) -> str:
    """Return the pattern of package names: for ``6.1`` all packages of a 6.1 for this machine."""
    if _PACKAGE.fullmatch(name):
        return re.escape(name)
    flavours = "|".join(_FLAVOURS)
    return rf"linux-image-{re.escape(name)}(?!\d)[-+.~\w]*?-({flavours})"


def _series(names: Iterable[str]) -> list[str]:
    """Return the distinct versions of packages, oldest first: ``6.1``."""
    versions = {found[1] for name in names if (found := _SERIES.match(name))}
    return sorted(versions, key=packages.natural)


def _preferred(names: list[str]) -> str:
    """Return the newest package of the smallest flavour."""

    def rank(name: str) -> int:
        return next(i for i, flavour in enumerate((*_FLAVOURS, "")) if name.endswith(flavour))

    best = min(map(rank, names))
    return max((name for name in names if rank(name) == best), key=packages.natural)


def _unpacked(package: str) -> Kernel:
    tree = cache.folder("kernels") / package
    # Since 7.x the image is in the folder of its modules.
    image = next((path for it in _IMAGES for path in tree.glob(it)), None)
    if image is None:
        raise InputError(f"the package {package} contains no kernel")
    kernel = _at(image)
    if kernel.modules is None:
        raise PlatformError(
            f"{package} has no modules",
            why="the package archive has its image alone, and a guest needs modules to start",
            instead="name another version",
        )
    if not (kernel.modules / "modules.dep").exists():
        _index_modules(kernel.modules)
    return kernel


def _running() -> Kernel:
    image = Path("/boot", f"vmlinuz-{platform.release()}")
    if not os.access(image, os.R_OK):
        raise PlatformError(
            f"{image} is missing or not readable",
            why="the running kernel is not installed there, or only root may read it",
            instead="use another kernel, for example qemu:6.1",
        )
    return Kernel(image=image, release=platform.release(), modules=_modules(Path("/")))


def _at(path: Path) -> Kernel:
    if path.is_dir():
        return _built(path)
    name = release(path)
    for root in path.parents:
        for usr in (root, root / "usr"):
            modules = usr / "lib" / "modules" / name
            if modules.is_dir():
                return Kernel(image=path, release=name, modules=modules)
    return Kernel(image=path, release=name, modules=None)


def _modules(root: Path) -> Path | None:
    modules = root / "lib" / "modules" / platform.release()
    return modules if modules.is_dir() else None


def _built(tree: Path) -> Kernel:
    """Return the kernel of a build tree. Its modules are installed into the cache."""
    image = tree / "arch" / "x86" / "boot" / "bzImage"
    if not image.is_file():
        raise InputError(f"{tree} has no {image.relative_to(tree)}", hint="build it with make")
    name = release(image)
    if not (tree / "modules.order").exists():
        return Kernel(image=image, release=name, modules=None)
    into = cache.folder("modules") / f"{name}-{image.stat().st_mtime_ns:x}"
    if not into.exists():
        _make_modules(tree, into)
    return Kernel(image=image, release=name, modules=into / "lib" / "modules" / name)


def _make_modules(tree: Path, into: Path) -> None:
    paths = (f"INSTALL_MOD_PATH={into}", "INSTALL_MOD_STRIP=1")
    done = subprocess.run(
        ["make", "-C", str(tree), *paths, "modules_install"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip() or "no reason given").splitlines()[-1]
        raise InputError(f"the modules of {tree} cannot be installed: {last}")


def _index_modules(modules: Path) -> None:
    """Write modules.dep, which packages only write on installation."""
    try:
        subprocess.run(
            ["depmod", "-b", str(modules.parents[2]), modules.name],
            capture_output=True,
            check=True,
            env={"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"},
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise PlatformError(
            "depmod failed or is missing",
            why="it finds the modules that a guest loads first",
            instead="apt install kmod",
        ) from error
