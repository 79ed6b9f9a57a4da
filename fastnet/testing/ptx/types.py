"""The types of PTX as numpy has them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Type(NamedTuple):
    """A type: `kind` is u, s, b (bits), f, bf (bfloat16) or p (predicate); `dtype` is how a register is viewed."""

    name: str
    kind: str
    bits: int
    dtype: np.dtype

    @property
    def bytes(self) -> int:
        return self.bits // 8

    @property
    def raw(self) -> Type:
        """The unsigned type of this width: what moves, loads and stores use, so that no NaN changes its bits."""
        return self if self.kind == "p" else TYPES[f"u{self.bits}"]

    @property
    def is_float(self) -> bool:
        return self.kind in ("f", "bf")


def _types() -> dict[str, Type]:
    found = {"pred": Type("pred", "p", 1, np.dtype(bool)), "bf16": Type("bf16", "bf", 16, np.dtype(np.uint16))}
    for bits in (8, 16, 32, 64):
        for kind, dtype in (("u", f"u{bits // 8}"), ("s", f"i{bits // 8}"), ("b", f"u{bits // 8}")):
            found[f"{kind}{bits}"] = Type(f"{kind}{bits}", kind, bits, np.dtype(dtype))
        if bits > 8:
            found[f"f{bits}"] = Type(f"f{bits}", "f", bits, np.dtype(f"f{bits // 8}"))
    return found


TYPES = _types()
