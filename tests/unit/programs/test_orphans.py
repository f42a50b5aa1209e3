"""How long connections are waited for once no program has them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from testbed.programs.run import Orphans


class Held(SimpleNamespace):
    """The inspected properties of a connection."""

    __hash__ = object.__hash__


@pytest.fixture
def orphans():
    return Orphans()


def test_what_moves_is_waited_for_however_long_it_takes(orphans):
    connection = Held(unsent=1000, delivered=False)
    for now in range(0, 9000, 90):
        connection.unsent -= 1
        assert orphans.waits_for(connection, float(now))


@pytest.mark.parametrize("unsent", [0, 1000])
def test_a_peer_that_does_not_acknowledge_has_as_long_as_linux_gives_it(orphans, unsent):
    """The end of the data is to be acknowledged, too."""
    connection = Held(unsent=unsent, delivered=False)
    assert orphans.waits_for(connection, 5.0)
    assert orphans.waits_for(connection, 105.0)
    assert not orphans.waits_for(connection, 105.5)


def test_a_peer_that_has_all_has_a_while_to_close_its_side(orphans):
    connection = Held(unsent=7, delivered=False)
    assert orphans.waits_for(connection, 0.0)
    connection.unsent, connection.delivered = 0, True
    assert orphans.waits_for(connection, 50.0)
    assert orphans.waits_for(connection, 60.0)
    assert not orphans.waits_for(connection, 60.5)


def test_each_connection_has_its_own_time(orphans):
    first, second = (Held(unsent=7, delivered=False) for _ in range(2))
    assert orphans.waits_for(first, 0.0)
    assert orphans.waits_for(second, 50.0)
    assert not orphans.waits_for(first, 101.0)
    assert orphans.waits_for(second, 101.0)
