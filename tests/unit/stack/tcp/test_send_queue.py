"""Octets that wait for their first transmission: what is cut from them is a copy of its own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from testbed.stack.tcp.send_queue import SendQueue

LARGE = 16 * 1024


def test_a_large_view_is_kept_and_what_leaves_is_bytes() -> None:
    whole = bytes(range(256)) * 512
    queue = SendQueue()
    queue.append(memoryview(whole), None)
    first, rest = queue.take(1000), queue.take(len(whole))
    assert (type(first), type(rest)) == (bytes, bytes)
    assert first + rest == whole
    assert not queue.octets


def test_a_small_view_is_copied() -> None:
    data = bytearray(b"x" * 100)
    queue = SendQueue()
    queue.append(memoryview(data), None)
    data[:] = b"y" * 100
    assert queue.take(100) == b"x" * 100


@given(
    st.lists(
        st.tuples(st.sampled_from([1, 100, 1999, LARGE - 1, LARGE, 3 * LARGE]), st.booleans()),
        max_size=6,
    ),
    st.lists(st.integers(1, 2 * LARGE), min_size=1, max_size=6),
)
def test_octets_leave_as_they_came(chunks: list[tuple[int, bool]], cuts: list[int]) -> None:
    queue, sent, taken, number = SendQueue(), b"", b"", 0
    for size, view in chunks:
        data = bytes([len(sent) % 251]) * size
        sent += data
        queue.append(memoryview(data) if view else data, None)
    while queue.octets:
        taken += queue.take(cuts[number % len(cuts)])
        number += 1
    assert taken == sent
