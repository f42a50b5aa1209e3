"""Experiments that cannot run in virtual time."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.errors import InputError
from testbed.experiment.load import Experiment, load
from testbed.experiment.overrides import Overrides

FILE = """
topology: {nodes: {a: {}, b: {}}, links: {l: {between: [a, b]}}}
stacks: [tcp]
"""
IPERF3 = "workload: {kind: iperf3, from: a, to: b, duration: 1s}\n"
PROGRAM = """
workload:
  kind: command
  from: a
  to: b
  programs: [{node: b, argv: [sh, -c, exit]}, {node: a, argv: [env, /usr/bin/iperf3, -v]}]
"""
VIRTUAL = Overrides(elsewhere=True, virtual_time=True)


def read(folder: Path, text: str, overrides: Overrides) -> Experiment:
    path = folder / "try.yaml"
    path.write_text(FILE + text)
    return load(path, overrides)


@pytest.mark.parametrize(
    ("text", "line", "place"),
    [
        (IPERF3, 4, "workload.kind"),
        (PROGRAM, 9, "workload.programs[1].argv"),
        (IPERF3.replace("workload: ", "flows:\n  one: "), 5, "flows.one.kind"),
    ],
)
def test_iperf3_is_refused_in_virtual_time(
    tmp_path: Path, text: str, line: int, place: str
) -> None:
    with pytest.raises(InputError, match="cannot run in virtual time") as caught:
        read(tmp_path, text, VIRTUAL)
    (error,) = caught.value.every
    assert (error.line, error.path) == (line, place)


def test_a_file_that_names_a_virtual_machine_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot run in virtual time"):
        read(tmp_path, IPERF3 + "machines: [uml:7.3+virtual-time]\n", Overrides(elsewhere=True))


def test_iperf3_runs_in_real_time(tmp_path: Path) -> None:
    read(tmp_path, IPERF3 + "machines: [uml:7.3]\n", Overrides(elsewhere=True))
