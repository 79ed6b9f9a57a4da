"""The public way to write kernels, and layers with kernels of their own.

A *template* is the body of a kernel. Its parameters are operands, and each is annotated with its *kind*, which says how
it reaches the kernel. A template also says how it is launched; a call only names operands.

=====================================  ===============================================================================
decorator                              the function's body
=====================================  ===============================================================================
``@elementwise``                       a formula: each name stands for one element
``@fold``                              a formula whose results are summed, over rows or over everything
``@template(axis, grain=, cost=)``     loops of its own over ``range(lo, hi)``, its part of the parallel axis
=====================================  ===============================================================================

=====================================  ===============================================================================
kind                                   operand
=====================================  ===============================================================================
``read``, ``write``, ``update``        a view or a weight: read, written, or both; ``read_int32`` is one of int32
``reads``, ``writes``, ``updates``     a sequence of these; ``*name`` stands for all
``read["n, width"]``                   with named dimensions: ``x[r, j]``. The last names are the last axes, the first
                                       is all axes before them, including the batch. Equal names have equal sizes
``read["row"]``, ``read["column"]``    in formulas of elements: one number for each row, for each column
``write["column"]``                    of a fold: the sum over the rows of each column
``write_float64["total"]``             of a fold: the sums of chunks of all elements (`Plan.chunk_sums`)
``read | 1.0``, ``write | None``       may be left out: each element is then 1, and nothing is written
``size``                               the size of the dimension of this name; in formulas ``rows`` and ``columns``
``rule``                               a function of numbers
``integer``, ``real``, ``reals``       numbers that are fixed when the plan is made
``value``, ``values``                  numbers that a launch of each step computes (`Plan.slot`)
=====================================  ===============================================================================

A `Plan` gets launches: ``plan.call(template, **operands)`` appends a call, ``plan.product(a, b, c)`` a matrix product,
``plan.apply(layer, x)`` a layer and ``plan.combine(operation, *views)`` an operation between results. ``print(plan)``
shows one line for each launch. docs/extending.md is the guide.

Example:
    >>> import numpy as np
    >>> from fastnet import extend
    >>> @extend.template("n", cost="width")
    ... def largest(x: extend.read["n, width"], y: extend.write["n"], width: extend.size, lo, hi):
    ...     for r in range(lo, hi):
    ...         y[r] = x[r, 0]
    ...         for j in range(width):
    ...             y[r] = x[r, j] if x[r, j] > y[r] else y[r]
    >>> plan = extend.Plan(training=False, dtype="float64")
    >>> x, y = plan.buffer((3,)), plan.buffer(())
    >>> _ = plan.call(largest, x=x, y=y)
    >>> extend.run_once(plan, {x: np.array([[1.0, 3.0, 2.0], [-5.0, -4.0, -6.0]])}, y).tolist()
    [3.0, -4.0]
"""

# Templates, and the kinds of their parameters.
from fastnet._kernels.kinds import Kind as Kind
from fastnet._kernels.kinds import hi as hi
from fastnet._kernels.kinds import integer as integer
from fastnet._kernels.kinds import lo as lo
from fastnet._kernels.kinds import read as read
from fastnet._kernels.kinds import read_float32 as read_float32
from fastnet._kernels.kinds import read_float64 as read_float64
from fastnet._kernels.kinds import read_int32 as read_int32
from fastnet._kernels.kinds import read_int64 as read_int64
from fastnet._kernels.kinds import read_uint8 as read_uint8
from fastnet._kernels.kinds import reads as reads
from fastnet._kernels.kinds import real as real
from fastnet._kernels.kinds import reals as reals
from fastnet._kernels.kinds import rule as rule
from fastnet._kernels.kinds import size as size
from fastnet._kernels.kinds import update as update
from fastnet._kernels.kinds import update_float64 as update_float64
from fastnet._kernels.kinds import update_int32 as update_int32
from fastnet._kernels.kinds import update_int64 as update_int64
from fastnet._kernels.kinds import updates as updates
from fastnet._kernels.kinds import value as value
from fastnet._kernels.kinds import values as values
from fastnet._kernels.kinds import write as write
from fastnet._kernels.kinds import write_float64 as write_float64
from fastnet._kernels.kinds import write_int32 as write_int32
from fastnet._kernels.kinds import write_int64 as write_int64
from fastnet._kernels.kinds import write_uint8 as write_uint8
from fastnet._kernels.kinds import writes as writes

# Losses of a whole row.
from fastnet._kernels.registry import Pass as Pass
from fastnet._kernels.registry import RowRule as RowRule

# Functions for rules, besides arithmetic and `math`.
from fastnet._kernels.rules import primitives as primitives
from fastnet._kernels.template import Template as Template
from fastnet._kernels.template import elementwise as elementwise
from fastnet._kernels.template import fold as fold
from fastnet._kernels.template import template as template

# Templates for users' layers.
from fastnet._kernels.templates.elementwise import add as add
from fastnet._kernels.templates.elementwise import apply as apply
from fastnet._kernels.templates.elementwise import chain_rule as chain_rule
from fastnet._kernels.templates.elementwise import copy as copy
from fastnet._kernels.templates.elementwise import fill as fill
from fastnet._kernels.templates.elementwise import maximum as maximum
from fastnet._kernels.templates.elementwise import maximum_gradient as maximum_gradient
from fastnet._kernels.templates.elementwise import multiply as multiply
from fastnet._kernels.templates.elementwise import scale as scale
from fastnet._kernels.templates.folds import sum_rows as sum_rows
from fastnet._kernels.templates.folds import sum_rule as sum_rule
from fastnet._kernels.templates.folds import sum_weighted as sum_weighted
from fastnet._kernels.templates.folds import total_of as total_of
from fastnet._kernels.templates.step_masks import zero_masked as zero_masked

# Plans and their parts.
from fastnet.engine.bind import bind as bind
from fastnet.engine.bind import run_once as run_once
from fastnet.engine.fuse import fuse as fuse
from fastnet.engine.gradients import DenseGradient as DenseGradient
from fastnet.engine.gradients import Gradient as Gradient
from fastnet.engine.operations import Add as Add
from fastnet.engine.operations import Average as Average
from fastnet.engine.operations import Cast as Cast
from fastnet.engine.operations import Concatenate as Concatenate
from fastnet.engine.operations import Maximum as Maximum
from fastnet.engine.operations import Multiply as Multiply
from fastnet.engine.plan import Plan as Plan
from fastnet.engine.variable import Variable as Variable
from fastnet.engine.view import Slot as Slot
from fastnet.engine.view import View as View

# Gradients of array code.
from fastnet.ops.composites import custom_gradient as custom_gradient
