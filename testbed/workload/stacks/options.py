"""The options of stacks: their names, units and notation.

Sizes are octets and may be written as in tc(8) (``4MiB``); times are nanoseconds (``40ms``). An
option has the same name in all stacks.
"""

from __future__ import annotations

import functools
import typing
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from testbed.errors import InputError, all_of
from testbed.host.devices.names import PACKET, tuns
from testbed.registry import Registry
from testbed.stack.mptcp.config import MptcpConfig
from testbed.stack.mptcp.path_manager import PATH_MANAGERS
from testbed.stack.mptcp.scheduler import SCHEDULERS
from testbed.stack.tcp.config import TcpConfig
from testbed.stack.tcp.congestion import CONTROLS
from testbed.units import parse_size, parse_time
from testbed.workload.stacks.model import Scalar, StackKind

DEVICE: Final = "device"  # for our own stacks: testbed.host.devices.names
_SIZES: Final = frozenset(
    {"send_buffer", "receive_buffer", "receive_buffer_initial", "receive_memory", "notsent_lowat"}
)
_TIMES: Final = frozenset({"keepalive_idle", "keepalive_interval", "user_timeout", "linger"})
_S: Final = 1_000_000_000
SUBFLOWS: Final = "subflows"  # the limit of subflows of a connection, including the first
LINGER: Final = "linger"  # the time; our configurations have a separate flag
# Options of our own stacks whose values are names.
OUR_NAMES: Final[Mapping[str, Registry[Any]]] = {
    "congestion": CONTROLS,
    "scheduler": SCHEDULERS,
    "path_manager": PATH_MANAGERS,
}
_WORDS: Final[Mapping[type, str]] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a name",
}
# The minimum of options that are neither sizes nor times: each host must accept an mtu of 576
# (RFC 791, section 3.1), and 88 is the smallest mss of Linux. The others are counts.
_LEAST: Final = {"mtu": 576, "mss": 88, "hop_limit": 1, "keepalive_probes": 1, "subflows": 1}
_MOST: Final = {"hop_limit": 255, "traffic_class": 255, "subflows": 64}
# Options that must not exceed another one, if both are given.
_NOT_ABOVE: Final = (("receive_buffer_initial", "receive_buffer"), ("rto_min", "rto_max"))
# Options that have an effect only with another one, which must then be given.
_NEEDS: Final[Mapping[str, str]] = {
    "early_answer": "fast_open",
    "fast_open_cookies": "fast_open",
    "fast_open_pending": "fast_open",
    "keepalive_idle": "keepalive",
    "keepalive_interval": "keepalive",
    "keepalive_probes": "keepalive",
}
# Options that our congestion controls overrule, because these need what the option turns off.
_OVERRULED: Final = (("dctcp", "ecn"), ("bbr", "pacing"))
_ZERO: Final = frozenset({"blackhole_timeout", LINGER})  # times that may be 0
_LARGEST: Final = 2**31 - 1  # the largest value of a kernel socket option, in its own unit
_WHOLE: Final = {
    "keepalive_idle": _S,
    "keepalive_interval": _S,
    LINGER: _S,
    "user_timeout": 1_000_000,
}
_SUFFIX: Final = "_ns"  # the suffix of time fields of our own configurations
_OUR_TIMES: Final = frozenset(
    name.removesuffix(_SUFFIX)
    for name in (*MptcpConfig.__struct_fields__, *TcpConfig.__struct_fields__)
    if name.endswith(_SUFFIX)
)


class KernelOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of a kernel socket, see tcp(7) and socket(7). ``None`` keeps the kernel's value.

    :param congestion: TCP_CONGESTION.
    :param send_buffer: SO_SNDBUF in octets, before the kernel doubles it. The kernel then does not
        tune the size of this buffer.
    :param receive_buffer: SO_RCVBUF in octets, before the kernel doubles it. The kernel then does
        not tune the size of this buffer.
    :param nodelay: TCP_NODELAY. By default, workloads turn Nagle's algorithm off.
    :param cork: TCP_CORK: hold back segments that are not full, for 200 ms at most.
    :param notsent_lowat: TCP_NOTSENT_LOWAT in octets.
    :param keepalive: SO_KEEPALIVE.
    :param keepalive_idle: TCP_KEEPIDLE, in nanoseconds, a multiple of 1 s.
    :param keepalive_interval: TCP_KEEPINTVL, in nanoseconds, a multiple of 1 s.
    :param keepalive_probes: TCP_KEEPCNT.
    :param user_timeout: TCP_USER_TIMEOUT, in nanoseconds.
    :param linger: SO_LINGER: how long close(2) waits for the peer to acknowledge everything, in
        nanoseconds, a multiple of 1 s. With 0, close(2) aborts the connection by RST, or by
        MP_FASTCLOSE.
    :param fast_open: TCP Fast Open (RFC 7413): sets ``net.ipv4.tcp_fastopen`` of the node to 3, or
        to 0. Open ports have TCP_FASTOPEN, and the first write uses MSG_FASTOPEN.
    """

    congestion: str | None = None
    send_buffer: int | None = None
    receive_buffer: int | None = None
    nodelay: bool | None = None
    cork: bool | None = None
    notsent_lowat: int | None = None
    keepalive: bool | None = None
    keepalive_idle: int | None = None
    keepalive_interval: int | None = None
    keepalive_probes: int | None = None
    user_timeout: int | None = None
    linger: int | None = None
    fast_open: bool | None = None


class KernelTcpOptions(KernelOptions, frozen=True, kw_only=True):
    """Options of the kernel's TCP: the socket options, and one that MPTCP ignores.

    :param eor: MSG_EOR with each write: no segment has octets of two writes.
    """

    eor: bool | None = None


class KernelMptcpOptions(KernelOptions, frozen=True, kw_only=True):
    """Options of the kernel's MPTCP: the socket options, and three sysctls of the node.

    :param scheduler: ``net.mptcp.scheduler`` (Linux 6.8).
    :param path_manager: ``net.mptcp.path_manager`` (Linux 6.15).
    :param checksum: ``net.mptcp.checksum_enabled``.
    """

    scheduler: str | None = None
    path_manager: str | None = None
    checksum: bool | None = None


def names(kind: StackKind) -> tuple[str, ...]:
    """Return the names of the options of a stack."""
    return kind.options.__struct_fields__


def decode(kind: StackKind, given: Mapping[str, Scalar]) -> Any:
    """Return the options struct of a stack.

    :param given: values of options that the stack has.
    :raises InputError: values are invalid for their options. The error names all of them.
    """
    read = functools.partial(_decoded, kind)
    plain = all_of(*(functools.partial(read, name, value) for name, value in given.items()))
    return kind.options(**dict(zip(given, plain, strict=True)))


def _decoded(kind: StackKind, name: str, value: Scalar) -> Any:
    """Return the value of one option, in its own unit."""
    number = _value(name, value)
    _check(kind, name, number)
    wanted, _ = typing.get_args(_types(kind.options)[name])  # it, or None
    try:
        return None if number is None else msgspec.convert(number, wanted)
    except msgspec.ValidationError:
        raise InputError(f"{name} of {kind.name} must be {_WORDS[wanted]}, not {value!r}") from None


@functools.cache
def _types(options: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the types of options. They are cached, because evaluation takes a millisecond."""
    return typing.get_type_hints(options)


def check_names(kind: StackKind, chosen: Mapping[str, Scalar]) -> None:
    """Check that the names in the options of our own stacks exist.

    Only the name of a device is checked, because the device may belong to another machine.

    :raises InputError: a name does not exist, or the plugin that defines it cannot be used.
    """
    all_of(
        *(
            functools.partial(registry.check, str(chosen[name]))
            for name, registry in OUR_NAMES.items()
            if not kind.in_kernel and chosen.get(name) is not None
        ),
        lambda: tuns(str(chosen.get(DEVICE) or PACKET)),
    )


def check_pairs(kind: StackKind, options: msgspec.Struct) -> None:
    """Check options that depend on each other.

    An option that needs another is allowed if the other is off, so that a matrix can switch it.

    :raises InputError: an option exceeds its bound, or has no effect. The error names all of them.
    """
    values = given(options)
    all_of(
        *(functools.partial(_check_pair, kind, values, *pair) for pair in _NOT_ABOVE),
        *(functools.partial(_check_need, kind, values, *pair) for pair in _NEEDS.items()),
        *(functools.partial(_check_overruled, kind, values, *pair) for pair in _OVERRULED),
    )


def _check_pair(kind: StackKind, values: Mapping[str, Any], low: str, high: str) -> None:
    if low in values and high in values and values[low] > values[high]:
        raise InputError(f"{low} of {kind.name} is more than its {high}")


def _check_need(kind: StackKind, values: Mapping[str, Any], name: str, needed: str) -> None:
    if name in values and needed not in values:
        raise InputError(
            f"{name} of {kind.name} has no effect without {needed}", hint=f"add {needed}=true"
        )


def _check_overruled(kind: StackKind, values: Mapping[str, Any], control: str, name: str) -> None:
    if not kind.in_kernel and values.get("congestion") == control and values.get(name) is False:
        raise InputError(f"{name}=false of {kind.name} has no effect: {control} needs {name}")


def given(options: msgspec.Struct) -> dict[str, Scalar]:
    """Return the requested options by name."""
    found = msgspec.structs.asdict(options)
    return {name: value for name, value in found.items() if value is not None}


