"""The names of devices."""

from __future__ import annotations

import pytest

from testbed.errors import InputError
from testbed.host.devices.names import tuns


def test_a_device_is_packet_sockets_or_tun_interfaces() -> None:
    assert tuns("packet") == ()
    assert tuns("tun0") == ("tun0",)
    assert tuns("tun0+wg-home.1") == ("tun0", "wg-home.1")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "packet, or TUN interfaces"),
        ("tun0+", "packet, or TUN interfaces"),
        ("/dev/net/tun", "packet, or TUN interfaces"),
        ("an_interface_of_many_letters", "packet, or TUN interfaces"),
        ("tun0 tun1", "packet, or TUN interfaces"),
        ("tun0+tun0", "twice"),
    ],
)
def test_other_names_are_refused(name: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        tuns(name)
