"""Mininet's scripts become topologies, and topologies scripts."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from testbed.errors import InputError
from testbed.interchange import mininet
from testbed.interchange.mininet.commands import understood
from testbed.topology.load import loads_topology
from testbed.topology.plan import plan
from testbed.topology.resolve import resolve

ROOT = Path(__file__).parents[3]
# Mininet sets these on the machine when it starts.
BUFFERS = {
    "net.ipv4.tcp_rmem": "10240 87380 16777216",
    "net.ipv4.tcp_wmem": "10240 87380 16777216",
}
MULTIPATH = '''\
"""Two paths over a router, configured by commands; programs are started, files written."""
import os
import subprocess
import time

from mininet.cli import CLI
from mininet.link import TCLink
from mininet.net import Mininet
from mininet.node import OVSController
from mininet.wifi import Anything, at_all

if __name__ == "__main__":
    if os.geteuid() != 0:
        raise SystemExit("run me as root")
    subprocess.check_call(["sysctl", "-w", "net.mptcp.mptcp_enabled=1"])
    os.system("mn -c")
    net = Mininet(link=TCLink, controller=OVSController)
    client, server, router = (net.addHost(name) for name in ("client", "server", "router"))
    for number in range(2):
        net.addLink(client, router, bw=10 * (number + 1), delay="5ms", jitter="1ms", loss=1)
    net.addLink(router, server, params1={"bw": 100}, params2={"delay": 500}, enable_ecn=True)
    net.build()
    router.cmd("echo 1 > /proc/sys/net/ipv4/ip_forward")
    router.cmd("sysctl -w net.mptcp.mptcp_path_manager=fullmesh")
    for number in range(2):
        router.cmd(f"ifconfig router-eth{number} 10.0.{number}.1 netmask 255.255.255.0")
        client.cmd(f"ip addr add 10.0.{number}.2/24 dev client-eth{number}")
        client.cmd(f"ip rule add from 10.0.{number}.2 table {number + 1}")
    client.cmd("ip mptcp limits set subflow 1; ip mptcp endpoint add 10.0.1.2 backup")
    client.cmd("sudo sysctl -w net.ipv4.tcp_sack=0 && tc qdisc add dev client-eth1 root netem "
               "loss 3%")
    server.setIP("10.9.0.1/16", intf="server-eth0")
    with open("never-written", "w") as log:
        log.write(server.cmd("iperf -s &"))
    time.sleep(10_000)
    CLI(net)
    int(client.cmd("cat pid"))
'''
CUSTOM = """\
from mininet.topo import LinearTopo, Topo

class Star(Topo):
    def build(self, n=3):
        s1 = self.addSwitch("s1")
        for number in range(n):
            self.addLink(self.addHost(f"h{number + 1}"), s1, bw=5)

topos = {"star": Star, "line": lambda: LinearTopo(k=3, n=2)}
"""


def read(path, text, *arguments):
    path.write_text(text)
    return mininet.read(path, *arguments)


def test_a_script_that_configures_its_hosts_by_commands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = read(tmp_path / "net.py", MULTIPATH)
    found.check()
    assert found.data["nodes"] == {
        "client": {"sysctls": {"net.ipv4.tcp_sack": "0"}, "mptcp": {"limits": {"subflows": 1}}},
        "server": {},
        "router": {"kind": "router"},
    }
    first, second, third = found.data["links"].values()
    assert [*found.data["links"]] == ["client-router", "client-router-2", "router-server"]
    assert found.data["sysctls"] == BUFFERS
    assert first == {
        "between": {
            "client": {"interface": "client-eth0", "addresses": ["10.0.0.2/24"]},
            "router": {"interface": "router-eth0", "addresses": ["10.0.0.1/24"]},
        },
        "offload": True,
        "shaper": "sender",
        "netem": {"delay": "5ms 1ms", "rate": "10mbit", "loss": "1%"},
    }
    assert second["between"]["client"]["endpoint"] == ["backup"]
    assert second["toward"]["router"] == {"delay": "5ms 1ms", "rate": "20mbit", "loss": "3%"}
    assert second["toward"]["client"]["loss"] == "1%"
    assert third["toward"] == {"server": {"rate": "100mbit"}, "router": {"delay": "500us"}}
    assert third["between"]["server"]["addresses"] == ["10.9.0.1/16"]
    assert not (tmp_path / "never-written").exists()


def test_what_has_no_counterpart_is_a_note(tmp_path):
    notes = read(tmp_path / "net.py", MULTIPATH).notes
    assert {(note.where, note.what.partition(":")[0]) for note in notes} == {
        ("router-server", "enable_ecn=True has no counterpart"),
        ("router-eth2", "no address in Mininet, an automatic one here"),
        ("", "the script failed after it had built the network"),
        ("client", "routes and rules left out"),
        ("client", "programs left out"),
        ("net.mptcp.mptcp_path_manager", "sysctls of the out-of-tree MPTCP kernel left out"),
        ("server", "programs left out"),
        ("this machine", "commands left out, none was run"),
    }
    whole = "\n".join(map(str, notes))
    last = len(MULTIPATH.splitlines())
    assert f"line {last}: ValueError: invalid literal for int()" in whole
    assert "`sysctl -w net.mptcp.mptcp_enabled=1`, `mn -c`" in whole
    assert "`iperf -s`" in whole


def test_a_topology_by_its_name(tmp_path):
    star = read(tmp_path / "custom.py", CUSTOM, "star")
    star.check()
    assert star.data["nodes"]["s1"] == {"kind": "switch"}
    assert star.data["links"]["h2-s1"] == {
        "between": {"h2": {"interface": "h2-eth0"}, "s1": {}},
        "offload": True,
        "shaper": "sender",
        "netem": {"rate": "5mbit"},
    }
    line = read(tmp_path / "custom.py", CUSTOM, "line")
    line.check()
    assert [*line.data["nodes"]] == [
        "h1s1", "h1s2", "h1s3", "h2s1", "h2s2", "h2s3", "s1", "s2", "s3",
    ]  # fmt: skip


def test_links_are_those_of_the_start(tmp_path):
    text = """\
