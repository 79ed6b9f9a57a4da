"""Random numbers, which follow from (seed, step, stream, element) alone."""

from __future__ import annotations

from fastnet._kernels.kinds import count, integer, read_int32, size, write, write_uint8
from fastnet._kernels.rules.philox import normal_pair, philox, philox_word
from fastnet._kernels.template import template


@template("n", grain=512, cost=4)
def draw_mask(keep: write_uint8[n], seed: count, iteration: count, stream: integer, threshold: integer, lo, hi):
    # keep (n,): 1 where the element's random 16 bits are at least `threshold`
    # Of each 512 elements the j-th 64 own the j-th 16 bits of the 64 blocks of random numbers drawn for them, in order:
    # neighbours come from neighbouring blocks, and nothing is shuffled (0.57 ns an element; four words a block to
    # four neighbours 1.25).
    low, high, half = uint32(seed), uint32(seed >> 32), uint32(65535)
    step, lay = uint32(iteration), uint32(stream)
    lower, upper = uint32(threshold), uint32(threshold << 16)
    for chunk in range(lo // 512, (hi + 511) // 512):
        start = 512 * chunk
        if start + 512 <= hi:
            for k in range(64):
                g, i = 64 * chunk + k, start + k
                a, b, c, d = philox(uint32(g), uint32(g >> 32), step, lay, low, high)
                keep[i] = 0 if and_u32(a, half) < lower else 1
                keep[i + 64] = 0 if a < upper else 1
                keep[i + 128] = 0 if and_u32(b, half) < lower else 1
                keep[i + 192] = 0 if b < upper else 1
                keep[i + 256] = 0 if and_u32(c, half) < lower else 1
                keep[i + 320] = 0 if c < upper else 1
                keep[i + 384] = 0 if and_u32(d, half) < lower else 1
                keep[i + 448] = 0 if d < upper else 1
        else:
            for h in range((hi - start + 63) // 64):
                for k in range(min(64, hi - start - 64 * h)):
                    g, i = 64 * chunk + k, start + 64 * h + k
                    a, b, c, d = philox(uint32(g), uint32(g >> 32), step, lay, low, high)
                    word = a if h < 2 else (b if h < 4 else (c if h < 6 else d))
                    dropped = word < upper if h % 2 == 1 else and_u32(word, half) < lower
                    keep[i] = 0 if dropped else 1


@template("rows", grain=16, cost="20 * width", aligned=False)
def draw_shared_mask(
    keep: write_uint8[rows, width], index: read_int32[width], seed: count, iteration: count, stream: integer,
    threshold: integer, row_draws: integer, width: size, lo, hi,
):  # fmt: skip
    # elements of one index share a word; 0 row_draws where the rows share them too
    low, high = uint32(seed), uint32(seed >> 32)
    step, lay, limit = uint32(iteration), uint32(stream), uint32(threshold)
    for r in range(lo, hi):
        for j in range(width):
            word = philox_word(uint32(r * row_draws + index[j]), step, lay, low, high)
            keep[r, j] = 0 if word < limit else 1


@template("n", grain=64, cost=40)
def draw_normal(noise: write[n], seed: count, iteration: count, stream: integer, lo, hi):
    # noise (n,): standard normal numbers
    low, high = uint32(seed), uint32(seed >> 32)
    step, lay = uint32(iteration), uint32(stream)
    for g in range(lo // 4, (hi + 3) // 4):
        a, b, c, d = philox(uint32(g), uint32(g >> 32), step, lay, low, high)
        n0, n1 = normal_pair(T(unit_float32(a)), T(unit_float32(b)))
        n2, n3 = normal_pair(T(unit_float32(c)), T(unit_float32(d)))
        i = 4 * g
        noise[i] = n0
        if i + 1 < hi:
            noise[i + 1] = n1
        if i + 2 < hi:
            noise[i + 2] = n2
        if i + 3 < hi:
            noise[i + 3] = n3


@template("n", grain=64, cost=20)
def draw_uniform(noise: write[n], seed: count, iteration: count, stream: integer, lo, hi):
    # noise (n,): numbers from 0 to 1
    low, high = uint32(seed), uint32(seed >> 32)
    step, lay = uint32(iteration), uint32(stream)
    for g in range(lo // 4, (hi + 3) // 4):
        a, b, c, d = philox(uint32(g), uint32(g >> 32), step, lay, low, high)
        i = 4 * g
        noise[i] = T(unit_float32(a))
        if i + 1 < hi:
            noise[i + 1] = T(unit_float32(b))
        if i + 2 < hi:
            noise[i + 2] = T(unit_float32(c))
        if i + 3 < hi:
            noise[i + 3] = T(unit_float32(d))
