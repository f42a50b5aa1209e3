"""`testbed stacks`."""

from __future__ import annotations

import json
import re

import pytest
from typer.testing import CliRunner

from testbed.cli.application import application
from testbed.stack.mptcp.scheduler import SCHEDULERS


def said(*command: str) -> str:
    done = CliRunner().invoke(application, command)
    assert done.exit_code == 0, done.output
    return done.output


def test_each_option_says_what_it_means() -> None:
    stacks = json.loads(said("stacks", "--json"))["stacks"]
    shown = said("stacks")
    for options in (stack["options"] for stack in stacks):
        assert all(options.values())
    ours = next(stack["options"] for stack in stacks if stack["name"] == "userspace")
    for option, line in ours.items():
        assert re.search(rf"^  {option} +{re.escape(line)}$", shown, re.MULTILINE)
    assert ours["opportunistic_retransmission"].startswith("when the shared window is full")
    assert "Raiciu" in ours["opportunistic_retransmission"]


@pytest.mark.parametrize("name", SCHEDULERS.own())
def test_each_scheduler_has_a_line_with_its_source(name: str) -> None:
    line = json.loads(said("stacks", "--json"))["ours"]["scheduler"][name]
    assert re.search(r": (.*(19|20)\d\d|net/mptcp/.* of Linux \d\.\d+|testbed's own.*)$", line)
    assert re.search(rf"^ +{name} +{re.escape(line)}$", said("stacks"), re.MULTILINE)
