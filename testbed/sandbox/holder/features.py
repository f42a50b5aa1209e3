"""The features of this kernel, tested by use in scratch namespaces of the sandbox."""

from __future__ import annotations

import errno
import functools
import os
import signal
import socket
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from testbed.errors import PlatformError
from testbed.netlink.codec import NETLINK_GENERIC, Request
from testbed.netlink.mptcp import family_number
from testbed.netlink.transport import Netlink
from testbed.sandbox import model, syscalls
from testbed.sandbox.netlink import links, mptcp, netem, queues
from testbed.sandbox.netlink import redirect as redirection
from testbed.topology.devices import Device, Gre, Vlan, Vrf, WireGuard, kind_of
from testbed.topology.model import Endpoint, EndpointFlag
from testbed.topology.operations import VethEnd
from testbed.wire.netem import Netem

_IPPROTO_MPTCP: Final = 262
_ETH_P_ALL: Final = 3
_TUN: Final = "/dev/net/tun"
_DEVICES: Final[tuple[tuple[Device, str], ...]] = (
    (Vlan(lower="a", id=1), "CONFIG_VLAN_8021Q"),
    (Gre(local="192.0.2.1", remote="192.0.2.2"), "CONFIG_NET_IPGRE"),
    (Gre(local="2001:db8::1", remote="2001:db8::2"), "CONFIG_IPV6_GRE"),
    (WireGuard(local="192.0.2.1", remote="192.0.2.2", port=1), "CONFIG_WIREGUARD"),
    (Vrf(table=10), "CONFIG_NET_VRF"),
)


class _Probe(msgspec.Struct, frozen=True):
    """The test of a feature. ``attempt`` returns the result in words or raises :class:`OSError`."""

    name: str
    attempt: Callable[[], str]
    why: str
    instead: str


class Features:
    """The features of this kernel. Each one is tested at most once, at its first use."""

    def __init__(self) -> None:
        self._probes = {probe.name: probe for probe in _PROBES}
        self._found: dict[str, model.Feature] = {}

    def all(self) -> tuple[model.Feature, ...]:
        """Test all features."""
        return tuple(self.feature(name) for name in self._probes)

    def feature(self, name: str) -> model.Feature:
        """Test a feature."""
        if name not in self._found:
            self._found[name] = _try(self._probes[name])
        return self._found[name]

    def missing(self, name: str) -> PlatformError | None:
        """Return the error for a feature that this kernel lacks, or None if it has the feature."""
        feature = self.feature(name)
        if feature.present:
            return None
        return PlatformError(
            f"this kernel has no {feature.name} ({feature.detail})",
            why=feature.why,
            instead=feature.instead,
        )

    @functools.cached_property
    def path_manager(self) -> int | None:
        """The generic netlink number of the MPTCP path manager, or None if there is none."""
        with Netlink(NETLINK_GENERIC) as netlink:
            return family_number(netlink)

    def require_path_manager(self) -> int:
        """Return :attr:`path_manager`, or raise :class:`PlatformError`."""
        missing = self.missing("mptcp-endpoints")
        if missing is not None or self.path_manager is None:
            raise missing or RuntimeError("the path manager vanished")
        return self.path_manager

    def redirect(self) -> redirection.Redirect:
        """Return the classifier to redirect with. The feature ``redirect`` must be present."""
        return redirection.Redirect(self.feature("redirect").detail)


def _try(probe: _Probe) -> model.Feature:
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.unshare(syscalls.CLONE_NEWNET)
        detail, present = probe.attempt(), True
    except OSError as error:
        detail, present = f"{errno.errorcode.get(error.errno or 0)}: {error.strerror}", False
    finally:
        syscalls.setns(here)
        os.close(here)
    return model.Feature(
        name=probe.name, present=present, detail=detail, why=probe.why, instead=probe.instead
    )


