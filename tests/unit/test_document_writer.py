"""Written YAML is read as the same data."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed import document

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
)
PRINTABLE = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")))
TEXTS = PRINTABLE | st.from_regex(
    r"[-+]?[0-9]+(\.[0-9]*)?([eE][0-9]+)?|0[xo][0-7]+", fullmatch=True
)
DATA = st.recursive(
    SCALARS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=50)
@given(st.dictionaries(TEXTS, DATA, max_size=3))
def test_every_value_survives(data):
    assert document.parse(document.dump(data), "x")[0] == data


@pytest.mark.parametrize("text", ["1e3", "0o17", "0x1F", "no", "1:30", "~", ".5", "+1", ""])
def test_text_like_a_number_stays_text(text):
    assert document.parse(document.dump({"a": text}), "x")[0] == {"a": text}


def test_leaves_take_one_line():
    data = {"links": {"wifi": {"between": ["client", "server"], "netem": {"rate": "20mbit"}}}}
    expected = """\
links:
  wifi:
    between: [client, server]
    netem: {rate: 20mbit}
"""
    assert document.dump(data) == expected
