"""The environment of results: the machine, the kernel and the software.

It contains no secrets: no environment variables, no host or user names.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import msgspec

from testbed import __version__, compiled
from testbed.results.model import SCHEMA

_PACKAGES: Final = ("msgspec", "pyyaml", "networkx", "numpy", "scipy")
_TOOLS: Final = {
    "ip": ("ip", "-V"),
    "iperf3": ("iperf3", "--version"),
    "tcpdump": ("tcpdump", "--version"),
    "mptcpize": ("mptcpize", "--version"),
}
MEMORY_STEP: Final = 64 * 1024**2
_OPTIONS: Final = (
    "CONFIG_MPTCP",
    "CONFIG_MPTCP_IPV6",
    "CONFIG_NET_SCH_NETEM",
    "CONFIG_HZ",
    "CONFIG_PREEMPT",
    "CONFIG_PREEMPT_DYNAMIC",
    "CONFIG_PREEMPT_VOLUNTARY",
)


class Kernel(msgspec.Struct, frozen=True, kw_only=True):
    """The values of ``uname``, and options of ``/proc/config.gz`` if that exists."""

    release: str
    version: str
    architecture: str
    config: dict[str, str] = {}


class Cpu(msgspec.Struct, frozen=True, kw_only=True):
    """The processors that this program may use."""

    model: str
    count: int


class Checkout(msgspec.Struct, frozen=True, kw_only=True):
    """The git checkout that testbed runs from; ``dirty``: whether it differs from the commit."""

    commit: str
    dirty: bool


class Software(msgspec.Struct, frozen=True, kw_only=True):
    """The versions of programs. A virtual machine has those of its host: they share the files."""

    testbed: str
    checkout: Checkout | None
    python: str
    packages: dict[str, str]
    tools: dict[str, str]


class Environment(Software, frozen=True, kw_only=True):
    """``environment.json``.

    :param machine: where the runs take place. ``host`` is this kernel, a name such as ``qemu:6.1``
        a virtual machine, and ``sim`` a simulated network; then the other fields describe the
        computer that simulates.
    :param memory: octets, rounded up to a multiple of :data:`MEMORY_STEP`, as the kernel reserves a
        varying amount at its start.
    :param build: the build of our own stack and simulator: ``compiled``, or ``interpreted`` from
        the sources.
    :param plugins: the plug-ins of other packages that the runs used, with distribution and
        version, as in ``{"testbed.schedulers:mine": "package 1.0"}``.
    """

    schema: int = SCHEMA
    machine: str = "host"
    kernel: Kernel
    cpu: Cpu
    memory: int
    root: bool
    build: str = compiled.INTERPRETED
    plugins: dict[str, str] = {}

    def differences(self, other: Environment) -> list[str]:
        """Return each fact in which ``other`` differs, as ``fact: this, that``."""
        mine, theirs = msgspec.to_builtins(self), msgspec.to_builtins(other)
        return [line for name in mine for line in told(name, mine[name], theirs[name])]


def told(name: str, mine: Any, theirs: Any) -> Iterator[str]:
    """Yield ``path: this, that`` for every value that differs."""
    if mine == theirs:
        return
    if isinstance(mine, dict) and isinstance(theirs, dict):
        for key in dict.fromkeys([*mine, *theirs]):
            yield from told(f"{name}.{key}", mine.get(key), theirs.get(key))
    else:
        yield f"{name}: {_short(mine)}, {_short(theirs)}"


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def software() -> Software:
    """Return the versions of the programs."""
    return Software(
        testbed=__version__,
        checkout=_checkout(),
        python=platform.python_version(),
        packages={name: metadata.version(name) for name in _PACKAGES},
        tools=_tools(),
    )


def gather(
    machine: str = "host",
    known: Software | None = None,
    plugins: Mapping[str, str] = MappingProxyType({}),
) -> Environment:
    """Return the environment of this machine.

    :param machine: where the runs take place. ``host`` may itself be a virtual machine; then the
        testbed on its host passes the name in TESTBED_MACHINE.
    :param known: the versions found on the host: in emulation, programs start slowly.
    :param plugins: the plug-ins that the runs use.
    """
    if machine == "host":
        machine = os.environ.get("TESTBED_MACHINE", machine)
    return Environment(
        machine=machine,
        kernel=Kernel(
            release=platform.release(),
            version=platform.version(),
            architecture=platform.machine(),
            config=_kernel_config(),
        ),
        cpu=Cpu(model=_cpu_model(), count=_cpu_count()),
        memory=_memory(),
        root=os.geteuid() == 0,
        build=compiled.status().build,
        plugins=dict(plugins),
        **msgspec.structs.asdict(known or software()),
    )


def _memory() -> int:
    octets = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return -(-octets // MEMORY_STEP) * MEMORY_STEP


def _kernel_config() -> dict[str, str]:
    try:
        with gzip.open("/proc/config.gz", "rt") as file:
            lines = (line.rstrip().partition("=") for line in file)
            return {name: value for name, _, value in lines if name in _OPTIONS}
    except OSError:  # CONFIG_IKCONFIG_PROC is off
        return {}


def _cpu_count() -> int:
    if hasattr(os, "sched_getaffinity"):  # not on every system: a simulation needs no Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu_model() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.machine()  # not every architecture has the line


def _tools() -> dict[str, str]:
    return {
        name: (_output(argv) or "?").splitlines()[0]
        for name, argv in _TOOLS.items()
        if shutil.which(argv[0])
    }


def _checkout() -> Checkout | None:
    """Return the commit of our own source, and not that of the current directory."""
    source = Path(__file__).resolve().parents[2]
    if not (source / ".git").exists():
        return None
    commit = _output(("git", "-C", str(source), "rev-parse", "HEAD"))
    status = _output(("git", "-C", str(source), "status", "--porcelain"))
    return None if commit is None else Checkout(commit=commit, dirty=status is not None)


def _output(argv: tuple[str, ...]) -> str | None:
    """Return the output of a program, on either stream; ``None`` if it fails or prints nothing."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return (done.stdout or done.stderr).strip() or None
