"""Names of numbers."""

from __future__ import annotations

import pytest

from testbed.analysis.instance import Instance, parse
from testbed.errors import InputError
from testbed.metric import Subject


@pytest.mark.parametrize(
    ("text", "instance", "subject"),
    [
        ("goodput", Instance(metric="goodput"), None),
        ("transfer.goodput", Instance(metric="goodput", flow="transfer"), Subject.FLOW),
        (
            "transfer@wifi.share",
            Instance(metric="share", flow="transfer", link="wifi"),
            Subject.PATH,
        ),
        ("@wifi.share", Instance(metric="share", link="wifi"), Subject.PATH),
        (
            "wifi>server.dropped",
            Instance(metric="dropped", link="wifi", toward="server"),
            Subject.WIRE,
        ),
    ],
)
def test_a_name_says_what_a_number_is_about(text, instance, subject):
    assert parse(text) == instance
    assert instance.subject is subject
    assert str(instance) == text


@pytest.mark.parametrize(
    "text", ["", ".goodput", "transfer.", "transfer@.share", ">server.dropped", "wifi>.dropped"]
)
def test_half_a_name_is_none(text):
    with pytest.raises(InputError, match=r"is not the name of a metric.*FLOW@LINK\.METRIC"):
        parse(text)
