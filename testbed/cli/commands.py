"""The commands as values, for the manual page and the reference of the documentation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from testbed.cli.application import application

PROGRAM: Final = "testbed"


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """An argument or an option.

    :param names: an option's names; none for an argument.
    :param value: the placeholder for its value; empty for a flag.
    """

    names: tuple[str, ...]
    value: str
    help: str
    default: str


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """One command, with the contents of its ``--help``.

    :param name: the complete name: ``testbed machine list``.
    :param paragraphs: its text. An example is a paragraph of indented lines, which are kept.
    :param group: whether it is a group of commands, which does nothing by itself.
    """

    name: str
    usage: str
    paragraphs: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    group: bool

    @property
    def summary(self) -> str:
        """The first sentence."""
        return self.paragraphs[0].replace("\n", " ") if self.paragraphs else ""


def every() -> Iterator[Described]:
    """Yield the program itself, then each command in the order of the help."""
    import typer

    root: Any = typer.main.get_command(application)
    yield from _described(root, PROGRAM, None)


def _described(command: Any, name: str, parent: Any) -> Iterator[Described]:
    context = command.make_context(name, [], parent=parent, resilient_parsing=True)
    parameters = [each for each in command.params if not each.hidden]
    children = command.list_commands(context) if hasattr(command, "list_commands") else []
    yield Described(
        name=name,
        usage=" ".join([name, *command.collect_usage_pieces(context)]),
        paragraphs=tuple(_paragraphs(command.help or "")),
        parameters=tuple(_parameter(each, context) for each in parameters),
        group=bool(children),
    )
    for child in children:
        yield from _described(command.get_command(context, child), f"{name} {child}", context)


def _paragraphs(text: str) -> Iterator[str]:
    """Yield the paragraphs of a help text, without click's mark for kept lines."""
    import inspect

    for paragraph in inspect.cleandoc(text).split("\n\n"):
        kept, _, rest = paragraph.partition("\n") if paragraph.startswith("\b") else ("", "", "")
        block = rest if kept else paragraph
        if block.strip():
            yield block.rstrip()


def _parameter(parameter: Any, context: Any) -> Parameter:
    written, said = parameter.get_help_record(context) or ("", "")
    text = getattr(parameter, "help", None) or ""
    named = (*parameter.opts, *parameter.secondary_opts) if _is_option(parameter) else ()
    words = [word for word in written.split() if not word.startswith(("-", "/"))]
    value = " ".join(words) if named else parameter.metavar or parameter.name.upper()
    # The help text may state the default already.
    stated = "[default: " in said and "[default: " not in text
    default = said.rpartition("[default: ")[2].partition("]")[0] if stated else ""
    return Parameter(names=named, value=value, help=text, default=default)


def _is_option(parameter: Any) -> bool:
    return bool(parameter.param_type_name == "option")
