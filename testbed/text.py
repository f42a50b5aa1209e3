"""Text from untrusted sources: names of files, nodes and programs."""

from __future__ import annotations


def clean(text: str) -> str:
    """Return text with its control characters written out, so terminals and browsers ignore them.

    A file's name and a foreign result folder may contain escape sequences.
    """
    if text.isprintable():
        return text
    return "".join(
        each if each in "\n\t" or each.isprintable() else repr(each)[1:-1] for each in text
    )
