"""Scalars that a step computes once, in float64."""

from __future__ import annotations

from fastnet._kernels.kinds import (
    count,
    integer,
    read_float64,
    reads,
    real,
    reals,
    rule,
    value,
    values,
    write_float64,
    writes,
)
from fastnet._kernels.template import template


@template()
def step_scalars(
    f: rule, rate: value, iteration: count, accumulation_steps: integer, p: reals, memory: reads, scalars: writes
):
    # memory (1,) each  scalars (1,) each: what an optimizer computes once a step; t counts updates, from 1
    (*scalars[0],) = f(rate, float64(iteration // accumulation_steps + 1), *p, *memory[0])


@template()
def weight_numbers(f: rule, p: reals, scalars: values, memory: reads, numbers: writes):
    # memory (1,) each  numbers (1,) each: what an optimizer computes once for a weight, of sums over it
    (*numbers[0],) = f(*p, *scalars, *memory[0])


@template()
def remember(scalars: values, memory: writes):
    # memory (1,) each: numbers for the next step, stored when this one has happened
    (*memory[0],) = (*scalars,)


@template()
def norm_factor(f: rule, squares: read_float64, factor: write_float64, first: integer, count: integer, p: reals):
    # squares (arrays,)  factor (1,): for the arrays first … first + count, of whose norms it is made
    total = 0.0
    for i in range(first, first + count):
        total += squares[i]
    factor[0] = f(total, *p)


@template()
def step_factor(f: rule, squares: read_float64, factor: write_float64, first: integer, size: real, scalars: values):
    # squares (arrays,): that of a weight at `first`, of its direction behind it  factor (1,)
    factor[0] = f(squares[first], squares[first + 1], size, *scalars)


@template()
def rate_of_step(step: value, address: count, stride: count, column: integer, rate: write_float64):
    # table (columns, stride) at the address: the first column is the number of the step  rate (1,)
    rate[0] = address_pointer_float64(address)[stride * column + int64(step)]
