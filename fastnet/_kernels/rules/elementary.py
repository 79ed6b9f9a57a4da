"""Elementary functions as rules: ``math.exp`` in a float32 rule becomes ``exp_float32``, and so on.

LLVM has no vector form of exp, log, tanh or erf without a vendor's library (libm costs 2-12 ns an element), and a
library's bits differ between machines.  These are polynomials of correctly rounded operations: a loop around them
vectorises whole, and gives the same bits at every place of an array, on AVX2 and on AVX-512.

How they are written:

* ``fma`` is spelt out and products that meet an addition are ``product``: what is fused is never left to LLVM, which
  decides differently for a vector loop and its scalar tail.
* No branch: both sides of a conditional are names or cheap, so that it becomes a select.  Comparisons are written so
  that NaN falls through.
* Constants of ln 2 and pi / 2 are split so that the reduction is exact with a fused multiply-add and good without.

==========  ========================  ========================  =====================================================
function    float32, units in the     float64                   range
            last place at most
==========  ========================  ========================  =====================================================
exp         see tests/test_elementary.py
==========  ========================  ========================  =====================================================
"""

from fastnet._kernels.rules.elementary_float32 import (
    cos_float32,
    erf_float32,
    exp_float32,
    expm1_float32,
    log1p_float32,
    log_float32,
    pow_float32,
    sin_float32,
    tanh_float32,
)
from fastnet._kernels.rules.elementary_float64 import (
    cos_float64,
    erf_float64,
    exp_float64,
    expm1_float64,
    log1p_float64,
    log_float64,
    pow_float64,
    sin_float64,
    tanh_float64,
)

__all__ = [
    "cos_float32",
    "cos_float64",
    "erf_float32",
    "erf_float64",
    "exp_float32",
    "exp_float64",
    "expm1_float32",
    "expm1_float64",
    "log1p_float32",
    "log1p_float64",
    "log_float32",
    "log_float64",
    "pow_float32",
    "pow_float64",
    "sin_float32",
    "sin_float64",
    "tanh_float32",
    "tanh_float64",
]
