"""Elementary functions as rules: ``math.exp`` in a float32 rule becomes ``exp_float32``, and so on.

LLVM has no vector form of exp, log, tanh or erf without a vendor's library (libm costs 2-12 ns an element), and a
library's bits differ between machines.  These are polynomials of correctly rounded operations: a loop around them
vectorises whole, and gives the same bits at every place of an array, on AVX2 and on AVX-512.

How they are written:

* ``fma`` is explicit, and products that are added to something are ``product``: LLVM must not decide about fusing,
  since it decides differently for a vector loop and its scalar tail.
* No branch: both sides of a conditional are names or cheap, and it becomes a select. In comparisons NaN falls through.
* Constants of ln 2 and pi / 2 are split: the reduction is exact with a fused multiply-add and good without.

Largest error found, in units of the last place, and time of an element on one core (Zen 3, AVX2, 65,536 elements):

========  =======  ======  =======  ======  ======================================================
function  float32  ns      float64  ns      range
========  =======  ======  =======  ======  ======================================================
exp       1.1      0.40    1.0      1.4
expm1     1.6      0.46    1.8      1.4
log       1.0      0.76    1.1      2.2
log1p     1.5      0.95    1.7      2.8
tanh      1.4      0.78    1.3      2.5
erf       1.3      1.0     1.2      4.4
log2      1.1              1.2
log10     1.5              1.1
atan      1.2              0.9
sin, cos  1.6      0.75    1.9      1.9     abs(x) <= 1e5 (float32), 1e6 (float64); NaN beyond
pow       2, 13    3       1, 32    9       while abs(y log x) < 10; at the ends of the range
========  =======  ======  =======  ======  ======================================================

Functions made of these (`derived.py`) stay within 3 units: sinh, cosh, tan, asin, acos, atan2, asinh,
acosh, atanh.

Without a fused multiply-add all but pow stay within these errors; pow loses as many units as abs(y log x) is large.

Loops that LLVM interleaves four times are 16 to 40 % faster (exp 0.33, tanh 0.58, erf 0.76 in float32): one
chain of multiply-adds after the other fills the scheduler.  Long polynomials are split in even and odd powers for the
same reason.
"""

from fastnet._kernels.rules.elementary_float32 import (
    atan_float32,
    cos_float32,
    erf_float32,
    exp_float32,
    expm1_float32,
    log1p_float32,
    log2_float32,
    log10_float32,
    log_float32,
    pow_float32,
    sin_float32,
    tanh_float32,
)
from fastnet._kernels.rules.elementary_float64 import (
    atan_float64,
    cos_float64,
    erf_float64,
    exp_float64,
    expm1_float64,
    log1p_float64,
    log2_float64,
    log10_float64,
    log_float64,
    pow_float64,
    sin_float64,
    tanh_float64,
)

__all__ = [
    "atan_float32",
    "atan_float64",
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
    "log2_float32",
    "log2_float64",
    "log10_float32",
    "log10_float64",
    "log_float32",
    "log_float64",
    "pow_float32",
    "pow_float64",
    "sin_float32",
    "sin_float64",
    "tanh_float32",
    "tanh_float64",
]
