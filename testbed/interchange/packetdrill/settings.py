"""The effect of a script's shell commands on the stack: a small set of known settings."""

from __future__ import annotations

import ipaddress
import itertools
import math
import re
import shlex
from collections.abc import Callable
from typing import Final

import msgspec

from testbed.errors import InputError
from testbed.interchange.packetdrill.model import UnsupportedError
from testbed.stack.mptcp.config import MptcpConfig
from testbed.stack.mptcp.path_manager.base import PathEndpoint
from testbed.stack.tcp.congestion import CONTROLS

_S: Final = 1_000_000_000
# Bits of tcp_fastopen: client, server, client or server without cookies, all open ports.
_FAST_OPEN: Final = (0x1, 0x2, 0x4, 0x200, 0x400)
_UNLIMITED: Final = 1 << 20


class Settings:
    """The configuration of new connections, and the MPTCP endpoints.

    :param local: the first address of the host; scripts of the published suite add the next ones.
    :ivar config: the configuration of new connections.
    :ivar opens_fast: whether programs may use TCP Fast Open as clients.
    :ivar endpoints: the endpoints that ``ip mptcp endpoint`` would show.
    """

    def __init__(self, config: MptcpConfig, local: str) -> None:
        self.config = config
        self.opens_fast = True
        self.endpoints: tuple[PathEndpoint, ...] = ()
        self._local = local

    @property
    def current(self) -> MptcpConfig:
        """The configuration of new connections with their endpoints."""
        return msgspec.structs.replace(self.config, endpoints=self.endpoints)

    def run(self, text: str, line: int) -> list[tuple[str, ...]]:
        """Run the commands that change settings, and return the others, which are queries.

        :raises UnsupportedError: a command or a setting has no counterpart.
        """
        asked: list[tuple[str, ...]] = []
        for command in _commands(text):
            words = tuple(shlex.split(command, comments=True))
            try:
                if words and not self._set(words, line):
                    asked.append(words)
            except UnsupportedError as error:
                raise UnsupportedError(error.message, line) from error
        return asked

    def _set(self, words: tuple[str, ...], line: int) -> bool:
        name = words[0].rsplit("/", 1)[-1]
        if name == "sysctl":
            self._sysctls(words[1:], line)
        elif name == "set_sysctls.py":
            self._sysctls(
                [one.removeprefix("/proc/sys/").replace("/", ".") for one in words[1:]], line
            )
        elif name == "ip" and {"link", "mtu"} <= set(words):
            self.change_tcp(mtu=int(words[words.index("mtu") + 1]))
        elif name == "ip" and "mptcp" in words:
            self._paths(words[words.index("mptcp") + 1 :], line)
        elif name in _SCRIPTS:
            _SCRIPTS[name](self, words[1:])
        elif name.startswith("sysctl_restore") or _idle(words):
            pass
        else:
            return False
        return True

    # Settings of sysctl:

    def _sysctls(self, words: tuple[str, ...] | list[str], line: int) -> None:
        for word in words:
            if word.startswith("-"):
                continue
            name, _, value = word.partition("=")
            self._sysctl(name.replace("/", "."), value, line)

    def _sysctl(self, name: str, value: str, line: int) -> None:
        if name == "net.ipv4.tcp_fastopen":
            self._fast_open(int(value, 0), line)
        elif name == "net.ipv4.tcp_rmem":
            _, first, most = map(int, value.split())
            self._receive(receive_buffer=most, receive_buffer_initial=first)
        elif name == "net.ipv4.tcp_ecn":
            self.change_tcp(ecn=value in _ECN_REQUESTED, ecn_granted=value != "0")
        elif name in _TCP:
            field, read = _TCP[name]
            self.change_tcp(**{field: read(value)})
            if field == "send_buffer":
                self._change(send_buffer=read(value))
        elif name in _MPTCP:
            field, read = _MPTCP[name]
            self._change(**{field: read(value)})
        elif value not in _AS_IT_IS.get(name, ()):
            raise UnsupportedError(f"sysctl {name}={value}", line)

    def _receive(self, **buffers: int) -> None:
        """Set the receive buffers of TCP and of MPTCP."""
        self.change_tcp(**buffers)
        self._change(**buffers)

    def _fast_open(self, value: int, line: int) -> None:
        """Set ``tcp_fastopen``, for all open ports or for those that request it."""
        if value & ~sum(_FAST_OPEN):
            raise UnsupportedError(f"sysctl net.ipv4.tcp_fastopen={value:#x}", line)
        client, server, trusting_client, trusting_server, all_ports = (
            bool(value & bit) for bit in _FAST_OPEN
        )
        self.opens_fast = client
        trusting = (client and trusting_client) or (server and trusting_server)
        self.change_tcp(fast_open=server and all_ports, fast_open_cookies=not trusting)

    def change_tcp(self, **changes: object) -> None:
        """Change fields of the TCP configuration."""
        self._change(tcp=msgspec.structs.replace(self.config.tcp, **changes))

    def _change(self, **changes: object) -> None:
        self.config = msgspec.structs.replace(self.config, **changes)

    # Settings of ip mptcp:

    def _paths(self, words: tuple[str, ...], line: int) -> None:
        match words:
            case ("limits", "set", *said):
                self.limit(dict(zip(said[::2], said[1::2], strict=False)))
            case ("endpoint", "flush"):
                self.endpoints = ()
            case ("endpoint", "add", host, *said):
                self.add(host, said)
            case ("endpoint", "change", "id", number, flag) if flag.removeprefix("no") in _FLAGS:
                changed = {flag.removeprefix("no"): not flag.startswith("no")}
                self.endpoints = tuple(
                    msgspec.structs.replace(one, **changed) if one.id == int(number) else one
                    for one in self.endpoints
                )
            case ("endpoint", "delete" | "del", "id", number, *_):
                self.endpoints = tuple(one for one in self.endpoints if one.id != int(number))
            case _:
                raise UnsupportedError(f"ip mptcp {' '.join(words)}", line)

    def limit(self, said: dict[str, str]) -> None:
        """Set the limits of further subflows and of accepted ADD_ADDRs."""
        numbers = {_LIMITS[name]: int(value) for name, value in said.items()}
        self._change(limits=msgspec.structs.replace(self.config.limits, **numbers))

    def add(self, host: str, said: list[str]) -> None:
        """Add an endpoint. Without an id it gets the next id."""
        flags = {name: True for name in said if name in _FLAGS}
        number = int(said[said.index("id") + 1]) if "id" in said else self._next_id()
        port = int(said[said.index("port") + 1]) if "port" in said else None
        host = str(ipaddress.ip_address(host))
        self.endpoints += (PathEndpoint(host=host, id=number, port=port, **flags),)

    def _next_id(self) -> int:
        return max((one.id for one in self.endpoints), default=0) + 1

    def more_addresses(self, words: tuple[str, ...]) -> None:
        """Emulate ``multi-ep.sh`` of the published suite: limits of 8, and further addresses.

        Options: ``-e NUMBER`` for the number of endpoints (1), ``-m signal`` or ``-m subflow``,
        ``-b`` for backups.
        """
        count = int(words[words.index("-e") + 1]) if "-e" in words else 1
        modes = [value for name, value in itertools.pairwise(words) if name == "-m"]
        said = [*(modes or ["signal"]), *(["backup"] if "-b" in words else [])]
        self.limit({"subflows": "8", "add_addr_accepted": "8"})
        self.endpoints = ()
        for number in range(1, count + 1):
            self.add(str(ipaddress.ip_address(self._local) + number), list(said))


