"""The YAML writer: plain data to text that the reader reads as the same data."""

from __future__ import annotations

import re
from typing import Final

import yaml

from testbed.document.reader import FLOAT, INT, Data

WIDTH: Final = 100  # of a line, where a value can be broken at all


class _Dumper(yaml.SafeDumper):
    """Quotes text that the reader, but not PyYAML, would take for a number: ``1e3``, ``0o17``."""


for _tag, _pattern in (("int", INT), ("float", FLOAT)):
    _Dumper.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern.pattern})$"), list("-+.0123456789")
    )


def dump(data: Data) -> str:
    """Return plain data as YAML; mappings and lists that hold only scalars take one line."""
    text: str = yaml.dump(
        data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=None,
        width=WIDTH,
    )  # fmt: skip
    return text
