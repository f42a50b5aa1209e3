"""The handshakes that were kept are whole, and say what RFC 8684 derives from keys."""

from __future__ import annotations

import hashlib
import json
import pathlib
from typing import Any

import pytest

FILE = pathlib.Path(__file__).with_name("kernel_handshakes.json")
HANDSHAKES: list[dict[str, Any]] = json.loads(FILE.read_text())["entries"]


@pytest.mark.parametrize("handshake", HANDSHAKES, ids=lambda entry: entry["scenario"])
@pytest.mark.parametrize("host", ["a", "b"])
def test_token_and_idsn_are_the_ends_of_the_keys_digest(
    handshake: dict[str, Any], host: str
) -> None:
    """Section 3.1: the leftmost 32 bits and the rightmost 64 of SHA-256."""
    digest = hashlib.sha256(bytes.fromhex(handshake[f"key_{host}"])).hexdigest()
    assert handshake[f"token_{host}"] == digest[:8]
    assert handshake[f"idsn_{host}"] == digest[-16:]


def test_there_are_joins_announcements_and_checksums_to_compare_with() -> None:
    joins = [join for entry in HANDSHAKES for join in entry["joins"]]
    assert {len(join["hmac_syn_ack"]) for join in joins} == {16}
    assert {len(join["hmac_ack"]) for join in joins} == {40}
    announced = [one for entry in HANDSHAKES for one in entry["add_addrs"]]
    forms = {(":" in one["address"], one["port"] is not None) for one in announced}
    assert len(forms) == 4
    assert any(entry["mappings"] for entry in HANDSHAKES)
    assert all(entry["checksum_required"] for entry in HANDSHAKES if entry["mappings"])