from mininet.log import lg
from mininet.net import Mininet
from mininet.node import UserSwitch
from mininet.topolib import TreeNet

lg.setLogLevel("info")
UserSwitch.setup()
net = TreeNet(depth=1, fanout=3)
net.addNAT().configDefault()
net.start()
net.delLinkBetween(net["s1"], net["h2"])
net.addLink(net.addHost("h4"), net["s1"])
"""
    found = read(tmp_path / "net.py", text)
    found.check()
    assert [*found.data["links"]] == ["s1-h1", "s1-h2", "s1-h3", "h4-s1"]
    said = {str(note) for note in found.notes}
    assert "links that change after the start: write events of an experiment" in said
    assert "nat0: a NAT to the network outside is left out" in said


@pytest.mark.parametrize(
    ("text", "topology", "message"),
    [
        (CUSTOM, None, "builds no network; name one of its topologies: "),
        (CUSTOM, "sta", "has no topology 'sta'; did you mean 'star'?"),
        ("x = 1\n", None, "builds no network, and defines no topology"),
        ("print 'Python 2'\n", None, "line 1: SyntaxError"),
        ("import nowhere_to_be_found\n", None, "ModuleNotFoundError: No module named 'nowhere_to"),
        ("import socket\nsocket.create_connection(('127.0.0.1', 9))", None, "PermissionError"),
    ],
)
def test_a_script_that_gives_no_network(tmp_path, text, topology, message):
    with pytest.raises(InputError) as caught:
        read(tmp_path / "net.py", text, topology)
    assert message in str(caught.value)


def test_a_script_that_does_not_end(tmp_path):
    path = tmp_path / "net.py"
    path.write_text("while True: pass\n")
    with pytest.raises(InputError, match="did not end within 1 s"):
        mininet.read(path, limit_s=1)


def test_a_file_that_is_not_a_script_is_refused_before_it_is_run(tmp_path):
    binary = tmp_path / "net"
    binary.write_bytes(b"\x7fELF\0\1")
    os.mkfifo(tmp_path / "pipe")
    for file, message in [
        (tmp_path / "nowhere.py", "nowhere.py: cannot be read: No such file or directory"),
        (tmp_path, "cannot be read: Is a directory; name a Python script"),
        (tmp_path / "pipe", "cannot be read: it is not a regular file; name a Python script"),
        (binary, "net: is binary; name a Python script"),
    ]:
        with pytest.raises(InputError) as caught:
            mininet.read(file)
        assert message in str(caught.value)


def test_classes_of_a_module_without_a_stand_in_give_ordinary_nodes_and_links(tmp_path):
    script = """\
from mininet.examples.others import SomeHost, SomeLink, SomeSwitch
from mininet.net import Mininet
net = Mininet(host=SomeHost, link=SomeLink, controller=None)
del SomeHost.ports[1]
switch = net.addSwitch("s1", cls=SomeSwitch)
net.addLink(net.addHost("h1", privateDirs=["/run"]), switch, bw=5)
net.build()
"""
    found = read(tmp_path / "net.py", script)
    found.check()
    assert found.data["nodes"] == {"h1": {}, "s1": {"kind": "switch"}}
    assert found.data["links"]["h1-s1"]["netem"] == {"rate": "5mbit"}
    assert [str(note) for note in found.notes] == [
        "h1: privateDirs has no counterpart",
        "classes of nodes that are not Mininet's own are taken as Switch",
        "classes of nodes that are not Mininet's own are taken as Host",
        "classes of links that are not Mininet's own are taken as TCLink",
    ]


def test_segments_cross_whole_unless_a_script_turns_offload_off(tmp_path):
    script = """\
from mininet.net import Mininet
net = Mininet(controller=None)
hosts = [net.addHost(f"h{number}") for number in range(5)]
for other in hosts[1:]:
    net.addLink(hosts[0], other)
