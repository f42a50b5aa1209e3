"""The fields of tshark's output that the packet itself has, without tshark's analysis."""

from __future__ import annotations

from typing import Any, Final

from tests import tshark

HEADER: Final = (
    "ip.src",
    "ip.dst",
    "ipv6.src",
    "ipv6.dst",
    "tcp.srcport",
    "tcp.dstport",
    "tcp.seq_raw",
    "tcp.ack_raw",
    "tcp.flags",
    "tcp.window_size_value",
    "tcp.urgent_pointer",
    "tcp.len",
    "tcp.options.mss_val",
    "tcp.options.wscale.shift",
    "tcp.options.timestamp.tsval",
    "tcp.options.timestamp.tsecr",
    "tcp.options.sack_le",
    "tcp.options.sack_re",
)


def wire_fields(packet: tshark.Decoded) -> dict[str, Any]:
    """Return the fields of the headers, and those of each MPTCP option in a list of its own."""
    header: dict[str, Any] = {
        name: list(packet.fields[name]) for name in HEADER if name in packet.fields
    }
    options = [
        {
            name.removeprefix("tcp.options.mptcp."): list(values)
            for name, values in option.items()
            if name.startswith("tcp.options.mptcp.") or name == "mptcp.rm_addr.count"
        }
        for option in packet.mptcp
    ]
    return {**header, "mptcp": options}
