"""Framing and errors between a holder and its clients."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed import errors
from testbed.errors import SandboxError
from testbed.failure import Failure
from testbed.sandbox import protocol, registry
from testbed.topology.operations import AddNamespace, AddWire
from testbed.wire.netem import Netem


@given(st.lists(st.text()), st.integers(min_value=1, max_value=50))
def test_frames_survive_any_fragmentation(texts: list[str], size: int) -> None:
    faults = [protocol.Fault(Failure.of(SandboxError(text))) for text in texts]
    stream = b"".join(map(protocol.pack, faults))
    frames = protocol.Frames()
    bodies = [
        body for at in range(0, len(stream), size) for body in frames.feed(stream[at : at + size])
    ]
    decoded = [msgspec.msgpack.decode(body, type=protocol.AnyAnswer) for body in bodies]
    assert decoded == faults


def test_stream_that_is_not_ours_is_refused() -> None:
    with pytest.raises(ValueError, match="octets"):
        list(protocol.Frames().feed(b"GET / HTTP/1.1\r\n"))


def test_request_round_trip() -> None:
    wire = AddWire(
        link="l",
        a="w0a",
        b="w0b",
        mtu=1500,
        toward_a=Netem(),
        toward_b=Netem.parse("delay 1ms loss gemodel 1% 10%"),
    )
    request = protocol.Execute(id=3, operations=(AddNamespace(namespace="n"), wire))
    (body,) = protocol.Frames().feed(protocol.pack(request))
    assert msgspec.msgpack.decode(body, type=protocol.AnyRequest) == request


@pytest.mark.parametrize(
    "error",
    [
        errors.OperationError("ip link", wanted="a", seen="b", hint="c"),
        errors.PlatformError("netem", why="a", instead="b"),
        errors.SandboxError("broken", hint="mend it"),
        errors.SandboxError("broken"),
        errors.InputError("bad"),
    ],
)
def test_errors_arrive_as_they_left(error: errors.TestbedError) -> None:
    arrived = Failure.of(error).error()
    assert type(arrived) is type(error)
    assert str(arrived) == str(error)
    assert arrived.exit_code == error.exit_code


@pytest.mark.parametrize("name", ["a", "lab", "two_paths.1", "x" * 64])
def test_names(name: str) -> None:
    assert registry.check_name(name) == name


@pytest.mark.parametrize("name", ["", ".", "-x", "a/b", "a b", "a\0", "x" * 65, "é"])
def test_what_is_not_a_name(name: str) -> None:
    with pytest.raises(errors.InputError):
        registry.check_name(name)


def test_new_names_are_names_and_differ() -> None:
    assert registry.check_name(registry.new_name()) != registry.new_name()
