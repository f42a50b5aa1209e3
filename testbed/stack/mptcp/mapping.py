"""Data sequence mappings (RFC 8684, section 3.3.1)."""

from __future__ import annotations

from typing import Final

import msgspec

MAX_LENGTH: Final = 0xFFFF  # the data-level length has 16 bits


class Mapping(msgspec.Struct, frozen=True, eq=False):
    """A range of octets that a subflow carries for the data stream.

    Sent octets carry it as ``ext``. It never changes.

    :param data: position of its first octet in the data stream.
    :param subflow: position of its first octet in the subflow's stream.
    :param length: in octets; 0 for an infinite mapping, which has no end (section 3.7).
    :param in_capable: whether MP_CAPABLE carries it instead of DSS, as for the first data of the
        initiator (section 3.1).
    :param checksum: the checksum of all its octets; ``None`` if checksums are not in use.
    :param data_fin: whether DATA_FIN follows its octets. The checksum then covers it.
    """

    data: int
    subflow: int
    length: int
    in_capable: bool = False
    checksum: int | None = None
    data_fin: bool = False

    @property
    def infinite(self) -> bool:
        """Whether it is an infinite mapping."""
        return not self.length

    def data_at(self, position: int) -> int:
        """Convert a position in the subflow's stream to one in the data stream."""
        return self.data + position - self.subflow

    @property
    def subflow_end(self) -> int:
        """The position after its last octet in the subflow's stream."""
        return self.subflow + self.length
