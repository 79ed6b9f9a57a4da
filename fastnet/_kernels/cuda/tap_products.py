"""The products from which the gradient of the taps of Winograd's convolution follows, on a GPU."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastnet._kernels import window as windows
from fastnet._kernels.compile import Source
from fastnet._kernels.cuda import patches, winograd
from fastnet._kernels.generate import CUDA_IMPORTS, decoded, module
from fastnet._kernels.kinds import Kind, parse

_INTEGER, _READ, _WRITE = (parse(kind) for kind in ("integer", "read", "write"))
_FILES = (__file__, patches.__file__, winograd.__file__, windows.__file__)


@dataclass(frozen=True)
class TapProductsKernel:
    """The kernel of the products from which the gradient of the taps of Winograd's convolution follows.

    Args:
        dtype: of all operands.
    """

    dtype: str

    @property
    def shared_bytes(self) -> int:
        """Bytes of memory that the threads of a block share."""
        return 2 * 36 * winograd.BATCH * winograd.SIDE * np.dtype(self.dtype).itemsize

    @property
    def parameters(self) -> tuple[tuple[str, Kind], ...]:
        """(name, kind) of the arguments, in order."""
        integers = ("parts", "down", "across", "high", "wide", "lda", "ldb", *patches.NAMES)
        return ("a", _READ), ("b", _READ), ("c", _WRITE), *((name, _INTEGER) for name in integers)

    def source(self) -> Source:
        """The kernel as a complete module; a unit of its axis is a block of threads."""
        return Source(f"tap_products_{self.dtype}", repr(self), self._text, _FILES)

    def _text(self) -> str:
        pasted: dict[str, str] = {}
        names = [f"{name}_at" if kind.access else name for name, kind in self.parameters]
        lines = winograd.tap_lines(self.dtype, pasted)
        body = "\n".join([f"@body\ndef body({', '.join(names)}, rows, lo, hi):", *(f"    {line}" for line in lines)])
        arguments = [*decoded(self.parameters, self.dtype, "rows", "cuda"), "rows", "lo", "hi"]
        return module(
            "tap_products", self.dtype, pasted.values(), body, arguments, "bases, args, rows, lo, hi", CUDA_IMPORTS
        )
