"""``testbed init``: a new project folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from testbed.cli.options import Json
from testbed.cli.output import print_json
from testbed.errors import InputError
from testbed.text import clean

SCHEMAS: Final = "schemas"


class Made(msgspec.Struct, frozen=True):
    """The files that were written, and the existing files that were kept."""

    written: list[str]
    kept: list[str]


def command(
    directory: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="The project folder; created if it does not exist."),
    ],
    json: Json = False,
) -> None:
    """Make a project folder: topology, experiments, tests, CI.

    The tests use testbed's pytest plugin. The first line of each YAML file names a JSON Schema in
    schemas/. An editor with a YAML language server uses it to complete and check the file. Existing
    files are kept. Only the schemas are written again, for the installed testbed and its plugins.

    Examples:

        testbed init my-tests
        cd my-tests && pytest --testbed-machine sim
    """
    from testbed import shipped
    from testbed.experiment import schema

    if directory.exists() and not directory.is_dir():
        raise InputError(f"{directory}: is not a directory")
    files = {
        path.relative_to(top): path.read_bytes()
        for top in [shipped.folder(shipped.PROJECT)]
        for path in sorted(top.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
    kept = [name for name in files if (directory / name).exists()]
    schemas = {
        Path(SCHEMAS, "topology.schema.json"): _json(schema.topology()),
        Path(SCHEMAS, "experiment.schema.json"): _json(schema.experiment()),
    }
    new = {name: text for name, text in files.items() if name not in kept} | schemas
    for name, content in new.items():
        _write(directory / name, content)
    made = Made([str(directory / name) for name in new], [str(directory / name) for name in kept])
    if json:
        print_json(made)
        return
    for word, paths in (("wrote", made.written), ("kept", made.kept)):
        for path in paths:
            typer.echo(clean(f"{word} {path}"))
    typer.echo(clean(f"Next: {_next(directory)}"))


def _next(directory: Path) -> str:
    """Return the command that runs the tests, with the pytest of this environment.

    Another pytest does not know the plugin.
    """
    import importlib.util
    import shlex
    import shutil

    python = shlex.quote(sys.executable)
    steps = [f"cd {shlex.quote(str(directory))}", f"{python} -m pytest --testbed-machine sim"]
    if importlib.util.find_spec("pytest") is None:
        steps.insert(0, f"{python} -m pip install pytest")
    elif shutil.which("pytest") == str(Path(sys.executable).with_name("pytest")):
        steps[-1] = "pytest --testbed-machine sim"
    return " && ".join(steps)


def _json(schema: dict[str, Any]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(schema), indent=2) + b"\n"


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from error
