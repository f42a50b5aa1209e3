"""Compiled modules are used only if they are of the sources that are there."""

from __future__ import annotations

import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from testbed import compiled
from testbed.cli import application as command_line
from testbed.compiled import Finder

ROOT = Path(__file__).parents[2]
NAME = "testbed.made_up"
SCRIPT = ROOT / "scripts" / "compile"
FEW = (
    "packet/checksum",
    "packet/codec",
    "packet/option_list",
    "packet/mptcp_decoder",
    "stack/tcp/congestion/reno",
)
# Says what module runs, and what it does.
PROGRAM = """
import sys
from pathlib import Path
from testbed import compiled

if len(sys.argv) > 1:
    sys.meta_path.insert(0, compiled.Finder(Path(sys.argv[1]), compiled.ROOT, "require"))
from testbed.packet import codec
from testbed.packet.address import Address
from testbed.packet.mptcp import AddAddr, Dss
from testbed.packet.options import Sack, Timestamps
from testbed.packet.segment import ACK, PSH, Segment
from testbed.stack.tcp.congestion.control import Group
from testbed.stack.tcp.congestion.reno import Reno

class Timid(Reno):
    def _reduce_to(self, octets):
        super()._reduce_to(octets // 2)

print(Path(codec.__file__).suffix, Path(sys.modules[Reno.__module__].__file__).suffix)
options = (
    (Timestamps(1, 2),),
    (Timestamps(3, 4), Dss(data_ack=5, dsn=6, subflow_seq=7, length=8, checksum=9)),
    (Sack(((10, 20), (30, 40))), AddAddr(address_id=1, address="10.0.0.9", hmac=bytes(8))),
)
for host, peer in (("10.0.0.1", "10.0.0.2"), ("fd00::1", "fd00::2")):
    for each, payload in zip(options, (b"odd", bytes(range(1, 255)), bytes((255,)) * 1447)):
        segment = Segment(source=Address(host, 1), destination=Address(peer, 2), seq=2**32 - 1,
                          flags=ACK | PSH, options=each, payload=payload)
        octets = codec.emit(segment)
        assert codec.parse(octets) == segment
        print(octets.hex())
control = Timid(Group())
control.start(1000, 10)
control.on_loss(10_000, 0)
print(control.window)
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Compiled modules of one source, ``tmp_path``/testbed/made_up.py."""
    source = tmp_path / "testbed" / "made_up.py"
    found = tmp_path / "compiled" / compiled.ABI
    for directory in (source.parent, found / "testbed"):
        directory.mkdir(parents=True)
    source.write_text("ANSWER = 42\n")
    (found / "testbed" / f"made_up{compiled.SUFFIX}").write_bytes(b"no real library")
    (found / compiled.MANIFEST).write_text(compiled.manifest([source], tmp_path))
    return found


def test_they_are_found_before_their_sources(place: Path, tmp_path: Path) -> None:
    finder = Finder(place, tmp_path, "auto")
    found = finder.find_spec(NAME)
    assert found is not None
    assert found.origin == str(place / "testbed" / f"made_up{compiled.SUFFIX}")
    assert finder.find_spec("testbed.another") is None
    assert finder.find_spec("json") is None
    assert finder.status().build == "compiled"


def test_the_manifest_is_one_of_sha256sum(place: Path, tmp_path: Path) -> None:
    command = ["sha256sum", "--check", str(place / compiled.MANIFEST)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "testbed/made_up.py: OK\n")


@pytest.mark.parametrize("text", ["ANSWER = 43\n", None])
def test_none_is_used_once_a_source_has_changed(
    place: Path, tmp_path: Path, text: str | None
) -> None:
    source = tmp_path / "testbed" / "made_up.py"
    if text is None:
        source.unlink()
    else:
        source.write_text(text)
    finder = Finder(place, tmp_path, "auto")
    assert finder.find_spec(NAME) is None
    status = finder.status()
    assert (status.build, status.stale) == ("interpreted", True)
    assert "because testbed/made_up.py changed; `make compile`" in status.why
    with pytest.raises(ImportError, match=r"TESTBED_COMPILED=require: .* changed"):
        Finder(place, tmp_path, "require").find_spec(NAME)


