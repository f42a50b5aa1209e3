"""``testbed serve``: what it refuses."""

from __future__ import annotations

import socket

import pytest
from typer.testing import CliRunner

from testbed.cli.application import application

pytest.importorskip("uvicorn")
pytest.importorskip("starlette")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_port_that_is_not_free_is_one_line_and_2(tmp_path, host):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as taken:
        port = str(taken.getsockname()[1])
        arguments = ["serve", str(tmp_path), "--host", host, "--port", port]
        result = CliRunner().invoke(application, arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"testbed: cannot listen at {host}, port {port}: Address alr")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid", "fe80::1%nowhere"])
def test_an_address_that_is_not_this_hosts_is_one_line_and_2(tmp_path, host):
    arguments = ["serve", str(tmp_path), "--host", host, "--port", "0"]
    result = CliRunner().invoke(application, arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"testbed: cannot listen at {host}, port 0: ")
    assert result.stderr.count("\n") == 1
