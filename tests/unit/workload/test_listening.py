"""What is read from /proc while a program starts."""

from __future__ import annotations

from testbed.workload.listening import listens


def test_a_listening_port_is_found_in_the_table():
    table = (
        "  sl  local_address rem_address   st tx_queue rx_queue\n"
        "   0: 0100007F:1389 00000000:0000 0A 00000000:00000000\n"
        "   1: 0100007F:1F90 0100007F:9999 01 00000000:00000000\n"
    )
    assert listens(table, 5001)
    assert not listens(table, 8080)  # a connection, not a listener
    assert not listens(table, 500)
