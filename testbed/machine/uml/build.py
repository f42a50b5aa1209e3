"""Building a user-mode Linux, and finding those that were built.

One folder of the cache for each::

    linux        the kernel, a program
    entropy.so   getrandom() for virtual time
    build.json   what it was built from
    build.log    what make said, or says
    objects/     of a source tree, so that the next build is quick

Nothing is done twice: the folder of a Debian version is named after it and the configuration, that
of a source tree after its path, and make finds out what has changed there.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from testbed.errors import InputError, MachineError, PlatformError
from testbed.machine import cache, packages

FRAGMENT: Final = Path(__file__).parent / "kernel.config"
ENTROPY: Final = Path(__file__).parent / "entropy.c"
DEBIAN: Final = "debian:"
_SOURCE: Final = "linux-source-"  # how the packages are called
_TOOLS: Final = {"gcc": "gcc", "make": "make", "flex": "flex", "bison": "bison", "bc": "bc"}
# Without these nothing would work; the rest of the fragment may be unknown to a version.
_REQUIRED: Final = frozenset(
    f"CONFIG_{name}=y"
    for name in ("HOSTFS", "OVERLAY_FS", "NET_NS", "VETH", "NET_SCH_NETEM", "MPTCP", "MPTCP_IPV6")
)

# No path, person or date of where it was built: the same sources give the same kernel, and what it
# calls itself is a source of its entropy.
_REPRODUCIBLE: Final = (
    *("KBUILD_BUILD_USER=testbed", "KBUILD_BUILD_HOST=testbed", "KBUILD_BUILD_VERSION=1"),
    *("KBUILD_BUILD_TIMESTAMP=1970-01-01", "LOCALVERSION="),
)

_NOT_FOR_MAKE: Final = frozenset(
    ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "ARCH", "CROSS_COMPILE", "KCONFIG_CONFIG")
)

Say = Callable[[str], None]


class Build(msgspec.Struct, frozen=True, kw_only=True):
    """A kernel that was built.

    :param source: ``debian:7.3`` or the path of a tree.
    :param version: of the sources: ``7.3.4``, of a git tree also its commit and changes.
    :param configuration: digest of the fragment it was built with.
    :param directory: its folder.
    """

    source: str
    version: str
    configuration: str
    directory: str

    @property
    def linux(self) -> Path:
        """The kernel."""
        return Path(self.directory, "linux")

    @property
    def entropy(self) -> Path:
        """The library to preload in virtual time."""
        return Path(self.directory, "entropy.so")

    @property
    def stale(self) -> bool:
        """Whether its tree, or the configuration, is no longer what it was built from."""
        if self.configuration != configuration():
            return True
        if self.source.startswith(DEBIAN):
            return False
        return _state(Path(self.source)) != self.version

    @property
    def abandoned(self) -> bool:
        """Whether nothing will use it again: its tree is gone, or it is Debian's, built otherwise.

        What was built from a tree that is still there serves the next build.
        """
        if self.source.startswith(DEBIAN):
            return self.configuration != configuration()
        return not Path(self.source).is_dir()

    def remove(self) -> int:
        """Remove its folder, and return how many octets that frees."""
        directory = Path(self.directory)
        with _locked(directory):
            size = sum(path.lstat().st_size for path in directory.rglob("*") if not path.is_dir())
            shutil.rmtree(directory)
        return size


def built() -> list[Build]:
    """Return what was built, by name, whether or not it is still of use."""
    found = []
    for path in sorted(cache.folder("uml").glob("*/build.json")):
        with contextlib.suppress(OSError, msgspec.DecodeError):  # another version's
            found.append(msgspec.json.decode(path.read_bytes(), type=Build))
    return [build for build in found if build.linux.is_file()]


def find(kernel: str) -> Build | None:
    """Return the build that a user calls ``7.3``, or by the path of its source tree."""
    if "/" in kernel:
        source = str(Path(kernel).resolve())
        return next((it for it in built() if it.source == source), None)
    fitting = [it for it in built() if it.source == DEBIAN + kernel and not it.stale]
    return fitting[-1] if fitting else None


def build(source: str, say: Say = lambda _: None) -> Build:
    """Build a kernel, or just find that it is built.

    :param source: ``debian:7.3``, or the path of a kernel source tree.
    :param say: is told what is being done.
    :raises InputError: that is no source.
    :raises PlatformError: a tool is missing, or Debian's packages cannot be reached.
    :raises MachineError: it does not build.
    """
    if source.startswith(DEBIAN):
        return _build_debian(source, say)
    return _build_tree(Path(source), say)


def configuration() -> str:
    """Return the digest of what, beside the sources, decides what is built."""
    return hashlib.sha256(FRAGMENT.read_bytes() + ENTROPY.read_bytes()).hexdigest()[:12]


def _build_debian(source: str, say: Say) -> Build:
    version = source.removeprefix(DEBIAN)
    name = f"{_SOURCE}{version}"
    found = find(version)
    if found is not None:
        return found
    if name not in (known := packages.search(rf"{_SOURCE}\d+(\.\d+)+")):
        raise InputError(
            f"Debian has no source of Linux {version!r}",
            hint=f"there are {', '.join(it.removeprefix(_SOURCE) for it in known)}",
        )
    _check_tools()
    directory = cache.folder("uml", f"debian-{version}-{configuration()}")
    with _locked(directory):
        if found := find(version):  # another process was building it
            return found
        scratch = directory / "source"  # always of this name, for ccache
        shutil.rmtree(scratch, ignore_errors=True)
        say(f"fetching and unpacking {name}")
        packages.unpack([name], scratch)
        with _log(directory) as log:
            _run(["tar", "-C", str(scratch), "-xJf", f"{scratch}/usr/src/{name}.tar.xz"], log)
        result = _make(source, scratch / name, directory, say)
        shutil.rmtree(scratch)
        shutil.rmtree(directory / "objects")
        return result


def _build_tree(tree: Path, say: Say) -> Build:
    if not (tree / "arch" / "um" / "Kconfig").is_file():
        raise InputError(
            f"{tree} is no Linux source tree: it has no arch/um",
            hint="name one, or debian:VERSION",
        )
    _check_tools()
    tree = tree.resolve()
    directory = cache.folder("uml", f"tree-{hashlib.sha256(bytes(tree)).hexdigest()[:12]}")
    with _locked(directory):
        return _make(str(tree), tree, directory, say)


def _state(tree: Path) -> str:
    """Return a source tree's version and, if git(1) knows it, its commit and changes."""
    version = "?"
    with contextlib.suppress(OSError):
        numbers = re.findall(
            r"^(?:VERSION|PATCHLEVEL|SUBLEVEL) = (\d+)$",
            (tree / "Makefile").read_text(),
            re.MULTILINE,
        )
        version = ".".join(numbers)
    commit = _git(tree, "rev-parse", "--short=12", "HEAD")
    if commit is None:
        return version
    changes = _git(tree, "diff", "HEAD")
    if changes:
        digest = hashlib.sha256(changes.encode()).hexdigest()[:8]
        return f"{version}-g{commit}-dirty-{digest}"
    return f"{version}-g{commit}"


