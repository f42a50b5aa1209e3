"""Ask this machine's kernel for packets: sudo .venv/bin/python -m tests.vectors.generate

Runs small MPTCP connections between two namespaces and keeps one packet of every kind the kernel
sent, with what tshark reads in it (``kernel_packets.json``), and keys, nonces and the HMACs made of
them (``kernel_handshakes.json``).  Every run gives other keys; what is kept is checked first.
"""

from __future__ import annotations

import asyncio
import json
import pathlib
import platform
from collections.abc import Iterable
from typing import Any, Final

from testbed.packet import mptcp
from testbed.packet.codec import parse
from testbed.packet.options import Option
from testbed.packet.segment import Segment
from tests import tshark
from tests.vectors.handshakes import handshake
from tests.vectors.scenarios import SCENARIOS, Lab
from tests.vectors.wire_fields import wire_fields

FOLDER: Final = pathlib.Path(__file__).parent


async def main() -> None:
    """Write both files."""
    packets: list[dict[str, Any]] = []
    handshakes: list[dict[str, Any]] = []
    seen: set[object] = set()
    for name, scenario in SCENARIOS.items():
        async with Lab.create(scenario) as lab:
            await scenario.run(lab)
            captured = lab.packets
        decoded = tshark.decode_packets(captured)
        segments = [parse(packet) for packet in captured]
        for packet, segment, fields in zip(captured, segments, decoded, strict=True):
            if (kind := _kind(segment)) not in seen:
                seen.add(kind)
                entry = {"scenario": name, "packet": packet.hex()}
                packets.append({**entry, "tshark": wire_fields(fields)})
        handshakes.append({"scenario": name, **handshake(segments)})
    _write("kernel_packets.json", packets)
    _write("kernel_handshakes.json", handshakes)


def _kind(segment: Segment) -> object:
    """Return what two packets of the same kind have in common."""
    shapes = tuple(_shape(option) for option in segment.options)
    return ":" in segment.source.host, segment.flags, bool(segment.payload), shapes


def _shape(option: Option) -> object:
    """Return class and length of an option; of MPTCP's also flags, and whether it maps nothing."""
    encoded = option.encode()
    if not isinstance(option, mptcp.MptcpOption):
        return type(option), len(encoded)
    infinite = isinstance(option, mptcp.Dss) and option.dsn is not None and not option.length
    has_id = isinstance(option, mptcp.AddAddr | mptcp.RemoveAddr)
    return type(option), len(encoded), encoded[2 : 3 if has_id else 4], infinite


def _write(name: str, entries: Iterable[dict[str, Any]]) -> None:
    header = {"kernel": platform.release().split("-")[0], "tshark": tshark.version()}
    lines = ",\n".join(json.dumps(entry) for entry in entries)
    head = json.dumps(header)[:-1]
    (FOLDER / name).write_text(f'{head}, "entries": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    asyncio.run(main())
