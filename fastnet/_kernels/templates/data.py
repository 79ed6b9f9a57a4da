"""Loops that fetch rows of a data set, in the order of the epoch's permutation, and that make permutations."""

from __future__ import annotations

from fastnet._kernels.kinds import count, function, integer, read, size, update_int64, write, write_int64
from fastnet._kernels.rules.philox import philox
from fastnet._kernels.template import template


@template("rows", grain=16, cost="3 * width", aligned=False)
def gather(
    address_source: function, convert: function, flag_nonfinite: function, bits: function, address: count,
    stride: count, per: count, order: count, first: count, y: write[rows, width], nonfinite: update_int64,
    width: size, lo, hi,
):  # fmt: skip
    # source (n, width), rows `stride` bytes apart  y (rows, width)  nonfinite (1,): set by `flag_nonfinite`
    # Where `per` is not 0 the source is in parts of so many rows: at `address` lie the address and the stride of each.
    base, row_stride, start, flag = address, stride, first, bits(0)
    if per != 0:
        part = address_pointer_int64(address + 16 * (first // per))
        base, row_stride, start = part[0], part[1], 0
    for r in range(lo, hi):
        row = start + r
        if order != 0:
            row = address_pointer_int64(order)[row]
        x = address_source(base + row * row_stride)
        for j in range(width):
            y[r, j] = convert(x[j])
    for r in range(lo, hi):  # loops of their own: the one above is memmove where nothing is converted
        for j in range(width):
            flag = flag_nonfinite(flag, y[r, j])
    if flag < 0:
        raise_flag(nonfinite)


@template("rows * width", cost=3)
def gather_elements(
    address_source: function, convert: function, flag_nonfinite: function, bits: function, address: count,
    stride: count, per: count, order: count, first: count, y: write[rows, width], nonfinite: update_int64,
    width: size, lo, hi,
):  # fmt: skip
    # `gather` for a GPU, where neighbouring threads read neighbouring elements
    base, row_stride, start, flag = address, stride, first, bits(0)
    if per != 0:
        part = address_pointer_int64(address + 16 * (first // per))
        base, row_stride, start = part[0], part[1], 0
    for i in range(lo, hi):
        r = int64(uint32(i) // uint32(width))
        j = i - r * width
        row = start + r
        if order != 0:
            row = address_pointer_int64(order)[row]
        x = address_source(base + row * row_stride)
        y[r, j] = convert(x[j])
        flag = flag_nonfinite(flag, y[r, j])
    if flag < 0:
        raise_flag(nonfinite)


@template("rows * chunks(width, 128)", cost=384)
def gather_pieces(
    address_source: function, convert: function, flag_nonfinite: function, bits: function, address: count,
    stride: count, per: count, order: count, first: count, y: write[rows, width], nonfinite: update_int64,
    width: size, lo, hi,
):  # fmt: skip
    # `gather` of wide rows for a GPU: a warp takes 128 neighbouring elements, a lane each 32nd. What is read is read
    # before anything is written, so that loads do not wait for each other; behind the end of a row they repeat it.
    base, row_stride, start, flag = address, stride, first, bits(0)
    if per != 0:
        part = address_pointer_int64(address + 16 * (first // per))
        base, row_stride, start = part[0], part[1], 0
    pieces, values = (width + 127) // 128, stack(4)
    for unit in range(lo, hi):
        r = int64(uint32(unit) // uint32(pieces))
        row = start + r
        if order != 0:
            row = address_pointer_int64(order)[row]
        x = address_source(base + row * row_stride)
        left = (unit - r * pieces) * 128 + thread() % 32
        for k in range(4):
            values[k] = convert(x[min(left + 32 * k, width - 1)])
        for k in range(4):
            if left + 32 * k < width:
                y[r, left + 32 * k] = values[k]
                flag = flag_nonfinite(flag, values[k])
    if flag < 0:
        raise_flag(nonfinite)


@template("rows", grain=16, cost="3 * width", aligned=False)
def gather_strided(
    address_source: function, convert: function, flag_nonfinite: function, bits: function, address: count,
    stride: count, layout: count, order: count, first: count, y: write[rows, width], nonfinite: update_int64,
    width: size, lo, hi,
):  # fmt: skip
    # layout: rank of a row, then its shape, then its strides in bytes
    shape = address_pointer_int64(layout)
    rank = shape[0]
    last, flag = shape[rank], bits(0)
    for r in range(lo, hi):
        row = first + r
        if order != 0:
            row = address_pointer_int64(order)[row]
        for outer in range(width // last):
            remainder = outer
            element_address = address + row * stride
            for axis in range(rank - 1, 0, -1):
                element_address += (remainder % shape[axis]) * shape[rank + axis]
                remainder //= shape[axis]
            for j in range(last):
                y[r, outer * last + j] = convert(address_source(element_address + j * shape[2 * rank])[0])
    for r in range(lo, hi):
        for j in range(width):
            flag = flag_nonfinite(flag, y[r, j])
    if flag < 0:
        raise_flag(nonfinite)


@template("rows", grain=16, cost="3 * width", aligned=False)
def gather_sparse(
    address_source: function, address_index: function, convert: function, flag_nonfinite: function,
    bits: function, address: count, columns: count, starts: count, order: count, first: count, y: write[rows, width],
    nonfinite: update_int64, width: size, lo, hi,
):  # fmt: skip
    # source in the CSR format: at `address` its values, at `columns` the column of each, at `starts` the index of the
    # first value of each row, with that of the end
    values, column, start = address_source(address), address_index(columns), address_index(starts)
    flag = bits(0)
    for r in range(lo, hi):
        row = first + r
        if order != 0:
            row = address_pointer_int64(order)[row]
        for j in range(width):
            y[r, j] = T(0)
        for k in range(start[row], start[row + 1]):
            value = convert(values[k])
            flag = flag_nonfinite(flag, value)
            y[r, column[k]] = value
    if flag < 0:
        raise_flag(nonfinite)


@template("rows", grain=16, cost="3 * width", aligned=False)
def scatter(address_target: function, y: read[rows, width], address: count, first: count, width: size, lo, hi):
    # y (rows, width)  target (n, width)
    target = address_target(address)
    for r in range(lo, hi):
        for j in range(width):
            target[(first + r) * width + j] = y[r, j]


@template()
def permutation(order: write_int64, seed: integer, epoch: integer, n: integer):
    # order (n,), n < 2**32: Fisher and Yates's shuffle, inside out. First the draws, which are independent: element i
    # gets j in [0, i] from 64 random bits that depend on (seed, epoch, i) alone. Then, in place, the swaps.
    low, high, e0, e1 = uint32(seed), uint32(seed >> 32), uint32(epoch), uint32(epoch >> 32)
    for pair in range(n // 2):
        a, b, c, d = philox(uint32(pair), uint32(0), e0, e1, low, high)
        i = uint64(2 * pair + 1)
        order[2 * pair] = int64((uint64(a) * i + ((uint64(b) * i) >> uint64(32))) >> uint64(32))
        i += uint64(1)
        order[2 * pair + 1] = int64((uint64(c) * i + ((uint64(d) * i) >> uint64(32))) >> uint64(32))
    if n % 2:
        a, b, c, d = philox(uint32(n // 2), uint32(0), e0, e1, low, high)
        i = uint64(n)
        order[n - 1] = int64((uint64(a) * i + ((uint64(b) * i) >> uint64(32))) >> uint64(32))
    for i in range(n):
        j = order[i]
        order[i] = order[j]
        order[j] = i
