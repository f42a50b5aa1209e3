"""Which of several addresses `testbed nc` gets to, and what it says of the others."""

from __future__ import annotations

import asyncio
import errno
import os

import pytest

from testbed.errors import TestbedError
from testbed.host import netcat
from testbed.host.netcat import _Session, options
from testbed.packet.address import Address

V4, V6 = Address("192.0.2.1", 80), Address("2001:db8::1", 80)


class Unwilling:
    """A host whose attempts fail, first with an error for each address, then for want of a way."""

    def __init__(self, *errors: int) -> None:
        self._errors = dict(zip((V6, V4), errors, strict=True))
        self.tries = 0

    async def open_connection(self, remote: Address, source: str | None) -> None:
        del source
        self.tries += 1
        number = self._errors.pop(remote, errno.EHOSTUNREACH)
        raise OSError(number, os.strerror(number))


def failure(host: Unwilling, monkeypatch: pytest.MonkeyPatch) -> str:
    async def resolve(_: object) -> list[Address]:
        return [V6, V4]

    monkeypatch.setattr(netcat, "_resolve", resolve)
    chosen = options(["example", "80"], listen=False, ipv4=False, ipv6=False, retry_s=60)
    monkeypatch.setattr(netcat, "_RETRY_EVERY_S", 0)
    with pytest.raises(TestbedError) as caught:
        asyncio.run(_Session(chosen, host).run())  # type: ignore[arg-type]
    return str(caught.value)


def test_what_became_of_each_address_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Unwilling(errno.EHOSTUNREACH, errno.ENETUNREACH)
    assert failure(host, monkeypatch) == (
        "example port 80: 2001:db8::1: No route to host; 192.0.2.1: Network is unreachable"
    )
    assert host.tries == 2


@pytest.mark.parametrize(
    "errors",
    [(errno.ECONNREFUSED, errno.ENETUNREACH), (errno.ENETUNREACH, errno.ECONNREFUSED)],
)
def test_one_that_refuses_is_tried_again(
    errors: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Unwilling(*errors)
    assert "No route to host" in failure(host, monkeypatch)
    assert host.tries == 4
