"""Where the command line puts the runs."""

from __future__ import annotations

import pytest

from testbed.campaign.where import Where
from testbed.errors import InputError
from testbed.experiment.overrides import NO_OVERRIDES

UML = "uml:7.3"


@pytest.mark.parametrize(
    ("where", "machine", "elsewhere", "virtual"),
    [
        (Where(), "host", False, False),
        (Where(sim=True), "sim", False, False),
        (Where(machines=("host",)), "host", False, False),
        (Where(machines=(UML,)), "host", True, False),
        (Where(machines=(UML,), virtual_time=True), "host", True, True),
        (Where(machines=(f"{UML}+virtual-time",)), "host", True, True),
        (Where(machines=(f"{UML}+virtual-time", "host")), "host", True, False),
        (Where(on="local:2"), "host", False, False),
        (Where(on="tcp://scheduler:8786"), "host", True, False),
        (Where(on="tcp://scheduler:8786", sim=True), "sim", False, False),
    ],
)
def test_experiments_know_where_they_run(where, machine, elsewhere, virtual):
    found = where.applied(NO_OVERRIDES, resumed=False)
    assert (found.machine, found.elsewhere, found.virtual_time) == (machine, elsewhere, virtual)
    again = where.applied(NO_OVERRIDES, resumed=True)
    assert (again.machine, again.elsewhere, again.virtual_time) == (machine, False, False)


@pytest.mark.parametrize(
    ("where", "wire", "until_decided", "message"),
    [
        (Where(sim=True, machines=(UML,)), None, False, "--sim cannot be used with --machine"),
        (Where(sim=True), "netem", False, "--sim cannot be used with --machine or --wire"),
        (Where(sim=True), None, True, "in virtual time one run decides"),
        (Where(machines=(UML,), virtual_time=True), None, True, "in virtual time one run decides"),
    ],
)
def test_options_that_contradict_one_another(where, wire, until_decided, message):
    with pytest.raises(InputError, match=message):
        where.check(wire=wire, until_decided=until_decided)