net.build()
hosts[1].cmd("ethtool -K h1-eth0 tso off gso off gro off > /dev/null")
hosts[2].cmd("ethtool --offload h2-eth0 generic-segmentation-offload off")
hosts[3].cmd("ethtool -k h3-eth0; ethtool -K h3-eth0 tso off gso off; ethtool -K h3-eth0 gso on")
hosts[4].cmd("tc qdisc add dev h4-eth0 root netem corrupt 1%")
"""
    found = read(tmp_path / "net.py", script)
    found.check()
    said = {name: link.get("offload", False) for name, link in found.data["links"].items()}
    assert said == {"h0-h1": False, "h0-h2": True, "h0-h3": True, "h0-h4": False}
    what = "corrupts, so that no segments larger than the MTU cross it here"
    assert [(note.where, note.what) for note in found.notes] == [
        ("h0-h4", what),
        ("h0-eth1, h0-eth2, h0-eth3", "no address in Mininet, an automatic one here"),
    ]


@pytest.mark.parametrize("offload", [False, True])
def test_a_link_keeps_its_offload_on_the_way_there_and_back(tmp_path, offload):
    text = f"""\
nodes: {{a: {{}}, s: {{kind: switch}}, b: {{}}}}
links:
  one: {{between: [a, s], offload: {str(offload).lower()}}}
  two: {{between: [s, b], offload: {str(offload).lower()}, netem: {{rate: 1mbit}}}}
"""
    script = mininet.write(resolve(loads_topology(text)), "x.yaml").text
    back = resolve(loads_topology(read(tmp_path / "net.py", script).text()))
    assert [link.offload for link in back.links] == [offload] * 2


@pytest.mark.parametrize("name", ["two_paths", "multi_hop", "single_homed_server"])
def test_what_is_exported_is_imported_as_the_same_network(tmp_path, name):
    described = yaml.safe_load((ROOT / "topologies" / f"{name}.yaml").read_text())
    described["sysctls"] = BUFFERS
    for link in described["links"].values():
        if "netem" in link:
            link["shaper"] = "sender"
    there = resolve(loads_topology(yaml.safe_dump(described, sort_keys=False), f"{name}.yaml"))
    script = mininet.write(there, f"{name}.yaml").text
    found = read(tmp_path / f"{name}.py", script)
    back = resolve(loads_topology(found.text(), f"{name}.yaml"))
    assert sorted(map(str, plan(back).operations)) == sorted(map(str, plan(there).operations))


def test_what_tclink_has_not_is_a_note():
    text = """\
nodes: {a: {}, b: {}}
links:
  wifi: {between: [a, b], netem: {delay: 10ms 1ms distribution normal, loss: gemodel 1% 10%}}
"""
    exported = mininet.write(resolve(loads_topology(text)), "x.yaml")
    said = [str(note) for note in exported.notes]
    assert "wifi toward b: loss gemodel has no counterpart in TCLink" in said
    assert (
        "wifi toward a: the delay's correlation or distribution has no counterpart in TCLink"
        in said
    )


@pytest.mark.parametrize(
    "command",
    ["ifconfig", "tc", "tc qdisc", "ip addr add x dev y", "tc qdisc add dev e root netem bogus",
     "echo 'unclosed",
     "", ";;", "sysctl -w kernel.x=1", "ip mptcp limits set x y", "iptables -A INPUT -j DROP"],
)  # fmt: skip
def test_a_command_that_is_not_understood_changes_nothing(command):
    found = understood(iter([("h1", command)]))
    assert (found.addresses, found.shaping, found.sysctls, found.limits) == ({}, {}, {}, {})


WORDS = [
    "ifconfig",
    "ip",
    "addr",
    "add",
    "del",
    "dev",
    "h1-eth0",
    "10.0.0.1/24",
    "netmask",
    "255.0.255.0",
    "::1/64",
    "mptcp",
    "endpoint",
    "limits",
    "set",
    "subflow",
    "1",
    "x",
    "route",
    "rule",
    "-6",
    "sysctl",
    "-w",
    "net.a=1",
    "=",
    "echo",
    ">",
    "/proc/sys/net/a",
    "tc",
    "qdisc",
    "root",
    "netem",
    "delay",
    "5ms",
    "tbf",
    "rate",
    "&&",
    ";",
    "|",
    "'",
    '"',
    "\\",
    "sudo",
    "flush",
]


@given(st.lists(st.sampled_from(WORDS), max_size=8))
def test_whatever_a_host_is_told_is_read(words):
    understood(iter([("h1", " ".join(words))]))


def test_a_script_ends_with_who_reads_it(tmp_path: Path) -> None:
    script = tmp_path / "net.py"
    script.write_text(
        "import ctypes\n"
        "from mininet.topo import Topo\n"
        "number = ctypes.c_int()\n"
        "ctypes.CDLL(None).prctl(2, ctypes.byref(number), 0, 0, 0)  # PR_GET_PDEATHSIG\n"
        "class Lab(Topo):\n"
        "    def build(self):\n"
        "        self.addLink(self.addHost(f'h{number.value}'), self.addHost('g'))\n"
    )
    assert f"h{signal.SIGKILL.value}" in str(mininet.read(script).data)
