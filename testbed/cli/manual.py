"""The manual page: man(7) source from the commands, with the sections that man-pages(7) names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from testbed import __version__
from testbed.cli.commands import PROGRAM, Described, Parameter, every

_EXIT: Final = (
    ("0", "success"),
    ("1", "something failed, or a run could not be proved"),
    ("2", "bad input"),
    ("3", "an expectation is not met, or something regressed"),
    ("4", "this machine cannot do it"),
    ("130", "interrupted"),
    ("141", "the program that read the output has ended"),
)
_ENVIRONMENT: Final = (
    ("XDG_CACHE_HOME", "its directory testbed has the kernels that were fetched or built"),
    ("NO_COLOR", "no colours"),
)


def page() -> str:
    """Return the page. Equal commands have equal text."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    program, *commands = every()
    yield f'.TH TESTBED 1 "" "testbed {__version__}" "User Commands"'
    yield from (".SH NAME", r"testbed \- " + _escaped(program.summary.rstrip(".")))
    yield from (".SH SYNOPSIS", ".B testbed", ".RI [ options ]", ".I command", ".RI [ arguments ]")
    yield ".SH DESCRIPTION"
    yield from _text(program.paragraphs[1:])
    yield from _parameters(program.parameters)
    yield ".SH COMMANDS"
    for command in commands:
        yield from _command(command)
    yield from (".SH EXIT STATUS", *_definitions(_EXIT))
    yield from (".SH ENVIRONMENT", *_definitions(_ENVIRONMENT))
    yield from (".SH SEE ALSO", ".BR ip-mptcp (8),", ".BR tc-netem (8)")


def _command(command: Described) -> Iterator[str]:
    name = command.name.removeprefix(f"{PROGRAM} ")
    yield f'.SS "{_escaped(name)}"'
    if not command.group:
        yield from (".B " + _escaped(command.usage), ".PP")
    yield from _text(command.paragraphs)
    yield from _parameters(command.parameters)


def _text(paragraphs: tuple[str, ...]) -> Iterator[str]:
    for paragraph in paragraphs:
        if paragraph.startswith(" "):
            yield from (".PP", ".EX", *map(_escaped, paragraph.splitlines()), ".EE")
        else:
            yield from (".PP", *map(_escaped, paragraph.splitlines()))


def _parameters(parameters: tuple[Parameter, ...]) -> Iterator[str]:
    for each in parameters:
        names = ", ".join(f"\\fB{_escaped(name)}\\fR" for name in each.names)
        value = f"\\fI{_escaped(each.value)}\\fR" if each.value else ""
        default = f" [default: {each.default}]" if each.default else ""
        yield from (".TP", " ".join(filter(None, (names, value))), _escaped(each.help + default))


def _definitions(pairs: tuple[tuple[str, str], ...]) -> Iterator[str]:
    for term, meaning in pairs:
        yield from (".TP", f".B {_escaped(term)}", _escaped(meaning))


def _escaped(text: str) -> str:
    """Return text with escapes for troff."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text.startswith((".", "'")) else text
