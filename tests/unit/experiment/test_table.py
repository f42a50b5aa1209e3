"""Cases that a table holds."""

from __future__ import annotations

import pytest

from testbed.errors import InputError
from testbed.experiment.load import load
from testbed.experiment.overrides import Overrides

EXPERIMENT = """\
topology:
  nodes: {client: {}, server: {}}
  links: {wifi: {between: [client, server], netem: {rate: 1mbit, delay: 1ms}}}
stacks: [userspace-tcp]
workload: {kind: bulk, from: client, to: server, size: 10KB}
cases: table.csv
"""
SIM = Overrides(machine="sim")


def written(folder, table):
    (folder / "table.csv").write_text(table)
    file = folder / "try.yaml"
    file.write_text(EXPERIMENT)
    return file


def test_each_line_is_a_case(tmp_path):
    table = (
        "# where it is from\ncase,links.wifi.rate,links.wifi.limit\n\na 1,2mbit,10\nb,4mbit,20\n"
    )
    experiment = load(written(tmp_path, table), SIM)
    assert [cell.parameters for cell in experiment.cells] == [{"case": "a 1"}, {"case": "b"}]
    assert experiment.raw["cases"]["a 1"] == {"links.wifi.rate": "2mbit", "links.wifi.limit": 10}


@pytest.mark.parametrize(
    ("table", "line", "message"),
    [
        ("case,links.wifi.rate\na,1mbit,2\n", 2, "has 3 columns, but the first line has 2"),
        ("case,links.wifi.rate\na,1mbit\na,2mbit\n", 3, "there is already a case 'a'"),
        ("name,links.wifi.rate\n", 1, "the first column must be 'case'"),
        ("", 1, "the first column must be 'case'"),
        ('case,links.wifi.rate\n"a,1mbit\n', 2, "unexpected end of data"),
    ],
)
def test_a_mistake_in_a_table_is_named_by_its_line(tmp_path, table, line, message):
    with pytest.raises(InputError, match=message) as caught:
        load(written(tmp_path, table), SIM)
    assert (caught.value.file, caught.value.line) == (tmp_path / "table.csv", line)
    assert len(caught.value.every) == 1


def test_a_mistake_in_a_path_is_one_of_the_cases(tmp_path):
    with pytest.raises(InputError, match=r"try\.yaml:6: cases\.a.*links\.lte"):
        load(written(tmp_path, "case,links.lte.rate\na,1mbit\n"), SIM)


def test_a_table_that_is_not_there(tmp_path):
    file = written(tmp_path, "")
    (tmp_path / "table.csv").unlink()
    with pytest.raises(
        InputError, match=r"try\.yaml:6: cases: .*table\.csv cannot be read: No such"
    ):
        load(file, SIM)
