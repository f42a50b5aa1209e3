"""Workloads in YAML: what is read, what is refused, and what becomes of it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from testbed.document import structured
from testbed.errors import InputError
from testbed.workload import bulk, stream
from testbed.workload.base import Workload
from testbed.workload.spec import Command, Iperf3, ReqRes


def read(**fields: Any) -> Any:
    return structured({"from": "client", "to": "server", **fields}, Workload)


def test_quantities_are_in_the_grammar_of_tc():
    spec = read(kind="bulk", size="20MB", direction="both")
    assert (spec.source, spec.target, spec.port) == ("client", "server", None)
    assert spec.sessions(seed=7)[0].job == bulk.Job(
        octets=20 * 1024**2, duration_ns=None, forward=True, reverse=True, seed=7
    )


def test_the_rate_and_duration_of_a_stream_give_its_blocks():
    job = read(kind="stream", block=1000, rate="8mbit", duration="2s").sessions(seed=1)[0].job
    assert job == stream.Job(block=1000, interval_ns=1_000_000, count=2000, forward=True, seed=1)


def test_a_count_of_blocks_stands_for_itself():
    assert read(kind="stream", count=5).sessions(seed=1)[0].job.count == 5


def test_defaults_of_reqres():
    job = read(kind="reqres").sessions(seed=1)[0].job
    assert (job.request, job.response, job.count, job.interval_ns) == (64, 16384, 100, 0)


def test_a_program_can_wait_for_a_port_or_a_word():
    spec = read(
        kind="command",
        programs=[
            {"node": "server", "argv": ["nginx"], "ready": 80},
            {"node": "client", "argv": ["curl", "{address}"], "ready": "^done", "ends": True},
        ],
    )
    assert isinstance(spec, Command)
    assert [program.ready for program in spec.programs] == [80, "^done"]


def test_it_is_written_as_it_is_read():
    spec = read(kind="iperf3", duration="2s", parallel=4)
    assert isinstance(spec, Iperf3)
    assert structured(msgspec.to_builtins(spec), Workload) == spec
    assert msgspec.to_builtins(spec)["from"] == "client"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"kind": "bulk"}, "either `size` or `duration`"),
        ({"kind": "bulk", "size": "1MB", "duration": "1s"}, "either `size` or `duration`"),
        ({"kind": "bulk", "size": "-1"}, "`size`"),
        ({"kind": "bulk", "size": 0}, "`size` must be more than 0"),
        ({"kind": "bulk", "size": "20 potatoes"}, "`size`"),
        ({"kind": "bulk", "duration": "5"}, "`duration`"),
        ({"kind": "bulk", "size": "1MB", "sise": "1MB"}, "sise"),
        ({"kind": "bulk", "size": "1MB", "port": 70000}, "65535"),
        ({"kind": "reqres", "count": 0}, ">= 1"),
        ({"kind": "reqres", "interval": "-1ms"}, "`interval`"),
        ({"kind": "reqres", "service_time": "soon"}, "`service_time`"),
        ({"kind": "stream", "duration": "1s", "rate": "0mbit"}, "`rate` must be more than 0"),
        (
            {"kind": "stream", "duration": "1s", "block": 1, "rate": "1tbit"},
            "the maximum is 1000000",
        ),
        ({"kind": "stream", "duration": "1s", "direction": "both"}, "direction"),
        ({"kind": "iperf3", "duration": "1500ms"}, "whole seconds"),
        ({"kind": "command", "programs": []}, "programs"),
        ({"kind": "command", "programs": [{"node": "a", "argv": []}]}, "argv"),
        (
            {"kind": "command", "programs": [{"node": "a", "argv": ["x"], "ready": "("}]},
            "not a regular expression",
        ),
        ({"kind": "ftp"}, "ftp"),
    ],
)
def test_what_is_wrong_is_refused(fields, words):
    with pytest.raises((msgspec.ValidationError, InputError)) as caught:
        read(**fields)
    assert words in str(caught.value)


def test_a_transaction_is_not_sent_without_octets():
    with pytest.raises(ValueError, match="`request` must be more than 0"):
        ReqRes(source="a", target="b", request=0)


@pytest.mark.parametrize(
    ("option", "tcp"),
    [
        ("-u", False),
        ("-ub5M", False),
        ("-4u", False),
        ("--udp", False),
        ("-R", True),
        ("-bu", True),
    ],
)
def test_iperf3_options_that_are_written_as_one_word(option, tcp):
    text = {"kind": "iperf3", "from": "a", "to": "b", "duration": "1s", "options": [option]}
    if tcp:
        assert msgspec.convert(text, Iperf3).options == (option,)
    else:
        with pytest.raises(msgspec.ValidationError, match="does not test TCP"):
            msgspec.convert(text, Iperf3)