_LIMITS: Final = {
    "subflow": "subflows", "subflows": "subflows", "add_addr_accepted": "add_addr_accepted",
}  # fmt: skip
_FLAGS: Final = ("subflow", "signal", "backup", "fullmesh", "laminar")


def _commands(text: str) -> list[str]:
    """Split a text into commands, and compute products such as ``$((32*1024))``."""
    text = re.sub(r"\$\(\(([\d* ]+)\)\)", _product, text.replace("\\\n", " "))
    return [one.strip() for one in re.split(r"\n|;|&&", text) if one.strip()]


def _product(found: re.Match[str]) -> str:
    return str(math.prod(int(factor) for factor in found.group(1).split("*")))


def _flag(value: str) -> bool:
    return int(value) != 0


def _cookies(value: str) -> bool:
    if value == "2":
        raise UnsupportedError("SYN cookies for every connection")
    return _flag(value)


def _probing(value: str) -> bool:
    if value not in ("0", "1"):
        raise UnsupportedError(f"sysctl net.ipv4.tcp_mtu_probing={value}")
    return value == "1"


def _keys(value: str) -> tuple[bytes, ...]:
    """Return the keys of cookies of TCP Fast Open, each of four words in hexadecimal notation."""
    keys = [[int(word, 16) for word in key.split("-")] for key in value.split(",")]
    return tuple(b"".join(word.to_bytes(4, "little") for word in key) for key in keys)


def _seconds(value: str) -> int:
    return int(value) * _S


def _control(value: str) -> str:
    try:
        CONTROLS.take(value)
    except InputError as error:
        raise UnsupportedError(f"the congestion control {value!r}") from error
    return value


