"""The processor's own speed as a kernel: multiply-adds on registers, written by hand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fastnet._kernels.compile import Source
from fastnet._kernels.kinds import Kind, parse

_FILES = tuple(str(Path(__file__).with_name(name)) for name in ("peak_kernel.py", "emit.py", "processor.py"))


@dataclass(frozen=True)
class MultiplyAdds:
    """v = v / 2 + 1/2, over and over, for as many vectors v as a tile of the matrix product keeps in registers.

    Its arguments are a buffer of 64 bytes for each part of the parallel axis, and the number of turns. From 80 turns on
    every v is 1, so that the numbers a part writes add up to how many it computes in a turn: the caller need
    not know the width of the processor's vectors.
    """

    dtype: str

    @property
    def parameters(self) -> tuple[tuple[str, Kind], ...]:
        """(name, kind) of its arguments, in order."""
        return ("out", parse("write")), ("turns", parse("integer"))

    @property
    def full_name(self) -> str:
        return f"multiply_adds_{self.dtype}"

    def source(self) -> Source:
        """The kernel as a complete module."""
        return Source(self.full_name, self.dtype, self._text, _FILES)

    def _text(self) -> str:
        return f'DTYPE = "{self.dtype}"\n' + Path(_FILES[0]).read_text(encoding="utf-8")
