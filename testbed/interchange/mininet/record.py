"""Run a Mininet script on stand-ins, in this process, and print its network as JSON.

The module :mod:`testbed.interchange.mininet.reading` runs this one as a program, with the arguments
``FILE [TOPO]``. The script sees the user id of root. Programs that it starts are recorded but not
run. Files that it writes are discarded. It can open no socket. This prevents a Mininet script from
changing the machine. It does not confine a malicious script.
"""

# ruff: noqa: ARG001, ARG002 - stand-ins have the signatures of what they stand for

from __future__ import annotations

import builtins
import functools
import importlib.abc
import importlib.machinery
import io
import os
import runpy
import subprocess
import sys
import time
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from testbed.interchange.mininet import model, standins, topologies

_FORBIDDEN: Final = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn",
                     "os.fork", "os.forkpty", "socket.connect", "socket.bind", "os.kill",
                     "os.remove", "os.rename", "os.rmdir", "os.mkdir", "shutil.rmtree",
                     "os.chmod", "os.chown", "os.truncate", "os.link", "os.symlink")  # fmt: skip
_MADE_BY_RULE: Final = ("SingleSwitchTopo", "SingleSwitchReversedTopo", "MinimalTopo", "LinearTopo")
_SWITCHES: Final = ("OVSSwitch", "OVSKernelSwitch", "OVSBridge", "UserSwitch", "IVSSwitch",
                    "LinuxBridge", "KernelSwitch")  # fmt: skip
_CONTROLLERS: Final = ("RemoteController", "OVSController", "DefaultController", "NOX", "Ryu",
                       "NullController")  # fmt: skip


def _names() -> dict[str, dict[str, Any]]:
    """Return the names in each module of Mininet. Missing names are created on access."""
    node = {name: getattr(standins, name) for name in
            ("Node", "Host", "CPULimitedHost", "Switch", "Controller")}  # fmt: skip
    node |= dict.fromkeys(_SWITCHES, standins.Switch)
    node |= dict.fromkeys(_CONTROLLERS, standins.Controller)
    link = {name: getattr(standins, name) for name in
            ("Intf", "TCIntf", "Link", "TCLink", "TCULink", "OVSLink")}  # fmt: skip
    topo = {name: getattr(topologies, name) for name in ("Topo", *_MADE_BY_RULE)}
    util = {
        "irange": lambda start, end: range(start, end + 1),
        "custom": functools.partial,
        "customClass": lambda classes, text: classes.get(text.partition(",")[0]),
        "natural": topologies.natural,
        "quietRun": lambda *words, **_: _machine_runs(" ".join(map(str, words))),
        "dumpNodeConnections": lambda *_: None,
    }
    log = dict.fromkeys(
        ("setLogLevel", "info", "error", "warn", "warning", "debug", "output"), _nothing
    )
    return {
        "mininet": {},
        "mininet.node": node,
        "mininet.nodelib": {"LinuxBridge": standins.Switch, "NAT": standins.NAT},
        "mininet.link": link,
        "mininet.topo": topo,
        "mininet.topolib": {"TreeTopo": topologies.TreeTopo, "TreeNet": _tree_net},
        "mininet.net": {
            "Mininet": standins.Mininet,
            "MininetWithControlNet": standins.Mininet,
            "VERSION": "2.3.0",
        },
        "mininet.util": util,
        "mininet.log": log,
    }


def _nothing(*_: Any, **__: Any) -> None:
    pass


def _tree_net(depth: int = 1, fanout: int = 2, **options: Any) -> standins.Mininet:
    return standins.Mininet(topologies.TreeTopo(depth=depth, fanout=fanout), **options)


class _Modules(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """An importer that creates ``mininet`` and every module below it."""

    def __init__(self) -> None:
        self._names = _names()

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name.partition(".")[0] != "mininet":
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: Any) -> None:
        return None

    def exec_module(self, module: types.ModuleType) -> None:
        vars(module).update(self._names.get(module.__name__, {}))
        vars(module).setdefault("__all__", [*self._names.get(module.__name__, ())])
        vars(module)["__getattr__"] = functools.partial(_missing, module.__name__)


def _missing(module: str, name: str) -> Any:
    """Return the stand-in for a missing name: a class if capitalized, else an object."""
    if name.startswith("__"):
        raise AttributeError(name)
    return type(name, (standins.Anything,), {}) if name[0].isupper() else standins.Anything()


def _machine_runs(words: Any, *_: Any, **__: Any) -> str:
    """Record a program that would run on the machine. The words are a list or one text."""
    listed = isinstance(words, (list, tuple))
    text = " ".join(map(str, words)) if listed else str(words)
    standins.COMMANDS.append((None, text))
    return ""


class _Popen(standins.Process):
    def __init__(self, args: Any, *_: Any, **__: Any) -> None:
        super().__init__()
        _machine_runs(args)


