"""Diagrams of boxes: in a row, and in branches side by side, with lines at right angles. It knows nothing of layers.

Places are (across, along) in inches: along the way that data take, and across it. A part is laid out around a middle
line, from a start on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

#: of a monospaced font, in points and inches: its characters have one width, and texts need no measuring
_FONT, _CHARACTER, _LINE = 9, 9 * 0.602 / 72, 9 * 1.35 / 72
_MARGIN, _GAP, _BESIDE = 0.12, 0.3, 0.3
_HEAD = 0.07  # half the width of the head of an arrow, and its length
_COLOUR = "#404040"

Place = tuple[float, float]


@dataclass(eq=False)
class Canvas:
    """Axes of matplotlib, in inches, and the direction of the data: "TB", "BT", "LR" or "RL"."""

    axes: Any
    direction: str

    def at(self, place: Place) -> Place:
        """A place as x and y, which rises."""
        across, along = place
        along = along if self.direction in ("LR", "BT") else -along
        return (along, -across) if self.direction in ("LR", "RL") else (across, along)

    def line(self, *places: Place, arrow: bool = False) -> None:
        """A line through these places; an arrow points along."""
        if arrow:
            across, along = places[-1]
            base = along - 1.5 * _HEAD
            corners = [(across - _HEAD, base), (across + _HEAD, base), (across, along)]
            self.axes.fill(*zip(*map(self.at, corners)), color=_COLOUR, linewidth=0)
            places = (*places[:-1], (across, base))
        self.axes.plot(*zip(*map(self.at, places)), color=_COLOUR, linewidth=0.8, solid_capstyle="butt")

    def rectangle(self, middle: float, start: float, size: Place, **style: Any) -> tuple[float, float, float, float]:
        """A rectangle; its left, lower, right and upper ends."""
        from matplotlib.patches import Rectangle

        corners = [self.at((middle - size[0] / 2, start)), self.at((middle + size[0] / 2, start + size[1]))]
        (left, right), (low, high) = (sorted(ends) for ends in zip(*corners))
        self.axes.add_patch(Rectangle((left, low), right - left, high - low, linewidth=0.8, **style))
        return left, low, right, high

    def text(self, x: float, y: float, text: str, **more: Any) -> None:
        """Text around x and y, or where ``more`` aligns it."""
        # The dollar signs of a name are no formula.
        self.axes.text(x, y, text, fontsize=_FONT, family="monospace", parse_math=False, **more)


class Part:
    """A part of a diagram."""

    pointed = False  # whether a line that leads to it ends in an arrow

    def size(self, upright: bool) -> Place:
        """(across, along) in inches; ``upright`` where the data go up or down."""
        raise NotImplementedError

    def draw(self, canvas: Canvas, middle: float, start: float) -> None:
        """Draw it around a middle line, from a start on."""
        raise NotImplementedError


@dataclass(eq=False)
class Box(Part):
    """A box with lines of text."""

    lines: Sequence[str]
    pointed = True

    def size(self, upright: bool) -> Place:
        width = max(map(len, self.lines)) * _CHARACTER + 2 * _MARGIN
        height = len(self.lines) * _LINE + 2 * _MARGIN
        return (width, height) if upright else (height, width)

    def draw(self, canvas: Canvas, middle: float, start: float) -> None:
        size = self.size(canvas.direction in ("TB", "BT"))
        left, low, right, high = canvas.rectangle(middle, start, size, facecolor="#eef3fb", edgecolor=_COLOUR)
        for number, line in enumerate(self.lines):
            y = high - _MARGIN - (number + 0.5) * _LINE
            canvas.text((left + right) / 2, y, line, ha="center", va="center")


@dataclass(eq=False)
class Row(Part):
    """Parts in a row; none for a line that goes past. With a title it has a frame."""

    parts: Sequence[Part]
    title: str | None = None

    @property
    def pointed(self) -> bool:  # type: ignore[override]
        return self.title is None and bool(self.parts) and self.parts[0].pointed

    def size(self, upright: bool) -> Place:
        sizes = [part.size(upright) for part in self.parts]
        across = max((one for one, _ in sizes), default=0.0)
        along = sum(one for _, one in sizes) + _GAP * max(0, len(sizes) - 1)
        if self.title is None:
            return across, along
        across, along = across + 2 * _GAP, along + 2 * _GAP
        title = len(self.title) * _CHARACTER + 2 * _MARGIN
        # The line in the middle stays clear of the title.
        return (max(across, 2 * title), along) if upright else (across, max(along, title))

    def draw(self, canvas: Canvas, middle: float, start: float) -> None:
        upright = canvas.direction in ("TB", "BT")
        size, place = self.size(upright), start
        if self.title is not None:
            left, *_, high = canvas.rectangle(
                middle, start, size, facecolor="none", edgecolor=_COLOUR, linestyle="dashed"
            )
            canvas.text(left + _MARGIN / 2, high - _MARGIN / 2, self.title, ha="left", va="top")
            place += _GAP
            canvas.line((middle, start), (middle, place), arrow=any(part.pointed for part in self.parts[:1]))
        for number, part in enumerate(self.parts):
            if number:
                canvas.line((middle, place), (middle, place + _GAP), arrow=part.pointed)
                place += _GAP
            part.draw(canvas, middle, place)
            place += part.size(upright)[1]
        if place < start + size[1]:
            canvas.line((middle, place), (middle, start + size[1]))


@dataclass(eq=False)
class Fork(Part):
    """Branches side by side, and the box that joins them."""

    branches: Sequence[Part]
    joint: Box

    def size(self, upright: bool) -> Place:
        sizes, joint = [branch.size(upright) for branch in self.branches], self.joint.size(upright)
        across = sum(one for one, _ in sizes) + _BESIDE * (len(sizes) - 1)
        return max(across, joint[0]), max(one for _, one in sizes) + 2.5 * _GAP + joint[1]

    def draw(self, canvas: Canvas, middle: float, start: float) -> None:
        upright = canvas.direction in ("TB", "BT")
        sizes = [branch.size(upright) for branch in self.branches]
        first, join = start + _GAP, start + 1.5 * _GAP + max(along for _, along in sizes)
        left = middle - (sum(across for across, _ in sizes) + _BESIDE * (len(sizes) - 1)) / 2
        for branch, (across, along) in zip(self.branches, sizes):
            lane = left + across / 2
            canvas.line((middle, start), (lane, start), (lane, first), arrow=branch.pointed)
            branch.draw(canvas, lane, first)
            canvas.line((lane, first + along), (lane, join), (middle, join))
            left += across + _BESIDE
        canvas.line((middle, join), (middle, join + _GAP), arrow=True)
        self.joint.draw(canvas, middle, join + _GAP)


def figure_of(diagram: Part, direction: str) -> Any:
    """A figure of matplotlib as large as the diagram."""
    from matplotlib.figure import Figure

    upright = direction in ("TB", "BT")
    across, along = diagram.size(upright)
    width, height = (one + 2 * _GAP for one in ((across, along) if upright else (along, across)))
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    canvas = Canvas(axes, direction)
    diagram.draw(canvas, 0.0, 0.0)
    ends = [canvas.at((-across / 2, 0.0)), canvas.at((across / 2, along))]
    (left, right), (low, high) = (sorted(values) for values in zip(*ends))
    axes.set(xlim=(left - _GAP, right + _GAP), ylim=(low - _GAP, high + _GAP))
    return figure
