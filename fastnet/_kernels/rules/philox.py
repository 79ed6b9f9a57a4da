"""Random numbers as rules: counter-based, so that a number depends on (seed, step, layer, element) alone.

A rule whose parameters are all annotated ``"u32"`` is an *integer rule*: its arguments are uint32, the generator types
its literals ``np.uint32``, and it computes with the ``u32`` primitives instead of operators.  Every other rule is a
float rule.  The two meet in the template: integers become floats through ``unit_float32`` and ``unit_float64``.

One call of ``philox`` gives four numbers.  Element ``i`` owns word ``i % 4`` of block ``i // 4``, so a template runs
over blocks and stores four elements for each (0.9 ns an element with AVX2); ``philox_word`` gives the word of a single
element, at two and a half times the cost, for the ends of a range and for templates that do not run in order.
Dropout needs only 16 bits an element, and orders its blocks for a loop that vectorises without shuffles
(`templates/random_bits.py`).

    words = philox(block_low, block_high, step, layer, seed_low, seed_high)

``step`` is the optimizer's iteration, ``layer`` the number of the consumer within a model.
"""

import math

from fastnet._kernels.rules.primitives import add_u32, and_u32, mul_high_u32, mul_u32, shift_right_u32, xor_u32


def philox_round(c0: "u32", c1: "u32", c2: "u32", c3: "u32", k0: "u32", k1: "u32"):  # noqa: F821
    return (
        xor_u32(xor_u32(mul_high_u32(0xCD9E8D57, c2), c1), k0),
        mul_u32(0xCD9E8D57, c2),
        xor_u32(xor_u32(mul_high_u32(0xD2511F53, c0), c3), k1),
        mul_u32(0xD2511F53, c0),
    )


def philox(c0: "u32", c1: "u32", c2: "u32", c3: "u32", k0: "u32", k1: "u32"):  # noqa: F821
    """Philox4x32-10: four uint32 from a counter and a key; Salmon et al. 2011, doi:10.1145/2063384.2063405, §4.3."""
    c0, c1, c2, c3 = philox_round(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3 = philox_round(c0, c1, c2, c3, add_u32(k0, 0x9E3779B9), add_u32(k1, 0xBB67AE85))
    c0, c1, c2, c3 = philox_round(c0, c1, c2, c3, add_u32(k0, 0x3C6EF372), add_u32(k1, 0x76CF5D0A))
    c0, c1, c2, c3 = philox_round(c0, c1, c2, c3, add_u32(k0, 0xDAA66D2B), add_u32(k1, 0x32370B8F))
    c0, c1, c2, c3 = philox_round(c0, c1, c2, c3, add_u32(k0, 0x78DDE6E4), add_u32(k1, 0xED9EBA14))
    c0, c1, c2, c3 = philox_round(c0, c1, c2, c3, add_u32(k0, 0x1715609D), add_u32(k1, 0xA9066899))
    c0, c1, c2, c3 = philox_round(c0, c1, c2, c3, add_u32(k0, 0xB54CDA56), add_u32(k1, 0x646E171E))
    c0, c1, c2, c3 = philox_round(c0, c1, c2, c3, add_u32(k0, 0x5384540F), add_u32(k1, 0x1FD5C5A3))
    c0, c1, c2, c3 = philox_round(c0, c1, c2, c3, add_u32(k0, 0xF1BBCDC8), add_u32(k1, 0xDB3D7428))
    c0, c1, c2, c3 = philox_round(c0, c1, c2, c3, add_u32(k0, 0x8FF34781), add_u32(k1, 0x96A522AD))
    return c0, c1, c2, c3


def philox_word(element: "u32", step: "u32", layer: "u32", seed_low: "u32", seed_high: "u32"):  # noqa: F821
    """The word of one element below 2**32."""
    w0, w1, w2, w3 = philox(shift_right_u32(element, 2), 0, step, layer, seed_low, seed_high)
    index = and_u32(element, 3)
    lower = w0 if index == 0 else w1
    upper = w2 if index == 2 else w3
    return lower if index < 2 else upper


def normal_pair(u, v):
    """Two independent standard normal numbers from two uniform ones in [0, 1); Box and Muller 1958.

    ``1 - u`` is never 0: float32 numbers reach 5.8, float64 ones 8.6.
    """
    radius = math.sqrt(-2 * math.log(1 - u))
    angle = 2 * math.pi * v
    return radius * math.cos(angle), radius * math.sin(angle)
