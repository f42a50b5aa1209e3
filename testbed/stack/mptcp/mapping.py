"""Data sequence mappings (RFC 8684, section 3.3.1)."""

from __future__ import annotations

from typing import Final

import msgspec

MAX_LENGTH: Final = 0xFFFF  # the data-level length has 16 bits


class Mapping(msgspec.Struct, frozen=True, eq=False):
    """Octets of a subflow that are octets of the data stream.

    It is what rides as ``ext`` with the octets that are sent, and never changes.

    :param data: position of its first octet in the data stream.
    :param subflow: position of its first octet in the subflow's stream.
    :param length: in octets; 0 of an infinite mapping, which never ends (section 3.7).
    :param in_capable: it leaves in MP_CAPABLE, not in DSS: the first data of a connection's
        initiator (section 3.1).
    :param checksum: of all its octets; ``None`` where checksums are not in use.
    :param data_fin: DATA_FIN follows its octets, and counts in what the checksum covers.
    """

    data: int
    subflow: int
    length: int
    in_capable: bool = False
    checksum: int | None = None
    data_fin: bool = False

    @property
    def infinite(self) -> bool:
        """Whether it has no end."""
        return not self.length

    def data_at(self, position: int) -> int:
        """Return the position in the data stream of one in the subflow's."""
        return self.data + position - self.subflow

    @property
    def subflow_end(self) -> int:
        """Position after its last octet in the subflow's stream."""
        return self.subflow + self.length