def _git(tree: Path, *arguments: str) -> str | None:
    if not (tree / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "-C", str(tree), *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _make(source: str, tree: Path, directory: Path, say: Say) -> Build:
    """Configure, compile, and write ``build.json`` last."""
    version = _state(tree)
    result = Build(
        source=source, version=version, configuration=configuration(), directory=str(directory)
    )
    objects = directory / "objects"
    objects.mkdir(exist_ok=True)
    (directory / "build.json").unlink(missing_ok=True)
    make = ["nice", "make", "-C", str(tree), "ARCH=um", f"O={objects}", *_REPRODUCIBLE]
    if shutil.which("ccache"):
        make.append("CC=ccache gcc")
    jobs = len(os.sched_getaffinity(0))
    with _log(directory) as log:
        say(f"configuring Linux {version}")
        _run([*make, f"KCONFIG_ALLCONFIG={FRAGMENT}", "allnoconfig"], log)
        _check_configuration(objects / ".config", version)
        say(f"compiling, some minutes on {jobs} cores; see {log.name}")
        _run([*make, f"-j{jobs}", "linux"], log)
        _run(["strip", "-o", str(result.linux), str(objects / "linux")], log)
        _run(["gcc", "-O2", "-shared", "-fPIC", "-o", str(result.entropy), str(ENTROPY)], log)
    (directory / "build.json").write_bytes(msgspec.json.encode(result))
    return result


def _log(directory: Path) -> BinaryIO:
    return (directory / "build.log").open("wb")


def _run(argv: Sequence[str], log: BinaryIO) -> None:
    done = subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        env=_environment(Path(log.name).parent),
        check=False,
    )
    if done.returncode != 0:
        lines = Path(log.name).read_text(errors="replace").splitlines()
        raise MachineError(
            f"the kernel was not built: {' | '.join(lines[-3:]) or argv[0]}",
            hint=f"all of it is in {log.name}",
        )


def _environment(directory: Path) -> dict[str, str]:
    """Return ours without what make(1) would take for its own."""
    environment = {name: it for name, it in os.environ.items() if name not in _NOT_FOR_MAKE}
    # What was compiled in another folder of the cache counts as compiled.
    return environment | {"CCACHE_BASEDIR": str(directory), "CCACHE_NOHASHDIR": "1"}


def _check_configuration(path: Path, version: str) -> None:
    missing = sorted(_REQUIRED - set(path.read_text().splitlines()))
    if missing:
        raise MachineError(
            f"Linux {version} cannot be built with {', '.join(missing)}",
            hint="take a version from 6.1 on",
        )


def _check_tools() -> None:
    missing = [package for tool, package in _TOOLS.items() if shutil.which(tool) is None]
    if missing:
        raise PlatformError(
            f"there is no {', '.join(missing)}",
            why="a user-mode Linux is built from source",
            instead=f"apt install {' '.join(missing)}",
        )


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Make the folder, and wait while another process builds in it."""
    directory.mkdir(parents=True, exist_ok=True)
    lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
