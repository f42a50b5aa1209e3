"""TCP Fast Open (RFC 7413): data on SYN, for who has a cookie of the server."""

from __future__ import annotations

import enum
import hashlib
import hmac
from typing import Any, Final

import msgspec

from testbed.packet.address import Flow
from testbed.packet.option_list import options_size
from testbed.packet.options import MAX_LENGTH, FastOpen, Option
from testbed.stack.tcp.config import SECOND

COOKIE: Final = 8  # octets, as in Linux
_MOST_KNOWN: Final = 1024  # servers whose cookies are kept
# As in Linux: after a SYN with data had no answer, none is sent for so long, and twice as long each
# further time.
_AVOIDED_NS: Final = 60 * SECOND
_MOST_DOUBLINGS: Final = 6


class Early:
    """The part of one connection.

    :param option: goes on its first SYN or SYN,ACK.
    :ivar limit: octets of data that the first SYN may carry.
    :ivar accepted: the peer's SYN had a cookie that counts: data flows before the handshake ends.
    :ivar acknowledged: all data of the SYN, ours or the peer's, was.
    """

    __slots__ = ("_option", "accepted", "acknowledged", "limit")

    def __init__(self, option: FastOpen | None, *, limit: int = 0, accepted: bool = False) -> None:
        self._option = option
        self.limit = limit
        self.accepted = self.acknowledged = accepted

    @property
    def grants(self) -> bool:
        """Whether the next SYN,ACK brings a cookie."""
        return self._option is not None

    def leave(self, options: list[Option]) -> int:
        """Add the option to the SYN or SYN,ACK that leaves first, where it fits.

        :return: how many octets of data may go with it.  Later ones have neither.
        """
        option, self._option = self._option, None
        limit, self.limit = self.limit, 0
        if option is not None:
            if options_size((*options, option)) > MAX_LENGTH:
                return 0
            options.append(option)
        return limit

    def answered(self, *, whole: bool) -> None:
        """Take the SYN,ACK; ``whole``: it acknowledges data, and all of it."""
        self.acknowledged = whole


class Verdict(enum.Enum):
    """A server's finding about a cookie."""

    CURRENT = enum.auto()
    OLD = enum.auto()  # made with the key before this one: it counts, and is replaced
    WRONG = enum.auto()


class Grants:
    """The cookies of a server: what only it can make of both addresses (section 4.1.2).

    :param secret: the key, at least 16 octets.
    """

    __slots__ = ("_keys",)

    def __init__(self, secret: bytes) -> None:
        self._keys = [secret[:32]]  # the current one comes first

    def rotate(self, secret: bytes) -> None:
        """Make cookies with another key; those of the key before it still count."""
        self._keys = [secret[:32], self._keys[0]]

    def grant(self, flow: Flow) -> FastOpen:
        """Return a cookie for a client."""
        return FastOpen(self._cookie(self._keys[0], flow))

    def judge(self, flow: Flow, option: FastOpen) -> Verdict:
        """Return what a client's cookie is; none at all is a request for one."""
        for key, verdict in zip(self._keys, (Verdict.CURRENT, Verdict.OLD), strict=False):
            if hmac.compare_digest(self._cookie(key, flow), option.cookie):
                return verdict
        return Verdict.WRONG

    def _cookie(self, key: bytes, flow: Flow) -> bytes:
        text = f"{flow.local.host} {flow.remote.host}".encode()
        return hashlib.blake2s(text, digest_size=COOKIE, key=key, person=b"fastopen").digest()


class _Server(msgspec.Struct, frozen=True):
    cookie: bytes = b""
    mss: int = 0  # 0: not known
    losses: int = 0  # SYNs with data in a row that had no answer
    avoid_until_ns: int = 0


class CookieCache:
    """A client's knowledge of servers (section 4.1.3), by both addresses.

    :param cookies: a server has to give one first.
    """

    __slots__ = ("_cookies", "_servers")

    def __init__(self, *, cookies: bool) -> None:
        self._cookies = cookies
        self._servers: dict[tuple[str, str], _Server] = {}  # the one heard of last comes last

    def __len__(self) -> int:
        return len(self._servers)

    def early(self, flow: Flow, now: int, mss: int) -> Early | None:
        """Return what to do of TCP Fast Open on a new connection.

        Without a cookie that is to ask for one.

        :param mss: of a server whose own is not known.
        """
        server = self._servers.get(_key(flow), _Server())
        if now < server.avoid_until_ns:
            return None
        limit = max(0, (server.mss or mss) - MAX_LENGTH)
        if not self._cookies:
            return Early(None, limit=limit)
        return Early(FastOpen(server.cookie), limit=limit if server.cookie else 0)

    def answered(self, flow: Flow, option: FastOpen | None, mss: int) -> None:
        """Take a server's SYN,ACK: a cookie, and its MSS."""
        if not self._cookies:
            self._know(flow, mss=mss)
        elif option is not None and option.cookie:
            self._know(flow, cookie=option.cookie, mss=mss)

    def accepted(self, flow: Flow) -> None:
        """Note that a SYN's data was acknowledged."""
        self._know(flow, losses=0)

    def refused(self, flow: Flow) -> None:
        """Note that a SYN's data was not acknowledged, and no cookie came: ask the next time."""
        self._know(flow, cookie=b"")

    def lost(self, flow: Flow, now: int) -> None:
        """Note that a SYN with data had no answer, and one without it had."""
        losses = self._servers.get(_key(flow), _Server()).losses
        until_ns = now + (_AVOIDED_NS << min(losses, _MOST_DOUBLINGS))
        self._know(flow, losses=losses + 1, avoid_until_ns=until_ns)

    def _know(self, flow: Flow, **changes: Any) -> None:
        server = self._servers.pop(_key(flow), _Server())
        self._servers[_key(flow)] = msgspec.structs.replace(server, **changes)
        if len(self._servers) > _MOST_KNOWN:
            del self._servers[next(iter(self._servers))]


def _key(flow: Flow) -> tuple[str, str]:
    return flow.local.host, flow.remote.host
