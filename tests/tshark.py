"""tshark(1), a decoder that shares nothing with ours, as the judge of packets and captures.

Of the kernel's own connections it warns of resets, where there are some, and of four NOPs in a row.

``decode_packets`` and ``decode_file`` skip the test that calls them where there is no tshark.
"""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec
import pytest

WARNING: Final = 0x600000  # severities of Wireshark's expert information
LINKTYPE_RAW: Final = 101  # packets begin with the IP header
PROTOCOLS: Final = ("eth", "sll", "raw", "ip", "ipv6", "icmp", "icmpv6", "tcp", "mptcp")

# A duplicate was reported (RFC 2883); a window was used up, or closed; a segment was lost, or late,
# and comes again.
BUSY: Final = (
    "D-SACK Sequence",
    "TCP window specified by the receiver is now completely full",
    "TCP Zero Window segment",
    "This frame is a (suspected) out-of-order segment",
    "Previous segment(s) not captured (common at capture start)",
)

Fields = dict[str, tuple[str, ...]]


class Decoded(msgspec.Struct, frozen=True):
    """One packet as tshark reads it.

    :param fields: every field by its display filter name, such as ``tcp.seq_raw``; a field that
        occurs several times has several values, in the order of the packet.
    :param mptcp: the fields of each MPTCP option on its own.
    :param warnings: what its experts hold to be wrong, of severity warning and above.
    """

    fields: Fields
    mptcp: tuple[Fields, ...]
    warnings: tuple[str, ...]

    def number(self, name: str) -> int:
        """Return the first value of a numeric field; ``KeyError`` if the packet has none."""
        return int(self.fields[name][0], 0)


def decode_packets(
    packets: Iterable[bytes], *, check_tcp_checksum: bool = True, analyze: bool = True
) -> list[Decoded]:
    """Decode IP packets, 1 ms apart, as one capture."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "packets.pcap")
        write_pcap(path, packets)
        return decode_file(path, check_tcp_checksum=check_tcp_checksum, analyze=analyze)


def decode_file(
    path: pathlib.Path, *, check_tcp_checksum: bool = True, analyze: bool = True
) -> list[Decoded]:
    """Decode a capture, pcap or pcapng; sequence numbers are absolute.

    :param check_tcp_checksum: switch it off for what was captured before the kernel filled in
        the checksum.
    :param analyze: look at connections as wholes; for packets that belong to none, switch it off,
        for tshark 4.0 may crash on mappings that make no sense.
    :raises AssertionError: tshark cannot read the file to its end.
    """
    if shutil.which("tshark") is None:
        pytest.skip("needs tshark, to have a second opinion on packets")
    preferences = {
        "tcp.relative_sequence_numbers": False,
        "tcp.check_checksum": check_tcp_checksum,
        "ip.check_checksum": True,
        "mptcp.relative_sequence_numbers": False,
        "tcp.analyze_sequence_numbers": analyze,
        "mptcp.analyze_mptcp": analyze,
        "mptcp.analyze_mappings": analyze,
    }
    command = ["tshark", "-n", "-r", str(path), "-T", "json", "--no-duplicate-keys"]
    # Enable only these protocols: the payload is not dissected, on any port.
    command += ["--disable-protocol", "ALL"]
    for protocol in PROTOCOLS:
        command += ["--enable-protocol", protocol]
    for name, value in preferences.items():
        command += ["-o", f"{name}:{str(value).upper()}"]
    with tempfile.TemporaryDirectory() as settings:  # an empty folder: no personal settings apply
        environment = os.environ | {"WIRESHARK_CONFIG_DIR": settings}
        ran = subprocess.run(command, capture_output=True, check=False, env=environment)
    assert ran.returncode == 0, ran.stderr.decode()
    return [_packet(packet["_source"]["layers"]) for packet in json.loads(ran.stdout)]


def version() -> str:
    """Return the version of tshark, as in 4.0.17."""
    ran = subprocess.run(["tshark", "--version"], capture_output=True, check=True, text=True)
    return ran.stdout.split()[2].rstrip(".")


def write_pcap(path: pathlib.Path, packets: Iterable[bytes]) -> None:
    """Write IP packets, 1 ms apart, as a capture."""
    parts = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 0x40000, LINKTYPE_RAW)]
    for at, packet in enumerate(packets):
        seconds, milliseconds = divmod(at, 1000)
        size = len(packet)
        parts += [struct.pack("<IIII", seconds, milliseconds * 1000, size, size), packet]
    path.write_bytes(b"".join(parts))


def _packet(layers: Mapping[str, Any]) -> Decoded:
    options = layers.get("tcp", {}).get("tcp.options_tree", {}).get("mptcp", [])
    fields = _fields(layers)
    warnings = [warning for warning in _warnings(layers) if not _unfounded(warning, fields)]
    return Decoded(
        fields=fields,
        mptcp=tuple(_fields(option) for option in _as_list(options)),
        warnings=tuple(warnings),
    )


def _unfounded(warning: str, fields: Fields) -> bool:
    """Whether tshark 4.0 is wrong to warn, as it does of the kernel's own connections.

    It misses a mapping where there is no data, and does not see the one in MP_CAPABLE; it takes
    the flag C of MP_CAPABLE for an algorithm.  And what TCP does on a busy machine is not wrong.
    """
    if warning in BUSY:
        return True
    if warning == "No mapping available":
        return fields["tcp.len"] == ("0",) or "0" in fields.get("tcp.options.mptcp.subtype", ())
    return warning == "Unsupported algorithm" and "1" in fields.get(
        "tcp.options.mptcp.sha256.flag", ()
    )


def _fields(tree: Mapping[str, Any]) -> Fields:
    found: dict[str, tuple[str, ...]] = {}
    for name, value in _leaves(tree):
        found[name] = (*found.get(name, ()), value)
    return found


def _leaves(tree: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in tree.items():
        for one in _as_list(value):
            if isinstance(one, dict):
                yield from _leaves(one)
            elif one is not None:
                yield name, one


def _warnings(tree: Mapping[str, Any]) -> Iterator[str]:
    for name, value in tree.items():
        for one in _as_list(value):
            if not isinstance(one, dict):
                continue
            if name == "_ws.expert" and int(one["_ws.expert.severity"]) >= WARNING:
                yield one["_ws.expert.message"]
            yield from _warnings(one)


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
