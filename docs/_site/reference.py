"""Pages of the reference that are written from the code: schemas, commands, the Python API.

They lie in docs/reference, which git ignores, and are written again when they have changed.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "reference"
MODULES = ("testbed.api", "testbed.pytest.assertions", "testbed.errors")


def schema_page(title: str, intro: str, schema: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of a page about the files that a JSON Schema describes."""
    yield from (f"# {title}", "", intro, "")
    for name, definition in schema["$defs"].items():
        if "properties" not in definition:
            continue
        text, keys = parted(definition.get("description", ""))
        yield from (f"## {name}", "", text, "")
        if not definition["properties"]:
            yield from ("No keys.", "")
            continue
        yield from ("| key | values | default | |", "| --- | --- | --- | --- |")
        required = definition.get("required", ())
        for key, value in definition["properties"].items():
            default = "required" if key in required else shown(value.get("default"))
            said = keys.get(key) or value.get("description", "")
            yield f"| `{key}` | {cell(values(value))} | {default} | {cell(said)} |"
        yield ""


def parted(description: str) -> tuple[str, dict[str, str]]:
    """Return the text of a docstring in Markdown, and what it says of each parameter."""
    keys: dict[str, str] = {}
    for names, text in re.findall(
        r"^:param (.*?): (.*?)(?=^\S|\Z)", description, re.MULTILINE | re.DOTALL
    ):
        for name in re.split(r"\W+", names):
            keys[name] = markdown(" ".join(text.split()))
    text = re.split(r"^:\w+", description, maxsplit=1, flags=re.MULTILINE)[0]
    return markdown(text.strip()), keys


def markdown(text: str) -> str:
    """Return reStructuredText of our docstrings as Markdown."""
    text = re.sub(r":\w+:`~?([^`]*)`", r"`\1`", text)
    return text.replace("``", "`").replace("<", "&lt;") if "`<" not in text else text


def cell(text: str) -> str:
    """Return text that a cell of a table may hold."""
    return " ".join(text.split()).replace("|", "\\|")


def values(schema: dict[str, Any] | bool) -> str:
    """Return what a value may be, in words."""
    if isinstance(schema, bool):
        return "any value"
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"`{name}`"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(values(it) for it in schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(f"`{it}`" for it in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    kind = schema.get("type", "any value")
    if kind == "array":
        return f"list of {values(schema.get('items', {}))}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"mapping to {values(schema['additionalProperties'])}"
    if isinstance(kind, list):
        return " or ".join(kind)
    limits = [f"{word} {schema[key]}" for key, word in (("minimum", "from"), ("maximum", "to"))
              if key in schema]  # fmt: skip
    return " ".join([kind, *limits])


def shown(default: object) -> str:
    """Return a default; none where there is nothing to say."""
    return "" if default in (None, "", [], {}) else f"`{default}`"


def commands_page() -> Iterator[str]:
    """Yield the lines of the page about the commands."""
    from testbed.cli.commands import every

    yield from (
        "# Commands",
        "",
        "Each command prints this with `--help`; `testbed man` is the manual page.",
        "",
    )
    for command in every():
        yield from (f"## {command.name}", "", "```text", command.usage, "```", "")
        for paragraph in command.paragraphs:
            if paragraph.startswith(" "):
                yield from (
                    "```console",
                    *(f"$ {line[4:]}" for line in joined(paragraph)),
                    "```",
                    "",
                )
            else:
                yield from (escaped(paragraph), "")
        if command.parameters:
            yield from ("| | | default |", "| --- | --- | --- |")
        for it in command.parameters:
            name = ", ".join(it.names) + (f" {it.value}" if it.names and it.value else it.value)
            yield f"| `{cell(name)}` | {cell(escaped(it.help))} | {cell(it.default)} |"
        yield ""


def joined(paragraph: str) -> list[str]:
    """Return the lines of an example, each of them whole."""
    return re.sub(r"\\\n\s+", "", paragraph).splitlines()


def escaped(text: str) -> str:
    """Return a help text whose signs are not Markdown's, but for code."""
    return re.sub(r"(?<!`)([<*_#])(?![^`]*`)", r"\\\1", text)


def python_page() -> Iterator[str]:
    """Yield the lines of the page about the public Python API."""
    yield from ("# Python", "", "[From Python](../api.md) has examples.", "")
    for name in MODULES:
        module = importlib.import_module(name)
        yield from (f"## {name}", "", markdown(first(module)), "")
        public = getattr(module, "__all__", None) or [
            it for it in vars(module) if not it.startswith("_")
        ]
        for member in public:
            value = getattr(module, member)
            if getattr(value, "__module__", "") in (name, "testbed.experiment.load"):
                yield from described(member, value)


def described(name: str, value: Any) -> Iterator[str]:
    """Yield the lines about a class or a function."""
    signature = str(inspect.signature(value)) if inspect.isfunction(value) else ""
    yield from (f"### {name}", "", "```python", f"{name}{signature}", "```", "", body(value), "")
    if not inspect.isclass(value):
        return
    for member, part in vars(value).items():
        function = part.fget if isinstance(part, property) else part
        if member.startswith("_") or not inspect.isfunction(function):
            continue
        end = "" if isinstance(part, property) else str(inspect.signature(function))
        text = " ".join(body(function).split())
        yield f"- `{member}{end}`: {text}"
    yield ""


def body(value: Any) -> str:
    """Return a docstring with its parameters as a list."""
    text, keys = parted(inspect.getdoc(value) or "")
    return "\n".join([text, "", *(f"- `{key}`: {said}" for key, said in keys.items())])


def first(value: Any) -> str:
    """Return the first paragraph of a docstring."""
    return (inspect.getdoc(value) or "").split("\n\n")[0]


def write(_app: Any) -> None:
    """Write the pages."""
    from testbed.experiment import schema

    FOLDER.mkdir(exist_ok=True)
    pages = {
        "topology": schema_page(
            "Keys of a topology",
            "Written from the JSON Schema (`testbed schema topology`). The file is a "
            "`TopologySpec`; [topologies](../topologies.md) explains it.",
            schema.topology(),
        ),
        "experiment": schema_page(
            "Keys of an experiment",
            "Written from the JSON Schema (`testbed schema experiment`). The file is an "
            "`ExperimentSpec`; [experiments](../experiments.md) explains it.",
            schema.experiment(),
        ),
        "commands": commands_page(),
        "python": python_page(),
    }
    for name, lines in pages.items():
        path, text = FOLDER / f"{name}.md", "\n".join(lines) + "\n"
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def setup(app: Any) -> dict[str, bool]:
    """Be an extension of Sphinx."""
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True}
