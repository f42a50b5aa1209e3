"""The text of a page's file."""

from __future__ import annotations

import json
from collections.abc import Iterator

from testbed.workload.page import ObjectSpec, PageSpec


def as_yaml(page: PageSpec, comments: tuple[str, ...] = ()) -> str:
    """Return a page as YAML, an object a line.

    :param comments: lines at the top.
    """
    lines = [f"# {comment}".rstrip() for comment in comments]
    if page.description:
        lines.append(f"description: {json.dumps(page.description, ensure_ascii=False)}")
    lines += ["objects:", *(f"  - {{{', '.join(_fields(each))}}}" for each in page.objects)]
    return "\n".join(lines) + "\n"


def _fields(it: ObjectSpec) -> Iterator[str]:
    yield f"name: {json.dumps(it.name, ensure_ascii=False)}"
    yield f"size: {it.size}"
    if it.after:
        yield f"after: {json.dumps(it.after, ensure_ascii=False)}"
    if it.delay:
        yield f"delay: {it.delay}"
    if it.think:
        yield f"think: {it.think}"
