"""The cases: each is a program as a client or as a server, or as both.

A case checks that what one end has sent is what the other one has received.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

from tests.interop.programs.side import NODES, Ends

OCTETS = 1_500_000
HERE = Path(__file__).parent


class Case(NamedTuple):
    """One thing to try.

    :param name: of the programs, as the table says it.
    :param client, server: programs at either end, as the table names them.
    :param needs: commands that must be there, and modules of Python: ``python: NAME``.
    :param run: does it; raises if it does not work.
    :param quick: the ends at which our stack is tried in each run of the tests.
    :param ends: those at which it is tried at all.
    """

    name: str
    client: str
    server: str
    needs: tuple[str, ...]
    run: Callable[[Ends], Awaitable[None]]
    quick: tuple[str, ...] = ()
    ends: tuple[str, ...] = NODES


CASES: list[Case] = []
# Python's http.server as it is with HTTP/1.1, which keeps connections.
KEPT = """
import functools, http.server, sys
handler = http.server.SimpleHTTPRequestHandler
handler.protocol_version = "HTTP/1.1"
handler = functools.partial(handler, directory=sys.argv[1])
http.server.ThreadingHTTPServer(("", int(sys.argv[2])), handler).serve_forever()
"""


def case(
    name: str,
    *,
    client: str,
    server: str,
    needs: tuple[str, ...],
    quick: tuple[str, ...] = (),
    ends: tuple[str, ...] = NODES,
) -> Callable[[Callable[[Ends], Awaitable[None]]], Callable[[Ends], Awaitable[None]]]:
    """Add a function to the cases."""

    def add(run: Callable[[Ends], Awaitable[None]]) -> Callable[[Ends], Awaitable[None]]:
        CASES.append(Case(name, client, server, needs, run, quick, ends))
        return run

    return add


def content(ends: Ends) -> Path:
    """Return a folder with a file ``content`` in it."""
    folder = ends.folder / "www"
    folder.mkdir(exist_ok=True)
    (folder / "content").write_bytes(random.Random(1).randbytes(OCTETS))
    for each in (folder, *folder.parents):  # users other than root read it
        if os.geteuid() == 0 and str(each).startswith("/tmp/"):
            each.chmod(0o755)
    return folder


def same(received: bytes | Path, folder: Path) -> None:
    """Compare what was received with the content."""
    data = received.read_bytes() if isinstance(received, Path) else received
    sent = (folder / "content").read_bytes()
    assert hashlib.sha256(data).digest() == hashlib.sha256(sent).digest(), len(data)


async def everything(fifo: Path) -> bytes:
    """Return what one writer writes into a FIFO."""
    reader = asyncio.StreamReader()
    # Without O_NONBLOCK opening would wait for the writer.
    opened = os.fdopen(os.open(fifo, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0)
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, opened)
    with contextlib.closing(transport):
        return await reader.read()


def nginx(ends: Ends, folder: Path) -> tuple[str, ...]:
    """Return how nginx serves a folder on port 80, with two workers."""
    temporary = "".join(
        f"{kind}_temp_path {ends.folder}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    configuration = ends.folder / "nginx.conf"
    configuration.write_text(
        f"""daemon off; user root; pid {ends.folder}/pid; error_log stderr; worker_processes 2;
        events {{}}
        http {{ access_log off; sendfile on; {temporary}
            server {{ listen 80; listen [::]:80; root {folder}; }} }}"""
    )
    return ("nginx", "-c", str(configuration))


@case(
    "curl, nginx",
    client="curl",
    server="nginx",
    needs=("curl", "nginx"),
    quick=("client", "server"),
)
async def curl_nginx(ends: Ends) -> None:
    folder = content(ends)
    url = f"http://{ends.address}/content"
    async with ends.serving(*nginx(ends, folder), port=80):
        twice = await ends.run("curl", "-sS", url, url)
    assert len(twice) == 2 * OCTETS
    same(twice[:OCTETS], folder)
    same(twice[OCTETS:], folder)


@case("wget, Python's http.server", client="wget", server="Python's http.server", needs=("wget",))
async def wget_python(ends: Ends) -> None:
    folder = content(ends)
    web = (sys.executable, "-m", "http.server", "-d", str(folder), "8080")
    async with ends.serving(*web, port=8080):
        same(await ends.run("wget", "-qO-", f"http://{ends.address}:8080/content"), folder)


@case(
    "Python's urllib, http.server",
    client="Python's urllib",
    server="Python's http.server",
    needs=(),
)
async def python_python(ends: Ends) -> None:
    folder = content(ends)
    web = (sys.executable, "-m", "http.server", "-d", str(folder), "8080")
    code = (
        "import sys, urllib.request as r;"
        "sys.stdout.buffer.write(r.urlopen(sys.argv[1], timeout=20).read())"
    )
    async with ends.serving(*web, port=8080):
        url = f"http://{ends.address}:8080/content"
        same(await ends.run(sys.executable, "-c", code, url), folder)


@case(
    "Python's requests, http.server",
    client="Python's requests",
    server="Python's http.server",
    needs=("python: requests",),
)
async def requests_python(ends: Ends) -> None:
    """A session: the second request goes over the connection of the first."""
    folder = content(ends)
    web = (sys.executable, "-c", KEPT, str(folder), "8080")
    code = (
        "import sys, requests\n"
        "with requests.Session() as session:\n"
        "    found = [session.get(sys.argv[1], timeout=20) for _ in range(2)]\n"
        "    assert found[0].content == found[1].content\n"
        "    sys.stdout.buffer.write(found[1].content)\n"
    )
    async with ends.serving(*web, port=8080):
        url = f"http://{ends.address}:8080/content"
        same(await ends.run(sys.executable, "-c", code, url), folder)


def _iperf3(name: str, *words: str) -> None:
    @case(f"iperf3{name}", client=f"iperf3{name}", server="iperf3", needs=("iperf3",))
    async def iperf3(ends: Ends) -> None:
        # Slower than the paths, so that little is in flight when the receiver closes its sockets:
        # Linux keeps a closed connection that still gets data open for a minute.
        rate = ("-b", "2M" if "-P" in words else "16M")
        async with ends.serving("iperf3", "-s", port=5201):
            output = await ends.run("iperf3", "-c", ends.address, "-n", "4M", "-J", *rate, *words)
        report = json.loads(output)
        assert "error" not in report
        assert report["end"]["sum_sent"]["bytes"] >= 4 * 2**20
        assert report["end"]["sum_received"]["bytes"] > 0


_iperf3("")
_iperf3(" -P 8", "-P", "8")
_iperf3(" -R", "-R")
_iperf3(" --bidir", "--bidir")


@case("socat", client="socat", server="socat", needs=("socat",))
async def socat(ends: Ends) -> None:
    folder = content(ends)
    received = ends.folder / "received"
    os.mkfifo(received)
    # With fork the port stays open, which the kernel needs for further subflows; without -u the
    # server does not shut its side at once.
    server = ("socat", "TCP-LISTEN:5001,reuseaddr,fork", f"SYSTEM:cat > {received}")
    async with ends.serving(*server, port=5001):
        arriving = asyncio.create_task(everything(received))  # its client ends before all arrived
        await ends.run("socat", "-u", f"FILE:{folder / 'content'}", f"TCP:{ends.address}:5001")
        async with asyncio.timeout(20):
            same(await arriving, folder)


class _Ssh:
    """A server of ssh on port 2222, and how clients reach it."""

    def __init__(self, ends: Ends) -> None:
        folder = ends.folder
        for name in ("host", "user"):
            subprocess.run(
                ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)),
                check=True,
            )
        shutil.copy(folder / "user.pub", folder / "authorized")
        Path("/run/sshd").mkdir(exist_ok=True)
        settings = {
            "HostKey": folder / "host",
            "AuthorizedKeysFile": folder / "authorized",
            "StrictModes": "no",
            "UsePAM": "no",
            "PidFile": "none",
            "PermitRootLogin": "yes",
            "Subsystem": "sftp internal-sftp",
        }
        words = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
        self.server = ("/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null", "-p", "2222", *words)
        self.options = (
            *("-i", str(folder / "user"), "-F", "none"),
            *("-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={folder}/known"),
            *("-o", "BatchMode=yes"),
        )


@case("ssh", client="ssh", server="sshd", needs=("ssh", "/usr/sbin/sshd"))
async def ssh(ends: Ends) -> None:
    folder, there = content(ends), _Ssh(ends)
    async with ends.serving(*there.server, port=2222):
        output = await ends.run(
            "ssh", *there.options, "-p", "2222", f"root@{ends.address}", f"cat {folder}/content"
        )
    same(output, folder)


@case("scp", client="scp", server="sshd", needs=("scp", "/usr/sbin/sshd"))
async def scp(ends: Ends) -> None:
    folder, there = content(ends), _Ssh(ends)
    received = ends.folder / "received"
    async with ends.serving(*there.server, port=2222):
        await ends.run(
            "scp", "-q", *there.options, "-P", "2222", str(folder / "content"),
            f"root@{ends.address}:{received}",
        )  # fmt: skip
    same(received, folder)


@case("rsync", client="rsync", server="rsync --daemon", needs=("rsync",))
async def rsync(ends: Ends) -> None:
    folder = content(ends)
    configuration = ends.folder / "rsyncd.conf"
    configuration.write_text(f"use chroot = no\nuid = root\n[www]\npath = {folder}\n")
    daemon = ("rsync", "--daemon", "--no-detach", f"--config={configuration}", "--port=8730")
    async with ends.serving(*daemon, port=8730):
        url = f"rsync://{ends.address}:8730/www/"
        await ends.run("rsync", "-a", url, str(ends.folder / "copy"))
    same(ends.folder / "copy" / "content", folder)


@case(
    "rsync over ssh", client="rsync, ssh", server="sshd", needs=("rsync", "ssh", "/usr/sbin/sshd")
)
async def rsync_ssh(ends: Ends) -> None:
    folder, there = content(ends), _Ssh(ends)
    async with ends.serving(*there.server, port=2222):
        await ends.run(
            "rsync", "-a", "-e", " ".join(("ssh", "-p", "2222", *there.options)),
            f"{folder}/", f"root@{ends.address}:{ends.folder}/copy/",
        )  # fmt: skip
    same(ends.folder / "copy" / "content", folder)


@case("Node.js", client="Node.js", server="Node.js", needs=("node",))
async def node(ends: Ends) -> None:
    folder = content(ends)
    async with ends.serving(
        "node", str(HERE / "server.js"), str(folder / "content"), "8081", port=8081
    ):
        same(
            await ends.run("node", str(HERE / "client.js"), f"http://{ends.address}:8081/"), folder
        )


@case(
    "Go, static",
    client="a Go program",
    server="a Go program",
    needs=("go", "curl", "nginx"),
    quick=("client",),
)
async def go(ends: Ends) -> None:
    """A static program whose run-time makes system calls by itself: nothing can be preloaded.

    So mptcpize cannot help it either, and the other end is another program.
    """
    folder, program = content(ends), go_program(ends.folder)
    if ends.ours == "client":
        async with ends.serving(*nginx(ends, folder), port=80):
            output = await ends.run(program, "get", f"http://{ends.address}/content")
    else:
        async with ends.serving(program, "serve", ":8082", str(folder / "content"), port=8082):
            output = await ends.run("curl", "-sS", f"http://{ends.address}:8082/")
    same(output, folder)


def go_program(folder: Path) -> str:
    """Build the program, once for all tests of a run."""
    built = folder.parent / "go-program"
    if not built.exists():
        environment = {
            **os.environ,
            "CGO_ENABLED": "0",
            "GOFLAGS": "-mod=mod",
            "GO111MODULE": "off",
        }
        source = str(HERE / "transfer.go")
        subprocess.run(("go", "build", "-o", str(built), source), check=True, env=environment)
    return str(built)


@case(
    "Redis",
    client="redis-benchmark",
    server="redis-server",
    needs=("redis-server", "redis-benchmark"),
)
async def redis(ends: Ends) -> None:
    options = ("--save", "", "--protected-mode", "no", "--port", "6379", "--dir", str(ends.folder))
    async with ends.serving("redis-server", *options, port=6379):
        words = (
            "-h",
            ends.address,
            "-n",
            "500",
            "-c",
            "20",
            "-t",
            "set,get",
            "-d",
            "3000",
            "--csv",
        )
        output = await ends.run("redis-benchmark", *words)
    assert b"GET" in output


@case("PostgreSQL", client="pgbench", server="PostgreSQL", needs=("setpriv", "pgbench"))
async def postgresql(ends: Ends) -> None:
    (programs,) = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1:]
    as_user = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")
    data = ends.folder / "data"
    data.mkdir()
    content(ends)  # lets others than root into the folders above
    shutil.chown(data, "postgres", "postgres")
    initialise = (str(programs / "initdb"), "-A", "trust", "--no-sync", "-D", str(data))
    subprocess.run((*as_user, *initialise), check=True, stdout=subprocess.DEVNULL)
    with (data / "pg_hba.conf").open("a") as rules:
        rules.write("host all all all trust\n")
    server = (str(programs / "postgres"), "-D", str(data), "-h", "*", "-k", str(data), "-F")
    async with ends.serving(*as_user, *server, port=5432):
        where = ("-h", ends.address, "-U", "postgres", "postgres")
        await ends.run(str(programs / "pgbench"), "-i", "-q", "-s", "1", *where)
        output = await ends.run(str(programs / "pgbench"), "-c", "4", "-t", "10", *where)
    assert b"number of transactions actually processed: 40/40" in output


@case(
    "Chromium, nginx",
    client="Chromium",
    server="nginx",
    needs=("chromium", "nginx"),
    ends=("client",),
)
async def chromium(ends: Ends) -> None:
    folder = content(ends)
    script = (
        "fetch('content').then(r => r.arrayBuffer()).then(async b => {"
        "const h = await digest(b); document.title = h})"
    )
    digest = (
        "async b => { let s = 0; "
        "for (const x of new Uint8Array(b)) s = (s * 31 + x) >>> 0; return s }"
    )
    (folder / "index.html").write_text(f"<script>const digest = {digest};{script}</script>")
    wanted = 0
    for octet in (folder / "content").read_bytes():
        wanted = (wanted * 31 + octet) & 0xFFFF_FFFF
    async with ends.serving(*nginx(ends, folder), port=80):
        output = await ends.run(
            "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
            "--virtual-time-budget=20000", f"--user-data-dir={ends.folder}/profile",
            f"http://{ends.address}/",
        )  # fmt: skip
    assert str(wanted).encode() in output, output[-500:]
