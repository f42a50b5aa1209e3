"""User-mode Linux in real time: programs of this host on another kernel."""

import platform
import sys
from pathlib import Path

import pytest

from testbed.errors import InputError, MachineError, PlatformError
from testbed.machine import Program, machine
from tests.machines import usable

NAME = "uml:7.3"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def execute(tmp_path):
    """Run a shell command in the machine; return its exit status."""
    guest = usable(NAME)

    def run(text, *, limit_s=60.0):
        program = Program(
            argv=["sh", "-c", text],
            directory=tmp_path,
            environment={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            writable=[tmp_path],
        )
        return guest.execute(program, console=tmp_path / "console", limit_s=limit_s)

    return run


def test_output_and_exit_status_come_back_as_they_are(execute, capfd):
    assert execute(r"printf 'one\ntwo'; printf 'three\n' >&2; exit 7") == 7
    assert capfd.readouterr() == ("one\ntwo", "three\n")


def test_it_is_another_kernel_with_mptcp_and_netem(execute, capfd):
    assert execute("uname -r; cat /proc/sys/net/mptcp/enabled; tc qdisc add dev lo root netem") == 0
    release, enabled = capfd.readouterr().out.split()
    assert release.startswith("7.3.")
    assert release != platform.release()
    assert enabled == "1"


@pytest.mark.parametrize("kernel", ["6.1", "6.12", "7.3"])
def test_nothing_waits_for_entropy(kernel, tmp_path):
    guest = usable(f"uml:{kernel}")
    argv = ["head", "-c", "1", "/dev/random"]
    program = Program(argv=argv, directory=tmp_path, environment={"PATH": "/usr/bin:/bin"})
    assert guest.execute(program, console=tmp_path / "console", limit_s=60) == 0


def test_a_sandbox_does_not_mind_the_tunnels_that_a_new_namespace_has(execute, tmp_path, capfd):
    """If ip_tunnel, ip_gre or sit are loaded, each namespace has some of these from its start."""
    (tmp_path / "pair.yaml").write_text(
        "nodes: {a: {}, b: {}}\n"
        "links: {plain: {between: [a, b]}, shaped: {between: [a, b], netem: {delay: 1ms}}}\n"
    )
    testbed = f"PYTHONPATH={ROOT} {sys.executable} -m testbed"
    assert execute(
        "echo 0 > /proc/sys/net/core/fb_tunnels_only_for_init_net\n"
        f"{testbed} up pair.yaml\n"
        f"{testbed} exec pair a ip -br link show tunl0 && {testbed} status --json pair"
    ) == 0  # fmt: skip
    out = capfd.readouterr().out
    assert out.count("tunl0@NONE") == 1
    assert '"engine":"netem"' in out.replace(" ", "")


def test_only_what_is_shared_is_kept(execute, tmp_path):
    outside = tmp_path.parent / "outside"
    assert execute(f"echo kept > here; echo gone > {outside}; cat {outside}") == 0
    assert (tmp_path / "here").read_text() == "kept\n"
    assert not outside.exists()


def test_a_full_file_system_is_an_error(execute):
    with pytest.raises(MachineError, match="no memory left"):
        execute("head -c 2G /dev/zero > /root/file")


def test_the_limit_ends_it_and_the_console_is_kept(execute, tmp_path):
    with pytest.raises(MachineError, match="limit of 2 s"):
        execute("sleep 600", limit_s=2)
    assert "Linux version 7.3." in (tmp_path / "console").read_text()


def test_a_guest_that_breaks_down_is_an_error_with_its_last_words(execute):
    with pytest.raises(MachineError, match=r"uml:7.3 .* console ends with"):
        execute("python3 -c 'import ctypes; ctypes.CDLL(None).reboot(0x4321FEDC)'")


def test_a_kernel_that_is_not_built_is_refused_with_the_remedy(tmp_path):
    absent = machine("uml:0.1")
    assert not absent.availability().ok
    program = Program(argv=["true"], directory=tmp_path, environment={})
    with pytest.raises(PlatformError, match=r"machine build uml --source debian:0\.1"):
        absent.execute(program, console=tmp_path / "console")


def test_a_machine_needs_a_kernel():
    with pytest.raises(InputError, match="the kernel is missing"):
        machine("uml:+virtual-time")
