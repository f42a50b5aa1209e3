"""Programs that people use, on the kernel's MPTCP, against ``testbed nc`` and the server API."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import signal
import sys
from pathlib import Path

import pytest

from testbed.topology.model import Family
from tests import tshark

pytestmark = pytest.mark.sandbox

RELAY = str(Path(__file__).with_name("relay.py"))
NC = (sys.executable, "-m", "testbed", "nc")
ON_MPTCP = ("mptcpize", "run")
OCTETS = 1_000_000


def needs(*programs):
    missing = [program for program in programs if shutil.which(program) is None]
    return pytest.mark.skipif(bool(missing), reason=f"there is no {', '.join(missing)}")


@pytest.fixture
def content(tmp_path):
    path = tmp_path / "content"
    path.write_bytes(random.Random(1).randbytes(OCTETS))
    return path


async def listening(lab, node, port):
    """Wait until somebody listens on a port: the kernel's table shows our guards, too."""
    waiting = await lab.start(node, "-m", "testbed.workload.listening", str(port))
    assert (await waiting.wait()).returncode == 0


@contextlib.asynccontextmanager
async def serving(lab, *argv, port):
    """Have a program serve on the server for a while."""
    program = await lab.launcher.spawn("server", argv)
    try:
        await listening(lab, "server", port)
        yield
    finally:
        program.stdin.close()
        await program.kill(signal.SIGKILL)
        await program.wait()


async def read_all(program):
    output = b""
    while data := await program.stdout.read(2**16):
        output += data
    code = (await program.wait()).returncode
    assert code == 0, (await program.stderr.read(2**16)).decode()
    return output


@needs("mptcpize", "socat")
def test_socat_sends_to_nc(lab, content, tmp_path):
    async def test(lab):
        received = tmp_path / "received"
        shell = f"exec {' '.join(NC)} -w 30 -l 5001 < /dev/null > {received}"
        server = await lab.launcher.spawn("server", ("sh", "-c", shell))
        await listening(lab, "server", 5001)
        client = await lab.launcher.spawn(
            "client", (*ON_MPTCP, "socat", "-u", f"FILE:{content}", f"TCP:{lab.address}:5001")
        )
        await read_all(client)
        await read_all(server)
        assert received.read_bytes() == content.read_bytes()
        assert (await lab.counters("client"))["MPTcpExtMPCapableSYNACKRX"] == 1

    lab(["", ""], Family.IPV4, test)


@needs("mptcpize", "socat")
def test_nc_sends_to_socat(lab, content, tmp_path):
    async def test(lab):
        received = tmp_path / "received"
        server = await lab.launcher.spawn(
            "server", (*ON_MPTCP, "socat", "-u", "TCP-LISTEN:5001", f"CREATE:{received}")
        )
        await listening(lab, "server", 5001)
        shell = f"exec {' '.join(NC)} -w 30 {lab.address} 5001 < {content}"
        client = await lab.launcher.spawn("client", ("sh", "-c", shell))
        await read_all(client)
        await read_all(server)
        assert received.read_bytes() == content.read_bytes()
        assert (await lab.counters("server"))["MPTcpExtMPCapableACKRX"] == 1

    lab(["", ""], Family.IPV4, test)


@needs("mptcpize", "nginx")
def test_nc_reads_a_page_from_nginx(lab, content, tmp_path):
    configuration = tmp_path / "nginx.conf"
    configuration.write_text(
        f"""daemon off; user root; pid {tmp_path}/pid; error_log stderr; worker_processes 1;
        events {{}}
        http {{
            access_log off;
            client_body_temp_path {tmp_path}/1; proxy_temp_path {tmp_path}/2;
            fastcgi_temp_path {tmp_path}/3; uwsgi_temp_path {tmp_path}/4;
            scgi_temp_path {tmp_path}/5;
            server {{ listen 80; root {tmp_path}; }}
        }}"""
    )
    tmp_path.parent.chmod(0o755)

    async def test(lab):
        async with serving(lab, *ON_MPTCP, "nginx", "-c", str(configuration), port=80):
            client = await lab.launcher.spawn("client", (*NC, "-w", "30", lab.address, "80"))
            # nginx gives up when its client half-closes, so the input ends after the page.
            client.stdin.write(b"GET /content HTTP/1.1\r\nHost: it\r\nConnection: close\r\n\r\n")
            head = await client.stdout.readuntil(b"\r\n\r\n")
            body = await client.stdout.readexactly(OCTETS)
            client.stdin.close()
            assert await read_all(client) == b""
        assert b"200 OK" in head
        assert body == content.read_bytes()
        assert (await lab.counters("server"))["MPTcpExtMPCapableACKRX"] == 1

    lab(["", ""], Family.IPV4, test)