def _user_namespace() -> str:
    """Test in a child, because a process cannot leave a user namespace again."""
    child = os.fork()
    if child == 0:
        try:
            syscalls.unshare(syscalls.CLONE_NEWUSER)
        except OSError as error:
            os._exit(error.errno or 1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code:
        raise OSError(code, os.strerror(code))
    return "unshare(CLONE_NEWUSER)"


def _request(messages: Iterable[Request], netlink: Netlink) -> None:
    """Send requests; raise :class:`OSError` with the kernel's message for the first refused one."""
    for error in netlink.request(list(messages)):
        if error is not None:
            raise OSError(error.number, error.text or os.strerror(error.number))


def _free(netlink: Netlink) -> int:
    """Return an index above those of all interfaces.

    If ip_tunnel, ip_gre or sit is loaded, a new namespace contains interfaces of that module.
    """
    return 1 + max(link.index for link in links.read_links(netlink, counters=False))


def _pair(netlink: Netlink) -> tuple[int, int]:
    """Create a veth pair, and return the indices of its ends."""
    first = _free(netlink)
    indices = first, first + 1
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    a, b = (
        VethEnd(namespace="", interface=name, mac=f"02:00:00:00:00:0{number}", mtu=1500)
        for number, name in ((2, "a"), (3, "b"))
    )
    try:
        _request([links.new_veth(a, b, indices, (here, here), 0)], netlink)
    finally:
        os.close(here)
    return indices


def _veth() -> str:
    with Netlink() as netlink:
        _pair(netlink)
    return "created a pair"


def _bridge() -> str:
    with Netlink() as netlink:
        _request([links.new_bridge("bridge", _free(netlink))], netlink)
    return "made one"


def _netem() -> str:
    with Netlink() as netlink:
        index, _ = _pair(netlink)
        _request([netem.new_qdisc(index, Netem.parse("delay 1ms"), 1500, 0)], netlink)
    return "made a qdisc"


def _discipline(name: str) -> str:
    with Netlink() as netlink:
        index, _ = _pair(netlink)
        _request([queues.try_out(index, name)], netlink)
    return "made a qdisc"


def _device(device: Device) -> str:
    with Netlink() as netlink:
        lower, last = _pair(netlink)
        on = lower if isinstance(device, Vlan) else 0
        _request([links.new_device("device", last + 1, device, on, "", 0)], netlink)
    return "made one"


def _redirect() -> str:
    """Return the first classifier that works."""
    errors: list[str] = []
    with Netlink() as netlink:
        indices = _pair(netlink)
        for way in redirection.Redirect:
            ingress, classifier = redirection.requests(way, *indices)
            netlink.request([ingress])  # exists already at the second attempt
            refused = netlink.request([classifier])[0]
            if refused is None:
                return str(way)
            errors.append(f"{way} {refused}")
    raise OSError(errno.EOPNOTSUPP, "; ".join(errors))


def _mptcp() -> str:
    socket.socket(socket.AF_INET, socket.SOCK_STREAM, _IPPROTO_MPTCP).close()
    return "opened a socket"


def _endpoints() -> str:
    with Netlink(NETLINK_GENERIC) as netlink:
        family = family_number(netlink)
        if family is None:
            raise OSError(errno.ENOENT, "no mptcp_pm in generic netlink")
        endpoint = Endpoint(
            address="192.0.2.1", id=1, interface="lo", flags=(EndpointFlag.SUBFLOW,)
        )
        _request([mptcp.add_endpoint(family, endpoint, links.LOOPBACK)], netlink)
    return "added one"


def _packet_socket() -> str:
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL)).close()
    return "opened one"


def _congestion_control(name: str) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, name.encode())
    return "TCP_CONGESTION accepted"


def _pidfd_getfd() -> str:
    """Duplicate descriptor 0 of a child process."""
    child = os.fork()
    if child == 0:
        signal.pause()
    try:
        pidfd = os.pidfd_open(child)
        try:
            os.close(syscalls.pidfd_getfd(pidfd, 0))
        finally:
            os.close(pidfd)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return "duplicated a descriptor of a child"


def _tun() -> str:
    os.close(os.open(_TUN, os.O_RDWR))
    return f"opened {_TUN}"


# In the order of `testbed doctor`.
_PROBES: Final = (
    _Probe(
        "network namespaces",
        lambda: "unshare(CLONE_NEWNET)",
        "every node is a network namespace",
        "use a kernel with CONFIG_NET_NS",
    ),
    _Probe(
        "user namespaces",
        _user_namespace,
        "without root, a sandbox needs one",
        "run as root, or allow them (user.max_user_namespaces and the distribution's own switch)",
    ),
    _Probe("veth", _veth, "every link is made of veth pairs", "load the veth module"),
    _Probe("bridge", _bridge, "every switch is a bridge", "load the bridge module"),
    _Probe(
        "netem",
        _netem,
        "it shapes wires in the kernel",
        "use the emulator (--wire auto or emulator), or load sch_netem",
    ),
    *(
        _Probe(
            name,
            functools.partial(_discipline, name),
            "queues on wires in the kernel need it",
            f"use the emulator for wires with such a queue, or load sch_{name}",
        )
        for name in ("htb", "pfifo", "codel", "fq_codel", "pie", "red")
    ),
    *(
        _Probe(
            kind_of(device),
            functools.partial(_device, device),
            "topologies with such interfaces need it",
            f"use a kernel with {option}, as `testbed run --machine uml:7.3` does",
        )
        for device, option in _DEVICES
    ),
    _Probe(
        "redirect",
        _redirect,
        "the netem engine forwards frames with a classifier and the mirred action",
        "use --wire emulator, or load cls_matchall and act_mirred",
    ),
    _Probe(
        "mptcp",
        _mptcp,
        "the stack mptcp is the kernel's Multipath TCP",
        "use Linux 5.6 or later with CONFIG_MPTCP",
    ),
    _Probe(
        "mptcp-endpoints",
        _endpoints,
        "the in-kernel path manager opens the additional subflows",
        "use Linux 5.7 or later with CONFIG_MPTCP",
    ),
    _Probe(
        "packet sockets",
        _packet_socket,
        "the emulator and the userspace stack send and receive frames with them",
        "use a kernel with CONFIG_PACKET",
    ),
    _Probe(
        "cubic",
        lambda: _congestion_control("cubic"),
        "it is the usual congestion control of TCP",
        "add it to net.ipv4.tcp_allowed_congestion_control on the host, or compare with reno",
    ),
    _Probe(
        "pidfd_getfd",
        _pidfd_getfd,
        "probes read TCP_INFO and MPTCP_INFO of other programs' sockets with it",
        "use Linux 5.6 or later; without it, samples of external programs are missing",
    ),
    _Probe(
        "tun",
        _tun,
        "tunnels need it, and the userspace stack on TUN interfaces (userspace(device=tun0))",
        "load the tun module as root, and run testbed as root or chmod 0666 /dev/net/tun",
    ),
)
