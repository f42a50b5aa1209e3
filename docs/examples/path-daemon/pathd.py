"""A path manager in a process of its own, for connections with `path_manager=command`.

    python pathd.py '@testbed mptcp paths 4711-1' 10.0.1.1 10.0.2.1

Of a client, each of the addresses connects to the server, and to all that the server announces.  Of
a server, all of them are announced.  `ss -xl` lists the sockets; `@` begins an abstract name.
"""

import asyncio
import json
import sys


class Daemon:
    """Answers events with commands."""

    def __init__(self, writer, hosts):
        self._writer = writer
        self._ids = {host: number for number, host in enumerate(hosts, 1)}
        self._initial = {}  # by token: the first subflow's address, which has the id 0

    def hear(self, said):
        """Act on what the stack says."""
        match said:
            case {"event": "established", "token": token, "saddr": host, "server_side": server}:
                self._initial[token] = None if server else host
                for other in self._ids:
                    if other != host and server:
                        self._ask("announce", token, other)
                    elif other != host:
                        self._ask("subflow_create", token, other, **_to(said))
            case {"event": "announced", "token": token} if self._initial.get(token):
                for host in self._ids:
                    self._ask("subflow_create", token, host, rem_id=said["rem_id"], **_to(said))
            case {"event": "closed", "token": token}:
                self._initial.pop(token, None)
            case {"error": why}:
                print(why, file=sys.stderr)

    def _ask(self, command, token, host, **more):
        number = 0 if host == self._initial[token] else self._ids[host]
        wanted = {"command": command, "token": token, "loc_id": number, "saddr": host, **more}
        self._writer.write(json.dumps(wanted).encode() + b"\n")


def _to(said):
    return {"daddr": said["daddr"], "dport": said["dport"]}


async def main(name, hosts):
    """Serve one socket until it goes."""
    path = "\0" + name[1:] if name.startswith("@") else name
    reader, writer = await asyncio.open_unix_connection(path)
    daemon = Daemon(writer, hosts)
    async for line in reader:
        daemon.hear(json.loads(line))
    writer.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2:]))
