"""Documents: what is read, and how every mistake is named."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed import document
from testbed.errors import InputError


class End(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    interface: str | None = None


class Link(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    between: tuple[str, str] | dict[str, End | None]
    mtu: Annotated[int, msgspec.Meta(ge=68)] = 1500
    mode: Literal["fast", "slow"] = "fast"

    def __post_init__(self) -> None:
        if self.mtu == 666:
            raise InputError("not this one", hint="take another")


class Bulk(msgspec.Struct, frozen=True, tag_field="kind", tag="bulk", forbid_unknown_fields=True):
    size: int = 0


class Stream(
    msgspec.Struct, frozen=True, tag_field="kind", tag="stream", forbid_unknown_fields=True
):
    rate: int = 0


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    links: dict[str, Link] = {}
    tags: list[str] = []
    workload: Bulk | Stream | None = None


def read(text: str | bytes) -> document.Document[File]:
    return document.loads(text, File, "lab.yaml")


def error_of(text: str | bytes) -> InputError:
    with pytest.raises(InputError) as caught:
        read(text)
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("links:\n  a: {between: [x, y], mtuu: 3}", "lab.yaml:2: links.a.mtuu: unknown key; did"),
        ("links:\n  a:\n    between: [x, y]\n    mtu: 3", "lab.yaml:4: links.a.mtu: expected a"),
        ("links:\n  a:\n    mtu: 100", "lab.yaml:2: links.a: lacks the key 'between'"),
        ("links:\n  a: {between: [x, y, z]}", "lab.yaml:2: links.a.between: expected a list of"),
        ("links:\n  a.b: {between: [x, 1]}", 'lab.yaml:2: links."a.b".between[1]: expected text'),
        (
            "links:\n  a:\n    between:\n      x: {interfac: y}",
            "lab.yaml:4: links.a.between.x.interfac: unknown key; did you mean 'interface'?",
        ),
        (
            "links:\n  a: {between: [x, y], mode: fats}",
            "lab.yaml:2: links.a.mode: invalid enum value 'fats'; did you mean 'fast'?",
        ),
        (
            "links:\n\n  a: {between: [x, y], mtu: 666}",
            "lab.yaml:3: links.a: not this one; take another",
        ),
        (
            "workload:\n  kind: blk",
            "lab.yaml:2: workload.kind: unknown kind 'blk'; did you mean 'bulk'?",
        ),
        ("workload:\n  kind: {a: b}", "lab.yaml:2: workload.kind: unknown kind {'a': 'b'}; known:"),
        ("workload:\n  kind: bulk\n  rate: 3", "lab.yaml:3: workload.rate: unknown key; known:"),
        ("links:\n  'a\"b': {mtuu: 3}", 'lab.yaml:2: links."a""b".mtuu: unknown key; did'),
        ("tags: [a, b]\ntags: []", "lab.yaml:2: tags: appears twice; it is already on line 1"),
        ("tags: [a\nlinks: }", "lab.yaml:2: is not YAML"),
        ("tags:\n\t- a", "lab.yaml:2: is not YAML"),
        ("tags: [\x00]", "lab.yaml: is not YAML"),
        ("tags: [!!python/name:os.system a]", "lab.yaml:1: tags[0]: tag "),
        ("tags: [*nowhere]", "lab.yaml:1: tags[0]: alias *nowhere has no anchor before it"),
        ("tags: &a [*a]", "lab.yaml:1: tags[0]: alias *a has no anchor before it"),
        ("[a]: b", "lab.yaml:1: a key must be text"),
        ("tags: []\n---\ntags: []", "lab.yaml:2: contains more than one document"),
        ("- a", "lab.yaml:1: expected a mapping, got a list"),
        ("", "lab.yaml: expected a mapping, got nothing"),
        ('tags:\n- "a\\0"', "lab.yaml:2: tags[0]: contains a NUL character"),
        ('links: {"a\\0": {}}', "lab.yaml:1: links.a\0: contains a NUL character"),
        (b"tags:\n- a\n- \xff\xfe", "lab.yaml:3: is not UTF-8 text"),
    ],
)
def test_mistake_is_named_by_file_line_and_path(text: str | bytes, message: str) -> None:
    assert str(error_of(text)).startswith(message)


def test_scalars_follow_yaml_1_2() -> None:
    raw, _ = document.parse("[no, on, 1:30, 0x10, 0o10, 010, 1e3, .5, ~, true, '1', 1_000]", "x")
    assert raw == ["no", "on", "1:30", 16, 8, 10, 1000.0, 0.5, None, True, "1", "1_000"]


def test_aliases_stand_for_their_anchor() -> None:
    text = "links: {a: &one {between: [x, y], mtu: 900}, b: *one}"
    links = read(text).value.links
    assert links["a"] == links["b"] == Link(between=("x", "y"), mtu=900)


def test_billion_laughs_is_refused() -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    for before, after in zip("abcdefghij", "bcdefghijk", strict=True):
        lines.append(f"{after}: &{after} [{', '.join([f'*{before}'] * 9)}]")
    assert "aliases stand for more than" in str(error_of("\n".join(lines)))


def test_deep_nesting_is_refused() -> None:
    assert "is nested deeper than" in str(error_of("tags: " + "[" * 100))
    # The limit of the YAML library itself depends on its version.
    assert "nest" in str(error_of("tags: " + "[" * 100_000))


def test_huge_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.yaml"
    with path.open("wb") as file:
        file.truncate(document.MAX_BYTES + 1)
    with pytest.raises(InputError, match="is larger than 16 MiB"):
        document.load(path, File)


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        document.load(tmp_path / "none.yaml", File)
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        document.load(tmp_path, File)


def test_byte_order_mark_is_skipped() -> None:
    assert read(b"\xef\xbb\xbftags: [a]").value.tags == ["a"]


def test_error_of_a_later_check_finds_the_line() -> None:
    found = read("tags:\n- a\nlinks:\n  a:\n    between: [x, y]\n")
    assert found.error("is wrong", "links.a.between[1]").line == 5
    assert found.error("is wrong", "links.a.mtu").line == 4, "the nearest value around it"
    assert str(found.error("is wrong", "tags[0]", "mend it")) == (
        "lab.yaml:2: tags[0]: is wrong; mend it"
    )


def test_converted_data_keeps_the_positions() -> None:
    found = read("tags: [a]\nlinks:\n  a: {between: [x, y]}\n")
    with pytest.raises(InputError, match=r"^lab\.yaml:3: links\.a\.mtu: expected a whole number"):
        document.convert(
            {"links": {"a": {"between": ["x", "y"], "mtu": 1}}}, File, found.positions, "lab.yaml"
        )


KEYS = st.one_of(st.integers(0, 99), st.text(max_size=8))


@given(st.lists(KEYS, max_size=5))
def test_paths_survive_being_written_and_read(keys: list[str | int]) -> None:
    assert document.split_path(document.join_path(*keys)) == tuple(keys)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    with contextlib.suppress(InputError):
        read(content)
