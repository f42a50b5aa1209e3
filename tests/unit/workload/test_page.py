"""Files of pages: what they mean, and their mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.errors import InputError
from testbed.workload import page
from testbed.workload.page import Object

PAGE = """\
description: Three objects
objects:
  - {name: index, size: 10KB}
  - {name: style, size: 5000, after: {index: 1KB}, delay: 5ms}
  - {name: picture, size: 30KB, after: [index, style], think: 20ms}
"""


@pytest.fixture
def load(tmp_path: Path):
    def load(text: str) -> tuple[Object, ...]:
        file = tmp_path / "page.yaml"
        file.write_text(text)
        return page.load(file)

    return load


def test_objects_wait_for_others_or_parts_of_them(load):
    index, style, picture = load(PAGE)
    assert index == Object(octets=10240)
    assert style == Object(octets=5000, after=((0, 1024),), delay_ns=5_000_000)
    assert picture.after == ((0, 10240), (1, 5000))
    assert picture.think_ns == 20_000_000
    assert page.depths((index, style, picture)) == [1, 2, 3]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[index, style]", "[indx]", r"page.yaml:5: objects\[2\].after: .*no object 'indx'; did"),
        (
            "{index: 1KB}",
            "[picture]",
            r"page.yaml:4: objects\[1\].after: 'picture' does not .*before",
        ),
        ("{index: 1KB}", "[style]", r"page.yaml:4: objects\[1\].after: 'style' does not .*before"),
        ("{index: 1KB}", "{index: 1MB}", r"page.yaml:4: .*'index' has 10240 octets, not 1048576"),
        ("name: picture", "name: style", r"page.yaml:5: .*there is already an object 'style'"),
        ("size: 5000", "size: 0", r"size must be more than 0"),
        ("delay: 5ms", "delay: -5ms", r"delay: .*cannot be negative"),
        ("think: 20ms", "think: late", r"think: .late. is not a time"),
        ("think:", "thinks:", r"page.yaml:5: .*thinks: unknown key; did you mean .think"),
        ("objects:", "objects: []\nothers:", r"page.yaml.*"),
    ],
)
def test_mistakes_name_file_and_line(load, old, new, message):
    with pytest.raises(InputError, match=message):
        load(PAGE.replace(old, new))


def test_all_mistakes_of_a_page_are_told_at_once(load):
    text = PAGE.replace("{index: 1KB}", "[picture]").replace("[index, style]", "{style: 5001}")
    with pytest.raises(InputError) as told:
        load(text + "  - {name: index, size: 1}\n  - {name: last, size: 1, after: [style]}\n")
    assert [(each.path, each.message) for each in told.value.every] == [
        ("objects[1].after", "'picture' does not come before this object"),
        ("objects[2].after", "'style' has 5000 octets, not 5001"),
        ("objects[3].name", "there is already an object 'index'"),
    ]


def test_a_page_that_is_not_there_is_a_mistake(tmp_path):
    with pytest.raises(InputError, match=r"none.yaml: cannot be read: No such file"):
        page.load(tmp_path / "none.yaml")


def test_the_shipped_pages_can_be_read():
    folder = Path(__file__).parents[3] / "experiments" / "pages"
    pages = {file.stem: page.load(file) for file in folder.glob("*.yaml")}
    assert sorted(pages) == ["documentation", "report", "shop"]
    assert max(page.depths(pages["shop"])) >= 4
