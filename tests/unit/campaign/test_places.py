"""The place of experiments, by the command line and the files."""

from __future__ import annotations

import pytest

from testbed.campaign.places import places
from testbed.errors import InputError
from testbed.machine.model import VARIABLE

HERE = (["a.yaml"], ())
OLD_NEW = (["b.yaml"], ("uml:6.1", "uml:7.3"))
NEW_QEMU = (["c.yaml"], ("uml:7.3", "qemu:6.1"))


@pytest.fixture(autouse=True)
def _outside(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)


def test_without_machines_nothing_is_started():
    assert places((), [HERE], virtual_time=False) == {}


def test_each_machine_gets_all_that_wants_it_at_once_and_the_host_the_rest():
    assert places((), [OLD_NEW, HERE, NEW_QEMU], virtual_time=False) == {
        "uml:6.1": ["b.yaml"],
        "uml:7.3": ["b.yaml", "c.yaml"],
        "host": ["a.yaml"],
        "qemu:6.1": ["c.yaml"],
    }


def test_the_command_line_goes_before_the_files():
    assert places(["qemu:6.1"], [OLD_NEW, HERE], virtual_time=False) == {
        "qemu:6.1": ["b.yaml", "a.yaml"]
    }
    assert places(["host"], [OLD_NEW], virtual_time=False) == {"host": ["b.yaml"]}
    assert places(["host", "host"], [HERE], virtual_time=False) == {"host": ["a.yaml"]}


def test_inside_a_machine_the_files_are_not_followed_again(monkeypatch):
    monkeypatch.setenv(VARIABLE, "uml:6.1")
    assert places((), [OLD_NEW], virtual_time=False) == {}
    assert places(["host"], [OLD_NEW], virtual_time=False) == {"host": ["b.yaml"]}


def test_virtual_time_is_a_property_of_each_machine():
    wanted = (["d.yaml"], ("uml:6.1", "uml:7.3+virtual-time"))
    assert list(places((), [wanted], virtual_time=True)) == [
        "uml:6.1+virtual-time",
        "uml:7.3+virtual-time",
    ]


@pytest.mark.parametrize("given", [(), ("host",)])
def test_this_host_has_no_virtual_time(given):
    with pytest.raises(InputError, match="--virtual-time needs a machine"):
        places(given, [HERE], virtual_time=True)
