"""The initramfs of a guest: busybox, the modules for access to the host's files, and the job.

The kernel unpacks it to memory and starts /init, which mounts the host's root and executes the
script of :mod:`testbed.machine.guest`.
"""

from __future__ import annotations

import lzma
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from testbed.errors import PlatformError
from testbed.machine.kernels import Kernel
from testbed.machine.qemu import cpio, ports

LOWER: Final = "/lower"
ROOT_TAG: Final = "root"  # the name of the virtiofs share with the host's root
_MODULES: Final = ("virtio_pci", "virtio_console", "virtiofs", "overlay")

_INIT: Final = f"""\
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
for module in /modules/*; do
    [ -e "$module" ] && insmod "$module"
done
{ports.LINK}
mount -t virtiofs -o ro {ROOT_TAG} {LOWER} || echo "testbed: the host's files cannot be mounted"
exec /bin/sh /job
"""


def build(kernel: Kernel, job: str) -> bytes:
    """Return the initramfs for one boot.

    :param job: the guest's script.
    :raises PlatformError: busybox is missing, or the kernel lacks a module.
    """
    names = ("bin", "dev", "proc", "sys", "tmp", "modules", LOWER.strip("/"))
    return cpio.archive(
        *map(cpio.directory, names),
        cpio.Entry(name="dev/console", mode=stat.S_IFCHR | 0o600, device=(5, 1)),
        cpio.file("bin/busybox", _busybox().read_bytes(), executable=True),
        *(
            cpio.file(f"modules/{number:03d}.ko", content)
            for number, content in enumerate(_modules(kernel))
        ),
        cpio.file("init", _INIT.encode(), executable=True),
        cpio.file("job", job.encode()),
    )


def _busybox() -> Path:
    found = shutil.which("busybox")
    if found is None:
        raise PlatformError(
            "busybox is missing",
            why="a guest starts with it",
            instead="apt install busybox-static",
        )
    return Path(found)


def _modules(kernel: Kernel) -> Iterator[bytes]:
    """Yield the uncompressed modules for insmod, in order."""
    if kernel.modules is None:
        return
    depends = dict(_dependencies(kernel.modules))
    built_in = {_name(line) for line in (kernel.modules / "modules.builtin").read_text().split()}
    paths = {_name(path): path for path in depends}
    wanted: dict[str, None] = {}
    for module in _MODULES:
        if module in built_in:
            continue
        if module not in paths:
            raise PlatformError(
                f"the kernel {kernel.release} has no module {module}",
                why="the guest would not see this host's files",
                instead="use another kernel",
            )
        # modules.dep lists all dependencies of a module, the first to load last.
        wanted |= dict.fromkeys((*reversed(depends[paths[module]]), paths[module]))
    for path in wanted:
        yield _uncompressed(kernel.modules / path)


def _dependencies(modules: Path) -> Iterator[tuple[str, list[str]]]:
    for line in (modules / "modules.dep").read_text().splitlines():
        path, _, needs = line.partition(":")
        yield path, needs.split()


def _name(path: str) -> str:
    return path.rpartition("/")[2].partition(".ko")[0].replace("-", "_")


def _uncompressed(path: Path) -> bytes:
    content = path.read_bytes()
    if path.suffix == ".xz":
        return lzma.decompress(content)
    if path.suffix == ".zst":
        return subprocess.run(
            ["zstd", "-dcq"], input=content, capture_output=True, check=True
        ).stdout
    return content
