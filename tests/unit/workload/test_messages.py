"""Errors cross from a worker to the one who started it."""

from __future__ import annotations

import msgspec
import pytest

from testbed.errors import InputError, PlatformError, WorkloadError
from testbed.workload.listening import listens
from testbed.workload.messages import AnyMessage, Failed


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (WorkloadError("it broke", hint="mend it"), WorkloadError),
        (PlatformError("no MPTCP", why="old kernel", instead="a new one"), PlatformError),
        (InputError("bad", file="x.yaml", line=3), WorkloadError),
    ],
)
def test_an_error_is_the_same_on_the_other_side(error, kind):
    line = msgspec.json.encode(Failed.of(error))
    again = msgspec.json.decode(line, type=AnyMessage).error()
    assert type(again) is kind
    assert again.message == error.message
    assert again.hint == error.hint


def test_a_listening_port_is_found_in_the_table():
    table = (
        "  sl  local_address rem_address   st tx_queue rx_queue\n"
        "   0: 0100007F:1389 00000000:0000 0A 00000000:00000000\n"
        "   1: 0100007F:1F90 0100007F:9999 01 00000000:00000000\n"
    )
    assert listens(table, 5001)
    assert not listens(table, 8080)  # a connection, not a listener
    assert not listens(table, 500)
