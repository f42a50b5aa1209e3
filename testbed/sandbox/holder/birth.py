"""The creation of a sandbox's namespaces, and the files and mounts in them."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Final

from testbed.errors import PlatformError
from testbed.sandbox import syscalls
from testbed.topology.names import LOCALHOST

NETNS_FOLDER: Final = Path("/run/netns")  # the folder of names of ip-netns(8)
HOSTS: Final = Path("/etc/hosts")  # hosts(5)

_CAP_NET_ADMIN: Final = 12
_CAP_SYS_ADMIN: Final = 21
_WHY_NAMESPACES: Final = "every node of a topology is a network namespace"


def privileged() -> bool:
    """Return whether this process may create namespaces without a user namespace of its own."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            effective = int(line.split()[1], 16)
            wanted = 1 << _CAP_NET_ADMIN | 1 << _CAP_SYS_ADMIN
            return effective & wanted == wanted
    return False


def unshare_all() -> None:
    """Enter new mount and network namespaces; children also get a new PID namespace.

    :raises PlatformError: the kernel or its configuration forbids it.
    """
    if not privileged():
        _become_root_of_a_user_namespace()
    try:
        syscalls.unshare(syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID | syscalls.CLONE_NEWNET)
    except OSError as error:
        raise PlatformError(
            f"mount, PID and network namespaces are refused ({error.strerror})",
            why=_WHY_NAMESPACES,
            instead="use a kernel with CONFIG_PID_NS and CONFIG_NET_NS, or raise"
            " /proc/sys/user/max_net_namespaces",
        ) from error


def _become_root_of_a_user_namespace() -> None:
    """Enter a user namespace that maps only our user and group, to 0 (user_namespaces(7))."""
    uid, gid = os.geteuid(), os.getegid()
    try:
        syscalls.unshare(syscalls.CLONE_NEWUSER)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    except OSError as error:
        raise PlatformError(
            f"unprivileged user namespaces are refused ({error.strerror})",
            why="without root, a sandbox needs one to own its network namespaces",
            instead="run as root, or allow them: sysctl user.max_user_namespaces,"
            " kernel.unprivileged_userns_clone (Debian),"
            " kernel.apparmor_restrict_unprivileged_userns (Ubuntu); a chroot needs root",
        ) from error


def furnish() -> None:
    """Set up private mounts, /proc of this PID namespace and the folder for node names.

    Only process 1 may call this. Its network namespace becomes the wire namespace, without IP.

    :raises PlatformError: a mount is refused.
    """
    _make_mounts_private()
    try:
        syscalls.mount(
            "proc",
            "/proc",
            "proc",
            syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC,
        )
        _make_netns_folder()
        _cover_hosts()
        _cover_netns_folder()
    except OSError as error:
        raise _refused(error) from error
    silence_ipv6()


def _make_mounts_private() -> None:
    try:
        syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise _refused(error) from error
        raise PlatformError(
            "the root directory is not a mount point, as in a chroot",
            why="only a mount point can be made private to the sandbox",
            instead="make it a mount point before the chroot: mount --bind DIR DIR",
        ) from error


def _refused(error: OSError) -> PlatformError:
    return PlatformError(
        f"the sandbox's private mounts are refused ({error})",
        why="its processes need a /proc of their own",
        instead="run it outside a container, or unmask /proc in the container (podman and docker:"
        " --security-opt unmask=ALL), or start the container with --privileged",
    )


def silence_ipv6() -> None:
    """Disable IPv6 in the current network namespace, if the kernel has IPv6."""
    for which in ("all", "default"):
        switch = Path(f"/proc/sys/net/ipv6/conf/{which}/disable_ipv6")
        if switch.exists():
            switch.write_text("1")


def _make_netns_folder() -> None:
    """Create the directory /run/netns if the host has none.

    On the host's file system it must not be created. So a tmpfs then replaces /run, with bind
    mounts of the former entries.
    """
    if not NETNS_FOLDER.is_dir():
        _rebuild(NETNS_FOLDER.parent)
        NETNS_FOLDER.mkdir()


def _cover_hosts() -> None:
    """Mount our own file over /etc/hosts. A later mount covers the tmpfs of that file."""
    _cover_netns_folder()
    ours = NETNS_FOLDER / HOSTS.name
    ours.write_text(LOCALHOST)
    if not HOSTS.exists():
        _rebuild(HOSTS.parent)
        HOSTS.touch()
    syscalls.mount(str(ours), str(HOSTS), flags=syscalls.MS_BIND)


def _cover_netns_folder() -> None:
    syscalls.mount("tmpfs", str(NETNS_FOLDER), "tmpfs", syscalls.MS_NOSUID, "mode=755")


def _rebuild(folder: Path) -> None:
    original = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    syscalls.mount("tmpfs", str(folder), "tmpfs", syscalls.MS_NOSUID, "mode=755")
    source = Path(f"/proc/self/fd/{original}")
    for entry in source.iterdir():
        _rebind(entry, folder / entry.name)
    os.close(original)


def _rebind(source: Path, target: Path) -> None:
    mode = source.lstat().st_mode
    if stat.S_ISLNK(mode):
        target.symlink_to(source.readlink())
        return
    if stat.S_ISDIR(mode):
        target.mkdir()
    else:
        target.touch()
    syscalls.mount(str(source), str(target), flags=syscalls.MS_BIND | syscalls.MS_REC)
