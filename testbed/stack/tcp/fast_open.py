"""TCP Fast Open (RFC 7413): data on SYN for a client with a cookie of the server."""

from __future__ import annotations

import enum
import hmac
from typing import Any, Final

import msgspec

from testbed.packet.address import Flow, pack
from testbed.packet.option_list import options_size
from testbed.packet.options import MAX_LENGTH, FastOpen, Option
from testbed.stack.tcp.config import SECOND
from testbed.stack.tcp.siphash import KEY, siphash

_MOST_KNOWN: Final = 1024  # servers whose cookies are kept
# As in Linux: after a SYN with data had no answer, none is sent for this time.  Each further loss
# doubles the time.
_AVOIDED_NS: Final = 60 * SECOND
_MOST_DOUBLINGS: Final = 6


class Early:
    """The TCP Fast Open state of one connection.

    :param option: the option of its first SYN or SYN/ACK.
    :param data: whether the peer's SYN has data.
    :ivar limit: how many octets of data the first SYN may carry.
    :ivar accepted: whether the peer's SYN had a valid cookie, so that data flows before the
        handshake is complete.
    :ivar acknowledged: whether all data of the SYN, ours or the peer's, was acknowledged.
    """

    __slots__ = ("_option", "accepted", "acknowledged", "limit")

    def __init__(
        self,
        option: FastOpen | None,
        *,
        limit: int = 0,
        accepted: bool = False,
        data: bool = False,
    ) -> None:
        self._option = option
        self.limit = limit
        self.accepted = accepted
        self.acknowledged = accepted and data

    @property
    def grants(self) -> bool:
        """Whether the next SYN/ACK carries a cookie."""
        return self._option is not None

    def leave(self, options: list[Option]) -> int:
        """Add the option to the first SYN or SYN/ACK if it fits.

        :return: how many octets of data the segment may carry. Later ones have neither.
        """
        option, self._option = self._option, None
        limit, self.limit = self.limit, 0
        if option is not None:
            if options_size((*options, option)) > MAX_LENGTH:
                return 0
            options.append(option)
        return limit

    def answered(self, *, whole: bool) -> None:
        """Process the SYN/ACK. ``whole`` says whether it acknowledges all data."""
        self.acknowledged = whole


class Verdict(enum.Enum):
    """The result of a server's check of a cookie."""

    CURRENT = enum.auto()
    OLD = enum.auto()  # made with the previous key: valid, to be replaced
    WRONG = enum.auto()


class Grants:
    """The cookies of a server: a keyed function of both addresses (section 4.1.2).

    It is that of Linux: with the same keys, several servers accept each other's cookies.

    :param keys: the current key, and the previous one if there is one. Their first 16 octets count.
    """

    __slots__ = ("_keys",)

    def __init__(self, *keys: bytes) -> None:
        self._keys = [key[:KEY] for key in keys]

    def rotate(self, secret: bytes) -> None:
        """Change the key. Cookies of the previous key stay valid."""
        self._keys = [secret[:KEY], self._keys[0]]

    def grant(self, flow: Flow) -> FastOpen:
        """Return a cookie for a client."""
        return FastOpen(self._cookie(self._keys[0], flow))

    def judge(self, flow: Flow, option: FastOpen) -> Verdict:
        """Check the cookie of a client. An empty one is a request."""
        for key, verdict in zip(self._keys, (Verdict.CURRENT, Verdict.OLD), strict=False):
            if hmac.compare_digest(self._cookie(key, flow), option.cookie):
                return verdict
        return Verdict.WRONG

    def _cookie(self, key: bytes, flow: Flow) -> bytes:
        return siphash(key, pack(flow.remote.host) + pack(flow.local.host))


class _Server(msgspec.Struct, frozen=True):
    cookie: bytes = b""
    mss: int = 0  # 0: not known
    losses: int = 0  # consecutive SYNs with data without an answer
    avoid_until_ns: int = 0


class CookieCache:
    """A client's cache of servers (section 4.1.3), by both addresses.

    :param cookies: whether data needs a cookie of the server.
    """

    __slots__ = ("_cookies", "_servers")

    def __init__(self, *, cookies: bool) -> None:
        self._cookies = cookies
        self._servers: dict[tuple[str, str], _Server] = {}  # in the order of last use

    def __len__(self) -> int:
        return len(self._servers)

    def early(self, flow: Flow, now: int, mss: int) -> Early | None:
        """Return the TCP Fast Open state for a new connection.

        Without a cookie, it requests one.

        :param mss: the greatest MSS, which is assumed for a server whose MSS is unknown.
        """
        server = self._servers.get(_key(flow), _Server())
        if now < server.avoid_until_ns:
            return None
        limit = max(0, min(server.mss or mss, mss) - MAX_LENGTH)
        if not self._cookies:
            return Early(None, limit=limit)
        return Early(FastOpen(server.cookie), limit=limit if server.cookie else 0)

    def answered(self, flow: Flow, option: FastOpen | None, mss: int) -> None:
        """Record the MSS of a server's SYN/ACK, and its cookie if there is one (section 4.2.1)."""
        if self._cookies and option is not None and option.cookie:
            self._know(flow, cookie=option.cookie)
        self._know(flow, mss=mss)

    def accepted(self, flow: Flow) -> None:
        """Record that the data of a SYN was acknowledged."""
        self._know(flow, losses=0)

    def refused(self, flow: Flow) -> None:
        """Record that the data of a SYN was not acknowledged and no cookie came.

        The next SYN requests one.
        """
        self._know(flow, cookie=b"")

    def lost(self, flow: Flow, now: int) -> None:
        """Record that only a SYN without data was answered."""
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
