"""Why a TUN interface cannot be had, and what to do about it."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from testbed.errors import InputError, PlatformError, TestbedError
from testbed.host.devices import tun
from testbed.host.devices.buffers import Buffers
from testbed.host.devices.tun import Tun


def refusal(name: str = "lo") -> TestbedError:
    with pytest.raises(TestbedError) as caught:
        Tun(name, Buffers())
    return caught.value


def test_an_interface_has_to_be_there_first() -> None:
    error = refusal("no-such-tun")
    assert isinstance(error, InputError)
    assert "ip tuntap add dev no-such-tun mode tun user USER" in str(error)


@pytest.mark.interpreted
def test_the_kernel_may_have_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tun, "_CONTROL", str(tmp_path / "tun"))
    error = refusal()
    assert isinstance(error, PlatformError)
    assert "modprobe tun" in str(error)


def test_the_device_file_may_be_roots(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str, flags: int) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "open", refuse)
    error = refusal()
    assert isinstance(error, PlatformError)
    assert "chmod 0666 /dev/net/tun" in str(error)


@pytest.mark.interpreted
def test_an_interface_with_several_queues_is_named_as_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The kernel says EINVAL, as for what is no TUN."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    (tmp_path / "lo").write_text("0x5101\n")
    monkeypatch.setattr(tun, "_KIND", str(tmp_path / "{}"))
    monkeypatch.setattr(tun, "_CONTROL", os.devnull)
    monkeypatch.setattr(fcntl, "ioctl", refuse)
    error = refusal()
    assert isinstance(error, InputError)
    assert "several queues" in str(error)


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (errno.EPERM, PlatformError, "ip tuntap add dev lo mode tun user"),
        (errno.EBUSY, PlatformError, "end the other process"),
        (errno.EINVAL, InputError, "is not a TUN interface"),
    ],
)
def test_the_interface_may_be_refused(
    monkeypatch: pytest.MonkeyPatch, number: int, kind: type, words: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(tun, "_CONTROL", os.devnull)
    monkeypatch.setattr(fcntl, "ioctl", refuse)
    before = len(list(Path("/proc/self/fd").iterdir()))
    error = refusal()
    assert isinstance(error, kind)
    assert words in str(error)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
