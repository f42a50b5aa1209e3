"""Processes in nodes, clients of a sandbox, and what happens when one of them ends."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import sys
import types

import pytest

from testbed.errors import InputError, NoSuchSandboxError, SandboxError
from testbed.sandbox import Sandbox, nursery
from testbed.topology.operations import WIRE, AddNamespace, SetLink

pytestmark = pytest.mark.sandbox

# Descriptors, signals (except those of glibc), directory, session and network.
UNTIL_ALIKE = """
look() {
    cd /proc/$1
    readlink fd/* cwd ns/net
    grep Sig status | sed 's/[0-9a-f]*\\([0-9a-f]\\{7\\}\\)$/\\1/'
    cut -d' ' -f6 stat | sed "s/^$1$/its own/"
}
until [ "$(look "$1")" = "$(look "$2")" ]; do :; done
"""

KILL_EMULATOR = """
for process in /proc/[0-9]*; do
  if tr '\\0' ' ' <$process/cmdline | grep -q -- '-m testbed.wire.emulator'; then
    kill -9 ${process#/proc/}
  fi
done
"""
NODE = AddNamespace(namespace="node")


def test_exit_status_signal_and_usage_are_reported() -> None:
    async def run() -> None:
        async with await Sandbox.create() as sandbox:
            await sandbox.execute([NODE])
            work = "import os\nwhile not os.times().user: pass\nraise SystemExit(7)"
            process = await sandbox.spawn("node", [sys.executable, "-c", work])
            ended = await process.wait(20)
            assert ended.returncode == 7
            assert ended.cpu_user_s > 0
            assert ended.max_rss_bytes > 1_000_000
            process = await sandbox.spawn("node", ["sleep", "1000"])
            with pytest.raises(TimeoutError):
                await process.wait(0.01)
            await process.kill(signal.SIGKILL)
            assert (await process.wait(20)).returncode == -signal.SIGKILL
            await process.kill()  # no error when it has ended

    asyncio.run(run())


def test_descriptors_environment_and_directory_are_passed() -> None:
    async def run() -> None:
        async with await Sandbox.create() as sandbox:
            await sandbox.execute([NODE])
            reader, writer = os.pipe()
            process = await sandbox.spawn(
                "node",
                ["sh", "-c", 'cat <&9; echo "$COLOUR $PWD $(ls /proc/self/fd | wc -l)"'],
                env={"COLOUR": "blue", "PATH": os.environ["PATH"]},
                cwd="/usr",
                stdout=writer,
                pass_fds={9: os.open("/proc/self/comm", os.O_RDONLY)},
            )
            os.close(writer)
            assert (await process.wait(20)).returncode == 0
            lines = os.read(reader, 4096).decode().splitlines()
            os.close(reader)
            # 0, 1, 2, 9, and the descriptor of ls itself: the holder leaks none.
            assert lines[1:] == ["blue /usr 5"]

    asyncio.run(run())


def test_our_own_programs_are_what_others_are() -> None:
    """Processes are forks of the holder, and must keep no state of it."""
    module = "testbed.workload.listening"
    executed = (
        f"import runpy, sys; sys.argv = ['', '1']; runpy.run_module('{module}', None, '__main__')"
    )

    async def run() -> None:
        async with await Sandbox.create() as sandbox:
            await sandbox.execute([NODE])
            pids = []
            for argv in (["-m", module, "1"], ["-c", executed]):
                process = await sandbox.spawn("node", [sys.executable, *argv], cwd="/usr")
                pids.append(str(process.pid))
            look = await sandbox.spawn("node", ["sh", "-c", UNTIL_ALIKE, "sh", *pids], stderr=2)
            assert (await look.wait(20)).returncode == 0

    asyncio.run(run())


def test_programs_take_signals_whatever_their_creator_ignores_or_blocks() -> None:
    """A shell has SIGINT ignored in what it starts in the background, nohup(1) SIGHUP."""

    async def run() -> None:
        async with await Sandbox.create() as sandbox:
            await sandbox.execute([NODE])
            for argv in (["sleep", "1000"], ours):
                for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1):
                    process = await sandbox.spawn("node", argv)
                    await process.kill(number)
                    assert (await process.wait(20)).returncode == -number

    ours = [sys.executable, "-m", "testbed.workload.listening", "1"]
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    ignored = {
        number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGHUP, signal.SIGQUIT)
    }
    try:
        asyncio.run(run())
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for number, handler in ignored.items():
            signal.signal(number, handler)


def test_our_own_program_may_be_ended_as_soon_as_it_is_there() -> None:
    """A signal must not find it while it still has the holder's handlers."""

    async def run() -> None:
        async with await Sandbox.create() as sandbox:
            await sandbox.execute([NODE])
            argv = [sys.executable, "-m", "testbed.workload.listening", "1"]
            for _ in range(30):
                process = await sandbox.spawn("node", argv)
                await process.kill()
                assert (await process.wait(20)).returncode == -signal.SIGTERM

    asyncio.run(run())


def test_our_own_program_has_the_name_of_its_module() -> None:
    async def run() -> bytes:
        async with await Sandbox.create() as sandbox:
            await sandbox.execute([NODE])
            argv = [sys.executable, "-m", "testbed.workload.listening", "1"]
            process = await sandbox.spawn("node", argv)
            reader, writer = os.pipe()
            look = ["sh", "-c", f"until grep -q listening {where}; do :; done; cat {where}"]
            look[2] = look[2].replace("PID", str(process.pid))
            await sandbox.spawn("node", look, stdout=writer)
            os.close(writer)
            found = os.read(reader, 4096)
            os.close(reader)
            return found

    where = "/proc/PID/cmdline"
    assert b"\0-m\0testbed.workload.listening" in asyncio.run(run())


def test_sandboxes_of_a_nursery_are_forks_that_share_nothing() -> None:
    async def run() -> None:
        async with await Sandbox.create() as one, await Sandbox.create() as other:
            await one.execute([NODE])
            with pytest.raises(InputError):
                await other.spawn("node", ["true"])
            await other.execute([NODE])
            for each in (one, other):
                process = await each.spawn("node", ["true"])
                assert (await process.wait(20)).returncode == 0
            assert one.name != other.name
            assert one.holder_pid != other.holder_pid

    with nursery():
        asyncio.run(run())
        asyncio.run(run())  # the sandbox works in another loop, too


def test_a_nursery_ends_with_all_that_came_from_it() -> None:
    async def run() -> None:
        with nursery():
            left = await Sandbox.create()
            pidfd = os.pidfd_open(left.holder_pid)
        assert select.select([pidfd], [], [], 20)[0]
        os.close(pidfd)
        with pytest.raises(SandboxError, match="ended"):
            await left.describe()
        await left.close()

    asyncio.run(run())


def test_a_nursery_that_has_died_says_so_and_why() -> None:
    with nursery(["testbed.no_such_program"]), pytest.raises(SandboxError, match="no_such_program"):
        asyncio.run(Sandbox.create())


def test_our_own_program_that_fails_says_why() -> None:
    async def run() -> None:
        async with await Sandbox.create() as sandbox:
            await sandbox.execute([NODE])
            reader, writer = os.pipe()
            argv = [sys.executable, "-m", "testbed.workload.listening", "nowhere"]
            process = await sandbox.spawn("node", argv, stderr=writer)
            os.close(writer)
            assert (await process.wait(20)).returncode == 1
            assert "ValueError: invalid literal" in os.read(reader, 65536).decode()
            os.close(reader)

    asyncio.run(run())


def test_processes_see_only_the_sandbox() -> None:
    async def run() -> None:
        async with await Sandbox.create() as sandbox:
            await sandbox.execute([NODE])
            reader, writer = os.pipe()
            process = await sandbox.spawn(
                "node",
                ["sh", "-c", "ls /run/netns; ls -d /proc/[0-9]* | wc -l; cat /proc/1/comm"],
                stdout=writer,
            )
            os.close(writer)
            await process.wait(20)
            text = os.read(reader, 4096).decode()
            os.close(reader)
            assert text.split()[:2] == [WIRE, "node"]
            assert int(text.split()[2]) <= 4  # the holder, the shell, ls and wc

    asyncio.run(run())


@pytest.mark.parametrize("argv", [["/no/such/program"], ["/etc/passwd"]])
def test_program_that_cannot_run_is_an_error(argv: list[str]) -> None:
    async def run() -> None:
        async with await Sandbox.create() as sandbox:
            await sandbox.execute([NODE])
            with pytest.raises(SandboxError, match=argv[0]):
                await sandbox.spawn("node", argv)
            process = await sandbox.spawn("node", ["true"])  # it still works
            assert (await process.wait(20)).returncode == 0

    asyncio.run(run())


def test_processes_end_with_the_client_that_started_them() -> None:
    async def run() -> None:
        async with await Sandbox.create() as sandbox:
            await sandbox.execute([NODE])
            other = await Sandbox.connect(sandbox.name)
            await other.spawn("node", ["sleep", "1000"])
            mine = await sandbox.spawn("node", ["sleep", "1000"])
            assert len((await sandbox.describe()).processes) == 2
            await other.close()
            async with asyncio.timeout(20):  # the holder learns of it on another connection
                while list((await sandbox.describe()).processes) != [mine.pid]:
                    pass

    asyncio.run(run())


def test_several_clients_at_once() -> None:
    async def run() -> None:
        async with await Sandbox.create() as sandbox:
            assert sandbox.name in Sandbox.running()
            others = [await Sandbox.connect(sandbox.name) for _ in range(5)]
            await others[0].execute([NODE])
            found = await asyncio.gather(*(each.describe() for each in others))
            assert all("node" in each.namespaces for each in found)
            for each in others:
                await each.close()
        with pytest.raises(NoSuchSandboxError):
            await Sandbox.connect(sandbox.name)

    asyncio.run(run())


def test_name_is_taken_once_and_must_be_a_name() -> None:
    async def run() -> None:
        async with await Sandbox.create() as sandbox:
            with pytest.raises(SandboxError, match="already running"):
                await Sandbox.create(sandbox.name)
        with pytest.raises(InputError):
            await Sandbox.create("a/b")

    asyncio.run(run())


def test_background_sandbox_outlives_its_creators_connection() -> None:
    async def run() -> None:
        sandbox = await Sandbox.create(background=True)
        await sandbox.execute([NODE])
        await sandbox.close()
        again = await Sandbox.connect(sandbox.name)
        description = await again.describe()
        assert description.background
        assert "node" in description.namespaces
        await again.stop()
        assert sandbox.name not in Sandbox.running()

    asyncio.run(run())


def test_death_of_the_emulator_fails_everything_that_is_awaited(
    plans: types.SimpleNamespace,
) -> None:
    async def run() -> None:
        async with await Sandbox.create() as sandbox:
            await sandbox.execute(plans.wired())
            process = await sandbox.spawn("client", ["sleep", "1000"])
            killer = await Sandbox.connect(sandbox.name)
            await killer.spawn(
                WIRE,
                ["sh", "-c", KILL_EMULATOR],
            )
            with pytest.raises(SandboxError, match="emulator"):
                await process.wait(20)
            with pytest.raises(SandboxError, match="emulator"):
                await sandbox.execute([SetLink(namespace="client", interface="eth0", up=True)])
            await killer.close()
            late = await Sandbox.connect(sandbox.name)
            assert "emulator" in str((await late.describe()).fault)
            with pytest.raises(SandboxError, match="emulator"):
                await late.spawn("client", ["true"])
            await late.close()

    asyncio.run(run())


def test_death_of_the_holder_fails_everything_that_is_awaited() -> None:
    async def run() -> None:
        async with await Sandbox.create() as sandbox:
            await sandbox.execute([NODE])
            process = await sandbox.spawn("node", ["sleep", "1000"])
            os.kill(sandbox.holder_pid, signal.SIGKILL)
            with pytest.raises(SandboxError, match="ended"):
                await process.wait(20)
            with pytest.raises(SandboxError, match="ended"):
                await sandbox.describe()

    asyncio.run(run())