_TCP: Final[dict[str, tuple[str, Callable[[str], object]]]] = {
    "net.ipv4.tcp_wmem": ("send_buffer", lambda value: int(value.split()[1])),
    "net.ipv4.tcp_fastopen_key": ("fast_open_keys", _keys),
    "net.ipv4.tcp_timestamps": ("timestamps", _flag),
    "net.ipv4.tcp_sack": ("sack", _flag),
    "net.ipv4.tcp_window_scaling": ("window_scaling", _flag),
    "net.ipv4.tcp_syncookies": ("syn_cookies", _cookies),
    "net.ipv4.tcp_mtu_probing": ("mtu_probing", _probing),
    "net.ipv4.tcp_syn_retries": ("syn_retries", int),
    "net.ipv4.tcp_syn_linear_timeouts": ("syn_linear_timeouts", int),
    "net.ipv4.tcp_synack_retries": ("syn_ack_retries", int),
    "net.ipv4.tcp_retries2": ("retries", int),
    "net.ipv4.tcp_rto_min_us": ("rto_min_ns", lambda value: int(value) * 1000),
    "net.ipv4.tcp_rto_max_ms": ("rto_max_ns", lambda value: int(value) * 1_000_000),
    "net.ipv4.tcp_orphan_retries": ("orphan_retries", int),
    "net.ipv4.tcp_fin_timeout": ("fin_timeout_ns", _seconds),
    "net.ipv4.tcp_keepalive_time": ("keepalive_idle_ns", _seconds),
    "net.ipv4.tcp_keepalive_intvl": ("keepalive_interval_ns", _seconds),
    "net.ipv4.tcp_keepalive_probes": ("keepalive_probes", int),
    "net.ipv4.tcp_notsent_lowat": (
        "notsent_lowat",
        lambda value: 0 if int(value) >= 1 << 31 else int(value),
    ),
    "net.ipv4.tcp_congestion_control": ("congestion", _control),
    "net.ipv4.tcp_invalid_ratelimit": (
        "challenge_acks_per_second",
        lambda value: _UNLIMITED if value == "0" else 10,
    ),
}
_MPTCP: Final[dict[str, tuple[str, Callable[[str], object]]]] = {
    "net.mptcp.checksum_enabled": ("checksum", _flag),
    "net.mptcp.allow_join_initial_addr_port": ("deny_join_initial", lambda value: value == "0"),
    "net.mptcp.close_timeout": ("close_timeout_ns", _seconds),
    "net.mptcp.add_addr_timeout": ("announce_ns", _seconds),
    "net.mptcp.syn_retrans_before_tcp_fallback": ("syn_retrans_before_tcp_fallback", int),
    "net.mptcp.blackhole_timeout": ("blackhole_timeout_ns", _seconds),
}
# Values of tcp_ecn that request ECN. From 3 on Linux also grants accurate ECN (RFC 9768).
_ECN_REQUESTED: Final = ("1", "3", "4")
# The values that match the fixed behaviour of the stack. Other values have no counterpart.
_AS_IT_IS: Final[dict[str, tuple[str, ...]]] = {
    "net.mptcp.enabled": ("1",),
    "net.ipv4.tcp_frto": ("2", "1"),
    "net.ipv4.tcp_dsack": ("1",),
    "net.ipv4.tcp_fack": ("0", "1"),
    "net.ipv4.tcp_reordering": ("3",),
    "net.ipv4.tcp_recovery": ("1",),
    "net.ipv4.tcp_early_retrans": ("3", "4"),
    "net.ipv4.tcp_slow_start_after_idle": ("0", "1"),
    "net.ipv4.tcp_fastopen_blackhole_timeout_sec": ("0",),
    "net.ipv4.tcp_no_metrics_save": ("1",),
    "net.ipv4.tcp_moderate_rcvbuf": ("0", "1"),
    # Parameters of pacing and TSO in Linux. The stack has no pacing, and segments data itself.
    "net.ipv4.tcp_tso_win_divisor": ("3", "100", "1"),
    "net.ipv4.tcp_min_tso_segs": ("1", "4", "10", "70"),
    "net.ipv4.tcp_pacing_ss_ratio": ("200",),
    "net.ipv4.tcp_pacing_ca_ratio": ("120",),
}


def _idle(words: tuple[str, ...]) -> bool:
    """Return whether a command has no effect here: on devices, caches or counter resets."""
    if words[0] == "tc":
        return "limit" not in words  # scripts use a limit to drop all packets
    if words[0] in ("true", "ethtool") or (words[0] == "ip" and {"addr", "add"} <= set(words)):
        return True
    if words[0] == "nstat":
        return not {"|"} & set(words)
    return words[0] == "ip" and words[1] in ("link", "tcp_metrics", "tcp_metric")


def _defaults(settings: Settings, _: tuple[str, ...]) -> None:
    """Apply the settings of ``defaults.sh`` of the published suites that differ from ours."""
    settings.run(
        "sysctl -q net.ipv4.tcp_syn_retries=5 net.ipv4.tcp_synack_retries=5 "
        "net.ipv4.tcp_ecn=0 net.ipv4.tcp_fastopen=0x3",
        0,
    )


def _with_limits(settings: Settings, _: tuple[str, ...]) -> None:
    settings.limit({"subflows": "8", "add_addr_accepted": "8"})


# The helper scripts of the published suites, by name.
_SCRIPTS: Final[dict[str, Callable[[Settings, tuple[str, ...]], None]]] = {
    "defaults.sh": _defaults,
    "multi-ep.sh": Settings.more_addresses,
    "client.sh": _with_limits,
    "server.sh": Settings.more_addresses,
}