def _forbid() -> None:
    """Replace functions that would change the machine, and refuse other attempts."""

    def ran(result: Any) -> Callable[..., Any]:
        def run(args: Any, *_: Any, **__: Any) -> Any:
            _machine_runs(args)
            return result

        return run

    done = subprocess.CompletedProcess([], 0, stdout="", stderr="")
    for name, result in (("call", 0), ("check_call", 0), ("check_output", b""), ("run", done),
                         ("getoutput", ""), ("getstatusoutput", (0, ""))):  # fmt: skip
        setattr(subprocess, name, ran(result))
    vars(subprocess)["Popen"] = _Popen
    vars(os).update(system=ran(0), popen=lambda *words, **_: io.StringIO(_machine_runs(*words)))
    for name in ("geteuid", "getuid"):
        setattr(os, name, lambda: 0)
    for name in ("makedirs", "mkdir", "remove", "unlink", "rename", "kill", "chdir", "chmod"):
        setattr(os, name, _nothing)
    vars(time)["sleep"] = _nothing
    vars(builtins).update(input=lambda *_: "", open=_opened(builtins.open))
    sys.dont_write_bytecode = True
    sys.addaudithook(_refuse)


def _opened(really: Callable[..., Any]) -> Callable[..., Any]:
    def opened(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        if set(mode) & set("wax+"):
            return io.BytesIO() if "b" in mode else io.StringIO()
        return really(file, mode, *arguments, **options)

    return opened


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & os.O_ACCMODE
    if writes or event in _FORBIDDEN:
        raise PermissionError(f"{event} is refused while the script is read")


def record(file: Path, topology: str | None) -> model.Recorded:
    """Run a script and return the network that it requested."""
    sys.meta_path.insert(0, _Modules())
    sys.path.insert(0, str(file.parent.absolute()))
    sys.argv = [str(file)]
    found = model.Recorded()
    _forbid()
    name = "__main__" if topology is None else "topology"
    try:
        space = runpy.run_path(str(file), run_name=name)
    except SystemExit:
        space = {}
    except Exception as error:
        found.error, space = _told(error, file), {}
    if topology is not None or not standins.NETS:
        _build(found, space, topology)
    if standins.NETS:
        found.found = True
        _take(found, max(standins.NETS, key=len))
    return found


def _told(error: BaseException, file: Path) -> str:
    """Return one line about an error, with the last script line of its traceback."""
    trace, line = error.__traceback__, None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(file):
            line = trace.tb_lineno
        trace = trace.tb_next
    if isinstance(error, SyntaxError):
        line = error.lineno
    where = "" if line is None else f"line {line}: "
    return f"{where}{type(error).__name__}: {error}".splitlines()[0]


def _build(found: model.Recorded, space: dict[str, Any], topology: str | None) -> None:
    """Build a topology that the script defines but did not build itself."""
    classes = {
        name: it for name, it in space.items()
        if isinstance(it, type) and issubclass(it, topologies.Topo)
        and it.__module__ != topologies.__name__
    }  # fmt: skip
    given = space.get("topos")
    listed: dict[str, Any] = dict(given) if isinstance(given, dict) else {}
    choices = classes | listed
    found.choices = list(choices)
    alone = listed or classes
    if topology is None and len(alone) == 1:
        topology = next(iter(alone))
    if topology is None or topology not in choices:
        return
    try:
        standins.NETS.clear()
        standins.Mininet(topo=choices[topology](), link=standins.TCLink).build()
    except Exception as error:
        found.error = f"{topology}: {type(error).__name__}: {error}"


def _take(found: model.Recorded, net: standins.Mininet) -> None:
    """Copy the parts of a network into values."""
    for node in (*net.hosts, *net.switches):
        if isinstance(node, standins.NAT):
            found.notes.append(f"{node.name}: a NAT to the network outside is left out")
            continue
        notes = [f"{key}={node.params[key]}" for key in ("cpu", "cores", "sched")
                 if node.params.get(key) is not None]  # fmt: skip
        if node.params.get("privateDirs"):
            notes.append("privateDirs")
        is_switch = isinstance(node, standins.Switch)
        found.nodes.append(
            model.Node(name=str(node.name), kind="switch" if is_switch else "host", notes=notes)
        )
    names = {node.name for node in found.nodes}
    if net.begun and net.begun != net.links:
        found.notes.append("links that change after the start: write events of an experiment")
    for link in dict.fromkeys([*net.begun, *net.links]):
        if not isinstance(link, standins.Link):
            continue
        first, second = _interface(link.intf1), _interface(link.intf2)
        if {first.node, second.node} <= names:
            shaped = link.intf1.shaped or link.intf2.shaped
            found.links.append(model.Link(ends=(first, second), shaped=shaped))
    found.commands = [model.Command(node, text) for node, text in standins.COMMANDS]
    found.notes += standins.NOTES


def _interface(intf: Any) -> model.Interface:
    params: dict[str, model.Plain] = {
        key: it for key, it in intf.params.items() if isinstance(it, (str, int, float))
    }
    return model.Interface(
        node=str(intf.node.name), name=str(intf.name), addresses=intf.addresses, params=params
    )


def main(arguments: Sequence[str]) -> None:
    """Run the script that the command line names."""
    file, *topology = arguments
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # the output of the script is not ours
    found = record(Path(file), topology[0] if topology else None)
    output.write(msgspec.json.encode(found))
    output.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
