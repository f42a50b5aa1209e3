"""scripts/provision in a bare Debian 12, where and as the Vagrantfile runs it.

It fetches some 300 MB and takes minutes: ``TESTBED_MACHINES=full`` (``make machines``) runs it.
The box is a directory with mount and PID namespaces of its own; when the last of its processes
ends, nothing is left of it but files.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed import __version__

ROOT = Path(__file__).parents[2]
USER, UID = "vagrant", 1000
# How this host reaches package archives and indexes.
SETTINGS = (
    "etc/apt",
    "etc/hosts",
    "etc/pip.conf",
    "etc/ssl/certs",
    "etc/xdg/pip",
    "usr/local/share/ca-certificates",
    "usr/share/keyrings",
)
VARIABLES = re.compile(r"PIP_.*|.*_proxy|.*_PROXY|SSL_CERT_(FILE|DIR)|(REQUESTS|CURL)_CA_BUNDLE")
EXPERIMENT = """
topology:
  nodes: {client: {}, server: {}}
  links:
    wifi: {between: [client, server], netem: {rate: 20mbit, delay: 5ms}}
    lte: {between: [client, server], netem: {rate: 20mbit, delay: 5ms}}
stacks: [tcp, mptcp, userspace]
workload: {kind: bulk, from: client, to: server, size: 1MB}
repetitions: 1
"""
# pivot_root(8), as in a chroot(2) there are no user namespaces.
ENTER = """
tree=$1; shift
mount --rbind "$tree" "$tree"
mount --bind "$1" "$tree/vagrant"; shift
mount -t proc proc "$tree/proc"
mount --rbind /sys "$tree/sys"
mount --rbind /dev "$tree/dev"
mount -t tmpfs tmpfs "$tree/run"
cd "$tree"
pivot_root . mnt
umount -l /mnt
exec "$@"
"""


class Box:
    """A Debian whose /vagrant is a copy of this checkout, owned by the user ``vagrant``."""

    def __init__(self, folder: Path) -> None:
        self.tree, self.checkout = folder / "tree", folder / "checkout"
        self.variables = {
            name: value for name, value in os.environ.items() if VARIABLES.fullmatch(name)
        } | {
            "HOME": "/root",
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        }

    def make(self) -> None:
        """Install the system."""
        unshared("debootstrap", "--variant=minbase", "bookworm", str(self.tree))
        (self.tree / "etc/apt/sources.list").unlink()
        for name in SETTINGS:
            take_over(Path("/", name), self.tree / name)
        take_over(Path("~/.config/pip").expanduser(), self.tree / "root/.config/pip")
        (self.tree / "vagrant").mkdir()
        self.checkout.mkdir()
        self.as_root(f"useradd --create-home --shell /bin/bash --uid {UID} {USER}")
        for name in checked_out():
            (self.checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, self.checkout / name)
        self.as_root(f"chown -R {USER}: /vagrant")

    def as_root(self, command: str) -> str:
        """Run a command and return what it says."""
        return self._run("sh", "-c", command)

    def as_user(self, command: str) -> str:
        """Run a command as ``vagrant ssh -c`` does: in a login shell."""
        return self._run("su", "--login", USER, "--command", command)

    def _run(self, *argv: str) -> str:
        inside = ("sh", "-euc", ENTER, "sh", str(self.tree), str(self.checkout), *argv)
        return unshared(*inside, environment=self.variables)


def unshared(*argv: str, environment: dict[str, str] | None = None) -> str:
    """Run a program in mount and PID namespaces of its own."""
    alone = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--", *argv)
    done = subprocess.run(
        alone,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def take_over(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
    elif source.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)


def checked_out() -> list[str]:
    """Return the files of this checkout, as they are in the working tree."""
    listing = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in names.split("\0") if name and (ROOT / name).exists()]


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    if os.environ.get("TESTBED_MACHINES") != "full":
        pytest.skip("installs a Debian: TESTBED_MACHINES=full asks for it")
    if os.geteuid() != 0:
        pytest.skip("debootstrap needs root")
    if shutil.which("debootstrap") is None:
        pytest.skip("debootstrap is not installed")
    found = Box(tmp_path)
    try:
        found.make()
        yield found
    finally:
        shutil.rmtree(found.tree, ignore_errors=True)  # 700 MB


@pytest.mark.sandbox
@pytest.mark.timeout(1800)
def test_what_vagrant_provisions_is_ready_for_its_user(box: Box) -> None:
    as_root, as_user = re.findall(r'inline: "(.*)"', (ROOT / "Vagrantfile").read_text())
    for _ in range(2):  # `vagrant provision` may be repeated
        assert f"testbed {__version__}" in box.as_root(as_root)
        box.as_user(as_user)
    assert box.as_user("testbed --version") == f"testbed {__version__}\n"
    assert "quickstart" in box.as_user("testbed check experiments/quickstart.yaml")
    (box.checkout / "try.yaml").write_text(EXPERIMENT)
    said = box.as_user("testbed run try.yaml")
    records = list((box.checkout / "results/try").glob("*/runs/*/run.json"))
    assert len(records) == 3, said
    for record in records:
        assert json.loads(record.read_text())["status"] == "ok"
        assert record.stat().st_uid == UID
