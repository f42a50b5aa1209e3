"""The values of a script's names: keys of MPTCP, cookies and addresses."""

from __future__ import annotations

import ipaddress

from testbed.errors import InputError
from testbed.stack.mptcp import crypto


class Keys:
    """The two keys of an MPTCP connection and their names.

    :ivar ours: the key of the stack under test, ``None`` before it has sent it.
    :ivar theirs: the key of the script's side.
    """

    def __init__(self) -> None:
        self.ours: int | None = None
        self.theirs: int | None = None
        self._named: dict[str, int] = {}
        self._given: set[str] = set()

    def forget(self) -> None:
        """Start another connection. Forget the keys that the script has not given."""
        self.ours = None
        self._named = {name: key for name, key in self._named.items() if name in self._given}

    def give(self, name: str, value: int | None) -> int:
        """Return the key of a name. ``value`` is the value in the script, if given.

        A key of the script's side without a value gets a generated one.
        """
        if value is not None:
            self._given.add(name)
            self._named[name] = value
        return self._named.setdefault(name, 0x5C00_0000_0000_0000 + len(self._named))

    def take(self, theirs: int) -> None:
        """Set the key of the script's side."""
        self.theirs = theirs

    def learn(self, name: str, ours: int) -> None:
        """Record the key that the stack has sent, under its name in the script."""
        self.ours = ours
        self._named.setdefault(name, ours)

    def value(self, name: str, line: int, file: str) -> int:
        """Return the key of a name.

        :raises InputError: the name has no key yet.
        """
        if name not in self._named:
            raise InputError(
                f"no key is named {name!r} yet",
                file=file,
                line=line,
                hint="keys get their names in mpcapable",
            )
        return self._named[name]

    def name(self, value: int) -> str:
        """Return the name of a key, or its digits if it has no name."""
        return next((name for name, key in self._named.items() if key == value), f"{value:#x}")

    @property
    def our_dsn(self) -> int:
        """Our initial data sequence number."""
        return crypto.initial_dsn(self.ours or 0)

    @property
    def their_dsn(self) -> int:
        """The initial data sequence number of the script's side."""
        return crypto.initial_dsn(self.theirs or 0)


class Cookie:
    """The cookie of TCP Fast Open that the host under test grants the script's address.

    :ivar value: the cookie, ``None`` before the grant.
    """

    def __init__(self) -> None:
        self.value: bytes | None = None

    def learn(self, value: bytes) -> None:
        """Record the received cookie."""
        self.value = value


class Addresses:
    """Names of addresses, and the ids of those on the script's side.

    :param remote: the first address of the script's side; the next addresses follow it.
    """

    def __init__(self, remote: str) -> None:
        self._remote = remote
        self._named: dict[str, str] = {}
        self._ids: list[tuple[int, str]] = [(0, remote)]

    def bound(self, name: str) -> str | None:
        """Return the address of a name, or ``None`` if it has no address yet."""
        return self._named.get(name)

    def bind(self, name: str, host: str) -> None:
        """Bind a name to an address."""
        if name:
            self._named[name] = host

    def first(self) -> str:
        """Return the first address of the script's side."""
        return self._remote

    def further(self) -> str:
        """Return an unused address of the script's side."""
        last = max(ipaddress.ip_address(host) for _, host in self._ids)
        return str(last + 1)

    def number(self, host: str, address_id: int | None = None) -> int:
        """Return the id of an address. ``address_id`` is the id in the script, if given."""
        known = next((number for number, one in self._ids if one == host), None)
        if address_id is None and known is not None:
            return known
        number = address_id
        if number is None:
            number = max(number for number, _ in self._ids) + 1
        if (number, host) not in self._ids:
            self._ids.append((number, host))
        return number
