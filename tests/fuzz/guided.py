"""Octets that atheris chooses by the branches of a codec which earlier ones have reached."""

from __future__ import annotations

import importlib
import sys
import tempfile
from pathlib import Path
from random import Random
from typing import Any, Final, NoReturn

from testbed.errors import InputError
from tests.fuzz import codecs

SKIPPED: Final = "skipped: atheris is not installed (pip install atheris, for CPython 3.11 to 3.13)"
_SEEDS: Final = 200  # cases of the codec to begin with
_MODULES: Final = ("address", "checksum", "codec", "icmp", "mptcp", "options", "segment")


def atheris() -> Any | None:
    """Return the library, ``None`` where it is not installed."""
    try:
        return importlib.import_module("atheris")
    except ImportError:
        return None


def fuzz(name: str, runs: int, seed: int) -> NoReturn:
    """Fuzz a codec; the library ends the process, with another code than 0 if something is found.

    :raises InputError: there is no such codec.
    """
    if name not in codecs.CODECS:
        raise InputError(f"there is no codec {name}", hint=f"one of {', '.join(codecs.CODECS)}")
    library = atheris()
    assert library is not None, SKIPPED
    make, check = codecs.CODECS[name]
    for module in _MODULES:
        _instrument(library, importlib.import_module(f"testbed.packet.{module}"))
    with tempfile.TemporaryDirectory() as corpus:
        for number in range(_SEEDS):
            (Path(corpus) / str(number)).write_bytes(make(Random(f"{name} {number}")))
        library.Setup([sys.argv[0], f"-runs={runs}", f"-seed={seed}", corpus], check)
        library.Fuzz()
    raise AssertionError("atheris has returned")


def _instrument(library: Any, module: Any) -> None:
    """Have the library see the branches of a module's functions and methods."""
    for holder in (module, *(one for one in vars(module).values() if isinstance(one, type))):
        for function in list(vars(holder).values()):
            if getattr(function, "__module__", "") == module.__name__ and hasattr(
                function, "__code__"
            ):
                library.instrument_func(function)
