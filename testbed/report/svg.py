"""Builds SVG. ElementTree escapes all text.

Colours are classes, so that one drawing suits light and dark pages and paper: ``kN`` is the colour
of style N, and ``ink`` is that of text (``assets/page.css``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final
from xml.etree import ElementTree

from testbed.report.figures import INK
from testbed.text import clean

COLOURS: Final = 7
DASHES: Final = 4
_CHARACTER: Final = 0.56  # the average width of a character, as a share of the font size

Point = tuple[float, float]


class Drawing:
    """An SVG, or a group in one."""

    def __init__(self, element: ElementTree.Element) -> None:
        self._element = element

    @classmethod
    def sized(cls, width: float, height: float, title: str) -> Drawing:
        """Return an empty drawing.

        :param title: the text for readers who cannot see the drawing.
        """
        root = ElementTree.Element(
            "svg",
            {
                "viewBox": f"0 0 {_number(width)} {_number(height)}",
                "role": "img",
                "aria-label": clean(title),
                "class": "figure",
                "xmlns": "http://www.w3.org/2000/svg",
                "width": _number(width),
            },
        )
        return cls(root)

    def group(self, title: str = "", class_: str = "") -> Drawing:
        """Return a group; ``title`` is its tooltip."""
        inner = Drawing(ElementTree.SubElement(self._element, "g", _class(class_)))
        if title:
            ElementTree.SubElement(inner._element, "title").text = clean(title)
        return inner

    def text(self, x: float, y: float, text: str, class_: str = "", anchor: str = "start") -> None:
        """Write a line of text."""
        attributes = {"x": _number(x), "y": _number(y)} | _class(class_)
        if anchor != "start":
            attributes["text-anchor"] = anchor
        ElementTree.SubElement(self._element, "text", attributes).text = clean(text)

    def line(self, start: Point, end: Point, class_: str) -> None:
        """Draw a straight line."""
        self.path(f"M{_point(start)}L{_point(end)}", class_)

    def lines(self, points: Sequence[Point], class_: str) -> None:
        """Draw a polyline."""
        if points:
            self.path("M" + "L".join(map(_point, points)), class_)

    def area(self, top: Sequence[Point], bottom: Sequence[Point], class_: str) -> None:
        """Fill the area between two lines."""
        around = [*top, *reversed(bottom)]
        if around:
            self.path("M" + "L".join(map(_point, around)) + "Z", class_)

    def path(self, description: str, class_: str) -> None:
        """Draw a path."""
        ElementTree.SubElement(self._element, "path", {"d": description} | _class(class_))

    def rectangle(self, corner: Point, size: Point, class_: str) -> None:
        """Draw a rectangle."""
        place = {"x": corner[0], "y": corner[1], "width": size[0], "height": size[1]}
        attributes = {name: _number(value) for name, value in place.items()}
        ElementTree.SubElement(self._element, "rect", attributes | _class(class_))

    def dot(self, centre: Point, radius: float, class_: str) -> None:
        """Draw a dot."""
        place = {"cx": centre[0], "cy": centre[1], "r": radius}
        attributes = {name: _number(value) for name, value in place.items()}
        ElementTree.SubElement(self._element, "circle", attributes | _class(class_))

    def __str__(self) -> str:
        return ElementTree.tostring(self._element, encoding="unicode")


def style(number: int) -> str:
    """Return the classes of a style."""
    return "ink" if number == INK else f"k{number % COLOURS} d{number % DASHES}"


def steps(points: Iterable[Point]) -> list[Point]:
    """Return the corners of a line whose values hold until the next one."""
    corners: list[Point] = []
    for x, y in points:
        if corners and y != corners[-1][1]:
            corners.append((x, corners[-1][1]))
        corners.append((x, y))
    return corners


def width_of(text: str, size: float = 11) -> float:
    """Return the approximate width of a text."""
    return len(text) * size * _CHARACTER


def _class(class_: str) -> dict[str, str]:
    return {"class": class_} if class_ else {}


def _point(point: Point) -> str:
    return f"{_number(point[0])} {_number(point[1])}"


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