def configured(base: msgspec.Struct, options: Mapping[str, Scalar]) -> Any:
    """Return a configuration of our own stack with some options set; load what the options name.

    ``nodelay`` is the opposite of the field ``nagle``, a time ``x`` is the field ``x_ns``, and
    ``subflows`` is one more than the limit, which excludes the first subflow. Options that the
    configuration lacks belong to the other configuration of the stack. A window of a chosen size
    does not grow, as with SO_RCVBUF, unless its initial size is chosen, too.
    """
    fields = base.__struct_fields__
    changed: dict[str, Any] = {"receive_buffer_initial": 0} if "receive_buffer" in options else {}
    for name, value in options.items():
        if name in OUR_NAMES:
            OUR_NAMES[name].take(str(value))
        if name == "nodelay" and "nagle" in fields:
            changed["nagle"] = not value
        if name == LINGER and LINGER in fields:
            changed |= {LINGER: True, LINGER + _SUFFIX: value}
            continue
        if name == SUBFLOWS and "limits" in fields:
            limits = getattr(base, "limits")  # noqa: B009 - any struct's
            changed["limits"] = msgspec.structs.replace(limits, subflows=int(value or 1) - 1)
        for field in (name, name + _SUFFIX):
            if field in fields:
                changed[field] = value
    return msgspec.structs.replace(base, **changed)


def read_back(configuration: msgspec.Struct, names: tuple[str, ...]) -> dict[str, Scalar]:
    """Return the values of named options in a configuration of our own stack."""
    fields = configuration.__struct_fields__
    found: dict[str, Scalar] = {}
    for name in names:
        if name == "nodelay" and "nagle" in fields:
            found[name] = not getattr(configuration, "nagle")  # noqa: B009 - any struct's
        if name == SUBFLOWS and "limits" in fields:
            found[name] = getattr(configuration, "limits").subflows + 1  # noqa: B009 - likewise
        for field in (name, name + _SUFFIX):
            if field in fields:
                found[name] = getattr(configuration, field)
        if name == LINGER and found.get(LINGER) is not None:
            found[name] = _linger(configuration)
    return found


def _linger(configuration: Any) -> int | None:
    """Return the time of SO_LINGER, or ``None`` if it is off."""
    on, time_ns = configuration.linger, configuration.linger_ns
    return int(time_ns) if on else None


def of_configurations(
    name: str,
    *parts: type[msgspec.Struct],
    without: frozenset[str],
    further: Mapping[str, type],
) -> Any:
    """Return a struct type with an option for each plain field of configurations.

    Fields that are structs are no options, because a file gives an option one value. The exception
    is the limit of subflows in the path limits. SO_LINGER is one option, its time.

    :param without: plain fields that are no options.
    :param further: additional options.
    """
    fields: dict[str, Any] = {option: type_ | None for option, type_ in further.items()}
    for part in parts:
        for field in msgspec.structs.fields(part):
            if field.name == "nagle":
                fields["nodelay"] = bool | None
            elif field.name == "limits":
                fields[SUBFLOWS] = int | None
            elif field.type in _WORDS and field.name not in without:
                fields[field.name.removesuffix(_SUFFIX)] = field.type | None
    return msgspec.defstruct(
        name,
        [(field, type_, None) for field, type_ in fields.items()],
        frozen=True,
        kw_only=True,
        module=__name__,
    )


def is_size(name: str) -> bool:
    """Return whether an option is a size."""
    return name in _SIZES


def is_time(name: str) -> bool:
    """Return whether an option is a time."""
    return name in _TIMES or name in _OUR_TIMES


def _check(kind: StackKind, name: str, value: Scalar) -> None:
    """Refuse a value that is invalid on all machines. Raises InputError."""
    if isinstance(value, int) and not isinstance(value, bool):
        if value <= 0 and (name in _SIZES or (is_time(name) and name not in _ZERO)):
            raise InputError(f"{name} of {kind.name} must be more than 0")
        if value < _LEAST.get(name, 0):
            raise InputError(f"{name} of {kind.name} must be {_LEAST.get(name, 0)} or more")
        if value > _MOST.get(name, value):
            raise InputError(f"{name} of {kind.name} must be {_MOST[name]} or less")
        unit = _WHOLE.get(name)
        if kind.in_kernel and unit is not None and value % unit:
            raise InputError(
                f"{name} of {kind.name} must be whole {'seconds' if unit == _S else 'ms'}"
            )
        if kind.in_kernel and value // (unit or 1) > _LARGEST:
            raise InputError(f"{name} of {kind.name} is too large for an option of a socket")


def _value(name: str, value: Scalar) -> Scalar:
    """Return a value in the option's unit. Sizes and times as text become numbers."""
    if isinstance(value, bool) or value is None:
        return value
    if name in _SIZES:
        return parse_size(str(value))
    if is_time(name):
        return parse_time(str(value))
    return value
