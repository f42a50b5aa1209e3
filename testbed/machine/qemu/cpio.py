"""Archives for an initramfs: cpio's "newc" format (Documentation/driver-api/early-userspace)."""

from __future__ import annotations

import stat

import msgspec


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A file, directory or device. A directory must precede its contents.

    :param mode: type and permissions, as in ``st_mode``.
    :param device: the major and minor number of a device.
    """

    name: str
    mode: int
    content: bytes = b""
    device: tuple[int, int] = (0, 0)


def file(name: str, content: bytes, *, executable: bool = False) -> Entry:
    """Return an ordinary file."""
    mode = stat.S_IFREG | (0o755 if executable else 0o644)
    return Entry(name=name, mode=mode, content=content)


def directory(name: str) -> Entry:
    """Return a directory."""
    return Entry(name=name, mode=stat.S_IFDIR | 0o755)


def archive(*entries: Entry) -> bytes:
    """Return the entries as an archive. The kernel also reads concatenated archives."""
    last = Entry(name="TRAILER!!!", mode=0)
    members = (_member(number, entry) for number, entry in enumerate((*entries, last)))
    return _padded(b"".join(members), 512)


def _member(number: int, entry: Entry) -> bytes:
    name = entry.name.encode() + b"\0"
    fields = (
        *(number, entry.mode, 0, 0, 1, 0, len(entry.content)),  # ino mode uid gid nlink mtime size
        *(0, 0, *entry.device, len(name), 0),  # dev, rdev, length of the name, no checksum
    )
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    return _padded(header + name, 4) + _padded(entry.content, 4)


def _padded(octets: bytes, unit: int) -> bytes:
    return octets + bytes(-len(octets) % unit)
