"""The writer of page files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from testbed.text import clean
from testbed.workload.page import ObjectSpec, PageSpec
from testbed.workload.sizes import Quantity


def as_yaml(page: PageSpec, comments: tuple[str, ...] = ()) -> str:
    """Return a page as YAML, with one object per line.

    :param comments: the comment lines at the top.
    """
    lines = [f"# {line}".rstrip() for each in comments for line in clean(each).splitlines()]
    if page.description:
        lines.append(f"description: {_quoted(page.description)}")
    lines += ["objects:", *(f"  - {{{', '.join(_fields(each))}}}" for each in page.objects)]
    return "\n".join(lines) + "\n"


def _fields(it: ObjectSpec) -> Iterator[str]:
    yield f"name: {_quoted(it.name)}"
    yield f"size: {it.size}"
    if it.after:
        yield f"after: {_waits(it.after)}"
    if it.delay:
        yield f"delay: {it.delay}"
    if it.think:
        yield f"think: {it.think}"


def _waits(after: tuple[str, ...] | dict[str, Quantity]) -> str:
    if isinstance(after, dict):
        return f"{{{', '.join(f'{_quoted(name)}: {most}' for name, most in after.items())}}}"
    return f"[{', '.join(map(_quoted, after))}]"


def _quoted(text: str) -> str:
    """Return text in double quotes, as YAML and most of JSON write it.

    Characters that YAML does not allow are escaped (YAML 1.2, section 5.1). Lone surrogates, which
    replace invalid UTF-8 octets in file names, become U+FFFD.
    """
    whole = re.sub(r"[\ud800-\udfff]", "\ufffd", text)
    quoted = json.dumps(whole, ensure_ascii=False)
    return "".join(each if each.isprintable() else f"\\U{ord(each):08x}" for each in quoted)
