"""SipHash-2-4."""

from __future__ import annotations

import pytest

from testbed.stack.tcp.siphash import siphash

KEY = bytes(range(16))


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (0, 0x726FDB47DD0E0E31),
        (7, 0xAB0200F58B01D137),
        (8, 0x93F5F5799A932462),
        (15, 0xA129CA6149BE45E5),
    ],
)
def test_the_vectors_of_its_authors(octets: int, expected: int) -> None:
    """The key has the octets 0 to 15, and the input the octets 0, 1, 2 and so on."""
    assert int.from_bytes(siphash(KEY, bytes(range(octets))), "little") == expected
