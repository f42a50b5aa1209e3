"""Provenance: facts, no secrets, and what differs."""

from __future__ import annotations

import os
import platform

import msgspec
import pytest

from testbed.results.environment import gather


def test_it_says_where_and_with_what():
    here = gather()
    assert here.kernel.release == platform.release()
    assert here.cpu.count >= 1
    assert here.memory > 0
    assert set(here.packages) >= {"msgspec", "scipy"}
    assert here.machine == "host"


def test_no_environment_variable_leaks(monkeypatch):
    monkeypatch.setenv("TESTBED_SECRET", "hunter2-in-the-environment")
    assert b"hunter2" not in msgspec.json.encode(gather())


def test_it_survives_json():
    here = gather()
    assert msgspec.json.decode(msgspec.json.encode(here), type=type(here)) == here


def test_differences_are_named():
    here = gather()
    assert here.differences(gather()) == []
    other = msgspec.structs.replace(here, python="2.7.18")
    assert here.differences(other) == [f"python: {here.python}, 2.7.18"]


@pytest.mark.parametrize("octets", [1_047_072_768, 1_044_320_256])  # two starts of one machine
def test_what_a_kernel_takes_at_its_start_makes_no_other_machine(monkeypatch, octets):
    pages = {"SC_PHYS_PAGES": octets // 4096, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(os, "sysconf", pages.__getitem__)
    assert gather().memory == 1024**3