def test_none_is_used_where_the_manifest_is_empty(place: Path, tmp_path: Path) -> None:
    """No manifest names their sources, as after a crash."""
    (place / compiled.MANIFEST).write_text("")
    finder = Finder(place, tmp_path, "auto")
    assert finder.find_spec(NAME) is None
    assert finder.status().stale


def test_the_sources_are_taken_where_that_is_wanted(place: Path, tmp_path: Path) -> None:
    finder = Finder(place, tmp_path, "no")
    assert finder.find_spec(NAME) is None
    assert finder.status() == ("interpreted", "TESTBED_COMPILED=no", False)


def test_another_choice_is_refused(place: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ImportError, match="TESTBED_COMPILED=yes: it must be one of auto, no, require"
    ):
        Finder(place, tmp_path, "yes").status()


def test_without_any_the_sources_run(tmp_path: Path) -> None:
    finder = Finder(tmp_path / compiled.ABI, ROOT, "auto")
    assert finder.status().build == "interpreted"
    with pytest.raises(ImportError, match=r"there are no compiled modules for .*make compile"):
        Finder(tmp_path / compiled.ABI, ROOT, "require").status()


def test_the_command_line_says_it_where_they_are_out_of_date(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stale = compiled.Status("interpreted", "the compiled modules are not used", stale=True)
    monkeypatch.setattr(compiled, "status", lambda: stale)
    done = CliRunner().invoke(command_line.application, ["stacks"])
    assert done.stderr == "testbed: the compiled modules are not used\n"
    assert done.exit_code == 0


def test_the_command_line_cannot_do_without_what_is_required(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def status() -> compiled.Status:
        raise ImportError("TESTBED_COMPILED=require: there are none")

    monkeypatch.setattr(compiled, "status", status)
    done = CliRunner().invoke(command_line.application, ["stacks"])
    assert "TESTBED_COMPILED=require: there are none" in done.stderr
    assert "unset TESTBED_COMPILED" in done.stderr
    assert done.exit_code == 4


def test_a_module_that_defines_structs_is_not_compiled() -> None:
    script = runpy.run_path(str(SCRIPT), run_name="compile")
    names = {str(path.relative_to(ROOT / "testbed")) for path in script["modules"]()}
    assert {"stack/tcp/recovery.py", "packet/codec.py", "sim/agenda.py"} <= names
    assert not {"packet/segment.py", "stack/tcp/config.py", "stack/__init__.py"} & names


def test_the_emulator_is_compiled_but_not_what_python_starts() -> None:
    """Python starts a program by the code object of its ``__main__``; a compiled one has none."""
    script = runpy.run_path(str(SCRIPT), run_name="compile")
    found = script["modules"]()
    assert ROOT / "testbed/wire/emulator/loop.py" in found
    assert not [path for path in found if path.name == "__main__.py"]


def test_constants_of_other_modules_count_as_sources() -> None:
    script = runpy.run_path(str(SCRIPT), run_name="compile")
    found = script["sources"]([ROOT / "testbed" / "stack" / "tcp" / "output.py"])
    names = {str(path.relative_to(ROOT)) for path in found}
    assert {"testbed/stack/tcp/config.py", "testbed/errors.py"} <= names
    assert "testbed/sim/host.py" not in names


def test_without_a_compiler_it_says_what_is_missing() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT)],
        env={**os.environ, "CC": "no-such-compiler -O"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 4
    assert re.match(r"compile: no C compiler \(no-such-compiler\): install one", done.stderr)


@pytest.mark.timeout(600)  # a C compiler on a busy machine
@pytest.mark.skipif(shutil.which(os.environ.get("CC", "cc")) is None, reason="no C compiler")
def test_what_is_compiled_does_the_same(tmp_path: Path) -> None:
    place = tmp_path / compiled.ABI
    paths = [str(ROOT / "testbed" / f"{name}.py") for name in FEW]
    places = ["--into", str(place), "--build", str(tmp_path / "build"), "--optimize", "0"]
    subprocess.run([sys.executable, str(SCRIPT), *places, *paths], check=True, capture_output=True)
    kinds, *said = _says(str(place))
    assert kinds == ".so .so"
    assert [".py .py", *said] == _says()
    assert said[-1] == "2500"  # the interpreted subclass has its say


def _says(*arguments: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), "TESTBED_COMPILED": "no"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()
