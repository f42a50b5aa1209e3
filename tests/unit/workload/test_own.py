"""Numbers that programs print."""

from __future__ import annotations

import msgspec
import pytest

from testbed.errors import InputError, WorkloadError
from testbed.metric import Better
from testbed.workload.own import OwnMetric, read
from testbed.workload.spec import Command


@pytest.mark.parametrize(
    ("where", "output", "value"),
    [
        (OwnMetric(json="end.streams[1].rtt"), '{"end": {"streams": [{}, {"rtt": 12.5}]}}', 12.5),
        (OwnMetric(json="times[-1]"), '{"times": [1, 2, 3]}', 3.0),
        (OwnMetric(regex=r"took (\d+) ms"), "it took 12 ms\nit took 15 ms\n", 15.0),
        (OwnMetric(regex=r"speed=([0-9.e+]+)"), "speed=1.5e3", 1500.0),
    ],
)
def test_a_number_is_found(where, output, value):
    assert read({"speed": where}, output, "curl") == {"speed": value}


@pytest.mark.parametrize(
    ("where", "output"),
    [
        (OwnMetric(json="end.rtt"), '{"end": {}}'),
        (OwnMetric(json="end[3]"), '{"end": [1]}'),
        (OwnMetric(json="end"), '{"end": "fast"}'),
        (OwnMetric(json="end"), '{"end": true}'),
        (OwnMetric(json="end"), "no JSON"),
        (OwnMetric(json="end"), '{"end": "nan"}'),
        pytest.param(OwnMetric(json="end"), '{"end": ' + 400 * "9" + "}", id="too large"),
        (OwnMetric(json="end"), '{"end": 1e308}'),
        (OwnMetric(regex=r"took (\S+) ms"), "it took inf ms"),
        (OwnMetric(regex=r"took (\S+) ms"), "it took -1e101 ms"),
        (OwnMetric(regex=r"took (\d+) ms"), "it failed"),
    ],
)
def test_one_that_is_not_there_fails_the_run(where, output):
    with pytest.raises(WorkloadError, match=r"curl did not print the metric 'speed' \(.+\): ."):
        read({"speed": where}, output, "curl")


def command(metrics):
    raw = {
        "from": "client",
        "to": "server",
        "programs": [{"node": "client", "argv": ["true"], "metrics": metrics}],
    }
    return msgspec.convert(raw | {"kind": "command"}, Command)


def test_they_are_metrics_with_units():
    speed = {"json": "speed", "unit": "bit/s", "better": "higher", "definition": "how fast"}
    (metric,) = command({"speed": speed}).own.values()
    assert (metric.name, metric.unit, metric.better) == ("speed", "bit/s", Better.HIGHER)
    assert metric.definition == "how fast"


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ({"Speed": {"json": "a"}}, "'Speed' is not a valid name for a metric"),
        ({"goodput": {"json": "a"}}, "the metric 'goodput' already exists"),
        ({"speed": {}}, "either `json` or `regex`"),
        ({"speed": {"json": "a", "regex": "(b)"}}, "either `json` or `regex`"),
        ({"speed": {"regex": "("}}, "is not a regular expression"),
        ({"speed": {"regex": "took"}}, "must have one group"),
        ({"speed": {"json": "a", "unit": "furlongs"}}, "furlongs"),
    ],
)
def test_mistakes(metrics, message):
    with pytest.raises((InputError, msgspec.ValidationError), match=message):
        command(metrics)
