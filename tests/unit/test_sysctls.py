"""What is wrong with sysctls, on a kernel whose files are written here."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed import sysctls

FILES = {
    "net/mptcp/scheduler": "default\n",
    "net/mptcp/available_schedulers": "default bpf_rr\n",
    "net/ipv4/tcp_congestion_control": "cubic\n",
    "net/ipv4/tcp_allowed_congestion_control": "reno bbr\n",
    "net/ipv4/tcp_available_congestion_control": "reno bbr cubic\n",
    "net/ipv4/conf/default/rp_filter": "0\n",
}


@pytest.fixture(autouse=True)
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    monkeypatch.setattr(sysctls, "_ROOT", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("net.mptcp.scheduler", "bpf_rr", None),
        (
            "net.mptcp.scheduler",
            "ecf",
            "this kernel has no MPTCP scheduler 'ecf'; available in nodes: default, bpf_rr",
        ),
        (
            "net.mptcp.path_manager",
            "kernel",
            "this kernel has no sysctl net.mptcp.path_manager; a later kernel has it",
        ),
        ("net.ipv4.tcp_congestion_control", "bbr", None),
        (
            "net.ipv4.tcp_congestion_control",
            "cubic",
            (
                "this kernel allows the congestion control 'cubic' only in its first namespace; "
                "available in nodes: reno, bbr"
            ),
        ),
        ("net.ipv4.tcp_congestion_control", "vegas", None),  # a module it may load
        ("net.ipv4.conf.wifi.rp_filter", "1", None),
    ],
)
def test_names_of_parts_of_the_kernel(key: str, value: str, said: str | None) -> None:
    wrong = sysctls.wrong_name(key, value)
    assert said == (None if wrong is None else str(wrong))


def test_a_kernel_that_does_not_list_its_schedulers_may_have_any(kernel: Path) -> None:
    (kernel / "net/mptcp/available_schedulers").unlink()
    assert sysctls.wrong("net.mptcp.scheduler", "ecf") is None
    assert sysctls.taken("net.mptcp.scheduler") is None


def test_a_sysctl_that_is_not_there() -> None:
    wrong = sysctls.wrong("net.mptcp.schedular", "default")
    assert str(wrong) == "this kernel has no such sysctl; did you mean 'scheduler'?"
    assert sysctls.wrong("net.ipv4.conf.wifi.rp_filter", "1") is None
    assert sysctls.wrong("vm.swappiness", "1") is None


def test_slashes_leave_dots_in_names() -> None:
    assert sysctls.path("net/ipv4/conf/eth0.5/rp_filter").parts[-2:] == ("eth0.5", "rp_filter")
