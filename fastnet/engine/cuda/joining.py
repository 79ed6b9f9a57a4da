"""Several launches as one node of a graph: those that do not depend on each other, and those of one block in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fastnet._kernels import abi
from fastnet._kernels.cuda.entry import MOST_PARAMETERS
from fastnet._kernels.cuda.tiles import THREADS
from fastnet.engine.cuda.binder import DeviceLaunch
from fastnet.engine.memory import Spans
from fastnet.engine.view import Slot

REACH = 32  # levels among which a launch looks for its own: planning stays linear in the layers


class Level:
    """Launches of which none reads what another one writes.

    Attributes:
        launches: in the order of the plan.
        waits: whether it is a launch for which all others wait: one that decides whether the run goes on.
    """

    def __init__(self, waits: bool = False):
        self.launches: list[DeviceLaunch] = []
        self.waits = waits
        self._read, self._written = Spans(), Spans()

    def meets(self, spans: Sequence[tuple[int, int, str]]) -> bool:
        """Whether a launch that touches these bytes must come later."""
        return self.waits or any(
            self._written.meets(start, end) or ("w" in mode and self._read.meets(start, end))
            for start, end, mode in spans
        )

    def add(self, launch: DeviceLaunch, spans: Sequence[tuple[int, int, str]]) -> None:
        """Append a launch."""
        self.launches.append(launch)
        for start, end, mode in spans:
            for kind, touched in (("r", self._read), ("w", self._written)):
                if kind in mode:
                    touched.add(start, end)


@dataclass
class Joined:
    """Launches that are a node.

    Args:
        launches: in the order of the plan.
        in_order: whether one block goes through them one after the other.
    """

    launches: list[DeviceLaunch]
    in_order: bool = False

    @property
    def parameters(self) -> int:
        """The parameters of the node's kernel."""
        return sum(2 + len(launch.arguments) for launch in self.launches) + 4

    def blocks(self) -> int:
        """The blocks of threads of all launches."""
        return 1 if self.in_order else sum(launch.blocks(THREADS) for launch in self.launches)


def joined_launches(executable: Any, launches: Sequence[DeviceLaunch]) -> list[Joined]:
    """The nodes of a step.

    Each launch is as early as what it reads is there, together with others of its level if all of them leave
    multiprocessors idle. Levels of one block follow each other in one node.
    """
    nodes: list[Joined] = []
    for level in _levels(executable, launches):
        found = _nodes(level, executable.driver.processors)
        if nodes and len(found) == 1 and nodes[-1].blocks() == found[0].blocks() == 1:
            both = Joined([*nodes[-1].launches, *found[0].launches], in_order=True)
            if both.parameters <= MOST_PARAMETERS:
                nodes[-1] = both
                continue
        nodes += found
    return nodes


def _levels(executable: Any, launches: Sequence[DeviceLaunch]) -> list[list[DeviceLaunch]]:
    levels: list[Level] = []
    for launch in launches:
        if not launch.call.guarded:
            levels.append(Level(waits=True))
            levels[-1].add(launch, [])
            continue
        spans = list(_spans(executable, launch))
        at = len(levels)
        while at > max(0, len(levels) - REACH) and not levels[at - 1].meets(spans):
            at -= 1
        if at == len(levels):
            levels.append(Level())
        levels[at].add(launch, spans)
    return [level.launches for level in levels]


def _spans(executable: Any, launch: DeviceLaunch) -> Iterator[tuple[int, int, str]]:
    """The bytes that a launch touches. NONFINITE may be raised by any number of launches."""
    for operand, mode in executable.plan.launches[launch.position].access:
        if not (isinstance(operand, Slot) and operand.index == abi.NONFINITE):
            yield (*executable.span(operand), mode)


def _nodes(launches: Sequence[DeviceLaunch], processors: int) -> list[Joined]:
    """The nodes of a level."""
    nodes: list[Joined] = []
    for launch in launches:
        both = Joined([*(nodes[-1].launches if nodes else []), launch])
        if nodes and both.blocks() <= processors and both.parameters <= MOST_PARAMETERS:
            nodes[-1] = both
        else:
            nodes.append(Joined([launch]))
    return nodes
