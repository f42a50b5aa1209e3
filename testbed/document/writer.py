"""The YAML writer. The reader reads the same data from its text."""

from __future__ import annotations

import re
from typing import Final

import yaml

from testbed.document.reader import FLOAT, INT, Data

WIDTH: Final = 100  # columns of a line, if its value can be wrapped


class _Dumper(yaml.SafeDumper):
    """Quotes text that only our reader parses as a number: ``1e3``, ``0o17``."""


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
