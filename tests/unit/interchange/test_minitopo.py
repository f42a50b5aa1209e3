"""minitopo's files become topologies and experiments."""

from __future__ import annotations

import pytest

from testbed import document
from testbed.errors import InputError
from testbed.experiment.load import load
from testbed.interchange import minitopo

TOPOLOGY = """\
desc:Two paths
# delay, queue, rate, loss, backup
topoType:MultiIf
leftSubnet:10.0.
rightSubnet:10.1.
path_c2r_0:10,20,4
path_c2r_1:40,30,8,1.5,1
"""


def written(path, text):
    path.write_text(text)
    return path


def test_a_client_with_two_paths_a_router_and_a_server(tmp_path):
    found = minitopo.read(written(tmp_path / "topo", TOPOLOGY))
    found.check()
    assert found.notes == ()
    assert found.data == {
        "description": "Two paths",
        "nodes": {"client": {}, "router": {"kind": "router"}, "server": {}},
        "links": {
            "path0": {
                "between": {
                    "client": {"addresses": ["10.0.0.1/24"]},
                    "router": {"addresses": ["10.0.0.2/24"]},
                },
                # The bandwidth-delay product of 4 Mbit/s and 20 ms is 7 packets of 1500 octets. 20
                # packets more take 57 ms, where a megabit is 1024 * 1024 bits: 28,500 octets.
                "netem": {"rate": "4mbit", "delay": "10ms", "limit": "39000b"},
            },
            "path1": {
                "between": {
                    "client": {"addresses": ["10.0.1.1/24"], "endpoint": ["subflow", "backup"]},
                    "router": {"addresses": ["10.0.1.2/24"]},
                },
                "netem": {"rate": "8mbit", "delay": "40ms", "limit": "123000b", "loss": "1.5%"},
            },
            "server0": {
                "between": {
                    "server": {"addresses": ["10.1.0.1/24"]},
                    "router": {"addresses": ["10.1.0.2/24"]},
                }
            },
        },
    }


def test_older_files_and_a_queue_that_is_left_out(tmp_path):
    found = minitopo.read(written(tmp_path / "topo", "path_0:10,5\npath_r2s_0:1,100,50\n"))
    found.check()
    assert [*found.data["links"]] == ["path0", "server0"]
    # 9 packets of 1500 octets, and 9 more, which take 20 ms: 12,500 octets.
    assert found.data["links"]["path0"]["netem"] == {
        "rate": "5mbit", "delay": "10ms", "limit": "26000b",
    }  # fmt: skip


def test_an_experiment_with_changes_in_time(tmp_path):
    topology = written(
        tmp_path / "topo", f"{TOPOLOGY}changeNetem:yes\nnetemAt_c2r_0:2.5,loss 10%\n"
    )
    text = "xpType:https\nfile_size:512\nclientPcap:yes\nrmem:4096 87380 300000\nsched:redundant\n"
    found = minitopo.read(topology, written(tmp_path / "xp", text))
    found.check()
    assert found.data["events"] == [{"at": "2500ms", "link": "path0", "set": {"loss": "10%"}}]
    assert found.data["workload"] == {
        "kind": "bulk", "from": "client", "to": "server", "size": "512KB", "direction": "reverse",
    }  # fmt: skip
    assert found.data["pcap"] is True
    assert found.data["topology"]["sysctls"] == {"net.ipv4.tcp_rmem": "4096 87380 300000"}
    assert [note.where for note in found.notes] == ["path0 at 2500ms", "xp:5: sched"]
    load(written(tmp_path / "experiment.yaml", found.text()))


def test_changes_in_time_without_an_experiment_are_a_note(tmp_path):
    text = "path_0:10,5\nchangeNetem:yes\nnetemAt_0:1,delay 20ms\n"
    (note,) = minitopo.read(written(tmp_path / "topo", text)).notes
    assert note.where == "netemAt"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path_0:10\n", "topo:1: '10' is not a path: it has 1 numbers"),
        ("path_0:10,0\n", "topo:1: '10,0' is not a path: the rate must be more than 0"),
        ("path_0:x,5\n", "topo:1: 'x,5' is not a path"),
        ("#\npath_0:1,nan\n", "topo:2: '1,nan' is not a path"),
        ("path_0:1,2,3,101\n", "topo:1: '1,2,3,101' is not a path: the loss"),
        ("leftSubnt:10.0.\n", "topo:1: unknown key 'leftSubnt'; did you mean 'leftSubnet'?"),
        ("nonsense\n", "topo:1: 'nonsense' is not KEY:VALUE"),
        ("topoType:ECMPLike\n", "topo:1: topoType 'ECMPLike' has no counterpart"),
        ("", "topo: it has no path"),
        ("path_0:1,1\nchangeNetem:yes\nnetemAt_1:1,loss 1%\n", "topo:3: there is no such path"),
        ("path_0:1,1\nchangeNetem:yes\nnetemAt_0:1,lss 1%\n", "topo:3: '1,lss 1%': unknown netem"),
    ],
)
def test_what_cannot_be_read_names_its_line(tmp_path, text, message):
    with pytest.raises(InputError) as caught:
        minitopo.read(written(tmp_path / "topo", text))
    assert message in str(caught.value)


def test_an_experiment_without_a_counterpart(tmp_path):
    topology = written(tmp_path / "topo", TOPOLOGY)
    with pytest.raises(InputError, match="xpType 'vlc' has no counterpart"):
        minitopo.read(topology, written(tmp_path / "xp", "xpType:vlc\n"))
    with pytest.raises(InputError, match="cannot be read: No such file"):
        minitopo.read(tmp_path / "nowhere")


def test_the_text_is_read_back_as_the_same_data(tmp_path):
    found = minitopo.read(written(tmp_path / "a topo\n", TOPOLOGY.replace("Two paths", "1e3")))
    text = found.text()
    assert document.parse(text, "x")[0] == found.data
    assert text.startswith("# Imported from the minitopo file 'a topo\\n'.\n")
