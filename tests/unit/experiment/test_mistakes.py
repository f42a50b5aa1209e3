"""Each mistake of an experiment file, named by file and line."""

from __future__ import annotations

import pytest

from testbed.errors import InputError
from tests.experiment_text import EXPERIMENT


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("repetition: 3", r"try.yaml:3: repetition: unknown key; did you mean 'repetitions'\?"),
        ("repetitions: 0", r"try.yaml:3: repetitions: expected a whole number >= 1"),
        ("stacks: [tcp, mtcp]", r"try.yaml:3: stacks\[1\]: there is no stack 'mtcp'.*'mptcp'"),
        ("stacks: [tcp, tcp]", r"try.yaml:3: stacks\[1\]: stack 'tcp' is listed twice"),
        ("stacks: []", r"try.yaml:3: stacks: "),
        ("timeout: 60", r"try.yaml:3: timeout: '60' is a time without a unit"),
        ("timeout: 0", r"try.yaml:3: timeout: must be more than 0"),
        (
            "probes: [nstart]",
            r"try.yaml:3: probes\[0\]: there is no probe 'nstart'; did you mean 'nstat'\?",
        ),
        ("probes: [pcap]", r"there is no probe 'pcap'; write 'pcap: true'"),
        ("pcap: [client.wlan]", r"try.yaml:3: pcap\[0\]: there is no interface 'client.wlan'"),
        ("wire: hardware", r"try.yaml:3: wire: invalid enum value 'hardware'"),
        ("matrix: {links.wify.delay: [1ms]}", r"try.yaml:3: matrix.*there is no 'wify'.*'wifi'"),
        ("matrix: {repetitions: [1, 2]}", r"try.yaml:3: .*not a path of the topology or of a flow"),
        ("matrix: {links.wifi.delay: [1ms, -5ms]}", r"try.yaml:3: matrix\..*: .*-5ms.*negative"),
        ("matrix: {workload.size: []}", r"try.yaml:3: matrix."),
        (
            "matrix: {links.wifi.delay: [1ms, 2ms, 1ms]}",
            r"try.yaml:3: matrix.\"links.wifi.delay\": '1ms' is listed twice",
        ),
        (
            "matrix: {workload.sise: [1]}",
            r"try.yaml:3: matrix\..*: .*unknown key; did you mean 'size'",
        ),
        (
            "matrix: {workload.via: [wlan]}",
            r"try.yaml:3: matrix\..*: .*is not an end of a link 'wlan'",
        ),
        ("events: [{at: 1s, link: wify, state: down}]", r"try.yaml:3: events\[0\]: 'wify' is no"),
        ("events: [{at: 1s, link: wifi, set: {los: 1%}}]", r"try.yaml:3: events\[0\]: .*los"),
        (
            "events: [{at: 1s, link: wifi}]",
            r"try.yaml:3: events\[0\]: .*one action, but this one has 0",
        ),
        ("events: [{at: 1s, node: client, state: down}]", r"'state' is not an action of a node"),
        ("events: [{at: 1s, state: down}]", r"either a link or a node"),
        ("events: [{at: 1s, link: wifi, state: up, toward: client}]", r"goes only with 'set'"),
        ("events: [{at: soon, link: wifi, state: up}]", r"try.yaml:3: events\[0\].*'soon'"),
        ("events: [{at: 1s, node: nobody, run: ['true']}]", r"3: .*'nobody' is not a node"),
        ("expect: [{metric: goodput, stack: tcp}]", r"try.yaml:3: expect\[0\].*at_least"),
        (
            "expect: [{metric: goodputt, stack: tcp, at_least: 1}]",
            r"try.yaml:3: expect\[0\].metric: there is no metric 'goodputt'; did you mean 'goodput",
        ),
        (
            "events: [{at: 61s, link: wifi, state: down}]",
            r"try.yaml:3: events\[0\]: is at 61s, after the timeout of a run, 60s",
        ),
        (
            (
                "events: [{at: 1s, node: client, remove_address: "
                "{interface: wifi, address: 9.9.9.9/8}}]"
            ),
            r"try.yaml:3: events\[0\]: 'wifi' at 'client' has no address 9.9.9.9/8 at that time",
        ),
        (
            (
                "events: [{at: 1s, node: client, add_address: "
                "{interface: wifi, address: 10.0.1.1/24}}]"
            ),
            r"try.yaml:3: events\[0\]: 'wifi' at 'client' has 10.0.1.1/24 at that time",
        ),
        (
            (
                "events:\n"
                "- {at: 1s, node: client, remove_endpoint: {interface: lte}}\n"
                "- {at: 2s, node: client, remove_endpoint: {interface: lte}}"
            ),
            r"try.yaml:5: events\[1\]: 'lte' at 'client' has no endpoint at that time",
        ),
        (
            "events: [{at: 1s, node: client, run: [no-such-program]}]",
            r"try.yaml:3: events\[0\].run: there is no program 'no-such-program' on this machine",
        ),
        (
            "events: [{at: 1s, link: wifi, set: {trace: no.trace}}]",
            r"try.yaml:3: events\[0\].*no.trace",
        ),
        ("matrix: {links.wifi.trace: [no.trace]}", r"try.yaml:3: matrix.*no.trace"),
        ("cases: {far: {wifi.delay: 5ms}}", r"try.yaml:3: cases.far.*is not a path of"),
        ("cases: {far: {links.wlan.delay: 5ms}}", r"try.yaml:3: cases\.far: case = far: .*'wlan'"),
        ("cases: {far: {}}", r"try.yaml:3: cases.far"),
        ("cases: {far: {a..trace: x}}", r"try.yaml:3: cases.far.\"a..trace\": .*is not a path"),
        ('matrix: {"": [1]}', r'try.yaml:3: matrix.+"": the key: expected text of length >= 1$'),
        ('cases: {a: {"": 1}}', r'try.yaml:3: cases.a."": the key: expected text of length >= 1$'),
        ('description: "a\\0b"', r"try.yaml:3: description: contains a NUL character"),
        ("matrix: {.: [1]}", r'try.yaml:3: matrix.".": \'.\' is not a path'),
        ("machines: [uml:7.3, zebra]", r"try.yaml:3: machines\[1\]: 'zebra' is not a machine"),
        ("machines: ['uml:']", r"try.yaml:3: machines\[0\]: uml: the kernel is missing"),
        ("machines: [host, host]", r"try.yaml:3: machines\[1\]: machine 'host' is listed twice"),
        ("machines: [uml:../linux]", r"try.yaml:3: machines\[0\]: '../linux' is not an absolute"),
        ("stacks: [userspace/tcp]", r"stacks\[0\]: userspace speaks mptcp and tcp tcp"),
        (
            "expect: [{metric: goodput, stack: userspace, at_least: 1}]",
            r"try.yaml:3: expect\[0\]: stack 'userspace' does not run here",
        ),
        (
            "expect: [{metric: goodput, stack: tcp, where: {workload.via: wifi}, at_least: 1}]",
            r"try.yaml:3: expect\[0\]: 'workload.via' is not a parameter of the matrix",
        ),
        (
            "expect: [{metric: goodput, stack: mptcp, relative_to: tcp, at_least: 5mbit}]",
            r"try.yaml:3: expect\[0\].at_least: '5mbit' is not a number",
        ),
        (
            "expect: [{metric: duration, stack: mptcp, at_most: 5mbit}]",
            r"try.yaml:3: expect\[0\].at_most: '5mbit' is not a time",
        ),
    ],
)
def test_mistakes(read, text, message):
    with pytest.raises(InputError, match=message):
        read(EXPERIMENT + text + "\n")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("topology.yaml", "nowhere.yaml", r"try.yaml:1: topology: there is no file .*nowhere.yaml"),
        ("to: server", "to: servr", r"try.yaml:2: workload: there is no host 'servr'.*'server'"),
        (
            "size: 1MB",
            "size: 1MB, via: wlan",
            r"try.yaml:2: workload: 'server' is not an end of a link",
        ),
        ("size: 1MB", "size: -1MB", r"try.yaml:2: workload"),
        ("kind: bulk", "kind: bulky", r"try.yaml:2: workload"),
        (
            "size: 1MB",
            "duration: 61s",
            r"try.yaml:2: workload: lasts 61s, longer than the timeout of a run, 60s",
        ),
        (
            "to: server, size",
            "to: client, size",
            r"try.yaml:2: workload: from and to are both 'client'",
        ),
        (
            "kind: bulk, from: client, to: server, size: 1MB",
            (
                "kind: command, from: client, to: server, programs: "
                "[{node: client, argv: ['true', '{adress}']}]"
            ),
            r"{adress} is not a placeholder; did you mean 'address'",
        ),
        (
            "kind: bulk, from: client, to: server, size: 1MB",
            "kind: command, from: client, to: server, programs: [{node: client, argv: [nono]}]",
            r"workload.programs\[0\].argv: there is no program 'nono' on this machine",
        ),
        ("size: 1MB", "size: 1MB, family: ipv5", r"try.yaml:2: workload.family"),
        (
            "size: 1MB",
            "size: 1MB, direction: [1]",
            r"try.yaml:2: workload.direction: expected text",
        ),
    ],
)
def test_mistakes_in_the_workload(read, old, new, message):
    with pytest.raises(InputError, match=message):
        read(EXPERIMENT.replace(old, new))


def test_an_event_after_the_end_could_never_be_played(read):
    text = EXPERIMENT.replace("size: 1MB", "duration: 5s")
    assert read(text + "events: [{at: 4s, link: wifi, state: down}]\n").spec.events
    with pytest.raises(InputError, match=r"is at 5s, after the end of the flows \(5s\)"):
        read(text + "events: [{at: 5s, link: wifi, state: down}]\n")


def test_a_topology_whose_name_is_too_long_is_not_there(read):
    with pytest.raises(InputError, match=r"try\.yaml:1: topology: there is no file"):
        read(EXPERIMENT.replace("topology.yaml", "n" * 300))