@needs("mptcpize", "curl")
def test_curl_reads_pages_from_the_server_api(lab, content):
    web = ("-m", "http.server", "-d", str(content.parent), "-b", "127.0.0.1", "80")

    async def test(lab):
        async with (
            serving(lab, sys.executable, *web, port=80),
            serving(lab, sys.executable, RELAY, "userspace", "5001", "80", port=5001),
        ):
            url = f"http://{lab.address}:5001/content"
            client = await lab.launcher.spawn("client", (*ON_MPTCP, "curl", "-sS", url, url))
            assert await read_all(client) == 2 * content.read_bytes()
        assert (await lab.counters("client"))["MPTcpExtMPCapableSYNACKRX"] >= 1

    lab(["", ""], Family.IPV4, test)


@needs("mptcpize", "iperf3")
@pytest.mark.parametrize(
    ("options", "connections"), [((), 2), (("-R",), 2), (("-P", "16"), 17)], ids=str
)
def test_iperf3_measures_the_server_api(lab, options, connections):
    """Its control connection and its streams, either way; one process serves them all."""

    async def test(lab):
        async with (
            serving(lab, "iperf3", "-s", "-B", "127.0.0.1", port=5201),
            serving(lab, sys.executable, RELAY, "userspace", "5001", "5201", port=5001),
        ):
            words = ("-c", lab.address, "-p", "5001", "-n", "4M", "-J", *options)
            client = await lab.launcher.spawn("client", (*ON_MPTCP, "iperf3", *words))
            report = json.loads(await read_all(client))
        assert "error" not in report
        assert report["end"]["sum_sent"]["bytes"] >= 4 * 2**20
        assert report["end"]["sum_received"]["bytes"] > 0
        counters = await lab.counters("client")
        assert counters["MPTcpExtMPCapableSYNACKRX"] == connections
        assert counters["MPTcpExtMPJoinSynAckRx"] >= 1
        assert not {name for name in counters if "Fallback" in name}

    lab(["", ""], Family.IPV4, test)


def test_tshark_finds_keys_tokens_and_mappings_in_order(lab, content, tmp_path):
    """An independent decoder has nothing to warn about in a capture of ours."""
    capture, trace = tmp_path / "capture.pcapng", tmp_path / "trace.jsonl"

    async def test(lab):
        sink = await lab.start(
            "server", str(Path(__file__).with_name("peer.py")), "server", "mptcp", "0.0.0.0",
            "5001", str(OCTETS), "2", "0",
        )  # fmt: skip
        await listening(lab, "server", 5001)
        shell = (
            f"exec {' '.join(NC)} -w 30 --pcap {capture} --trace {trace} "
            f"{lab.address} 5001 < {content} > /dev/null"
        )
        client = await lab.launcher.spawn("client", ("sh", "-c", shell))
        assert (await sink.stdout.readline()).strip() == b"ready"
        assert (await sink.stdout.readline()).strip() == b"half"
        view = json.loads(await sink.stdout.readline())["view"]["mptcp_info"]
        sink.stdin.write(b"\n")
        assert (await client.wait()).returncode == 0
        return view

    view = lab(["rate 50mbit delay 2ms"] * 2, Family.IPV4, test)
    events = [json.loads(line) for line in trace.read_text().splitlines()]
    names = [event["event"] for event in events]
    assert names[0] == "created"
    assert names.count("established") == 1  # the peer's addresses may be announced before
    assert "sub_established" in [event["event"] for event in events]

    packets = tshark.decode_file(capture)
    tokens = {
        token for packet in packets for token in packet.fields.get("mptcp.expected_token", ())
    }
    assert str(view["info"]["token"]) in tokens
    versions = (packet.fields.get("tcp.options.mptcp.version", ()) for packet in packets)
    assert {version for found in versions for version in found} == {"1"}
    assert [(frame, one.warnings) for frame, one in enumerate(packets, 1) if one.warnings] == []
