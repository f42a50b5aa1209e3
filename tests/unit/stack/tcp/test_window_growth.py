"""The congestion window grows if it was used up, also with an extension that holds data back."""

from __future__ import annotations

import pytest

from testbed.packet.address import Address, Flow
from testbed.stack.tcp.config import TcpConfig
from testbed.stack.tcp.congestion.cubic import Cubic
from testbed.stack.tcp.endpoint import TcpEndpoint

from .network import MS, Network, transfer

DELAY = 10_000_000
CLIENT, SERVER = Address("10.0.0.1", 1000), Address("10.0.0.2", 80)


def exchange(sender, receiver, now):
    """Carry the segments of one to the other; return the time then."""
    for segment in sender.segments_to_send(now):
        receiver.receive(segment, now + DELAY)
    return now + DELAY


def test_data_given_in_just_the_portions_that_may_leave_lets_the_window_grow():
    """As with MPTCP's scheduler, no data is ever left in the queue."""
    client, server = (TcpEndpoint(TcpConfig(), bytes(16)) for _ in range(2))
    server.listen(SERVER)
    connection = client.connect(Flow(CLIENT, SERVER), 0)
    now = exchange(client, server, 0)
    now = exchange(server, client, now)
    first = connection.cwnd
    for _ in range(5):
        connection.send(bytes(connection.cwnd - connection.in_flight))
        now = exchange(client, server, now)
        while (happened := server.next_event()) is not None:
            happened[0].read(1 << 20)
        now = exchange(server, client, now)
    assert connection.cwnd >= 8 * first


def test_a_window_that_is_not_used_does_not_grow():
    client, server = (TcpEndpoint(TcpConfig(), bytes(16)) for _ in range(2))
    server.listen(SERVER)
    connection = client.connect(Flow(CLIENT, SERVER), 0)
    now = exchange(client, server, 0)
    now = exchange(server, client, now)
    first = connection.cwnd
    for _ in range(10):
        connection.send(bytes(2 * 1448))
        now = exchange(client, server, now)
        while (happened := server.next_event()) is not None:
            happened[0].read(1 << 20)
        now = exchange(server, client, now)
    assert connection.cwnd == first


@pytest.mark.parametrize("seed", range(3))
def test_each_loss_of_a_path_without_a_bottleneck_costs_what_cubic_says(seed, monkeypatch):
    """RFC 9438, section 4.6: beta is 0.7, wherever in a burst a loss is found."""
    shares = []
    reduce = Cubic.on_loss

    def on_loss(control, used, now):
        before = control.window
        reduce(control, used, now)
        shares.append(control.threshold / before)

    monkeypatch.setattr(Cubic, "on_loss", on_loss)
    network = Network(seed=seed, delay=25 * MS, loss=0.01)
    transfer(network, bytes(2_000_000))
    assert len(shares) > 3
    assert min(shares) > 0.69
