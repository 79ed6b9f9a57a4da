"""Random plans of formulas, and a slow interpreter of plans that knows nothing of generated code."""
# ruff: noqa: F821, F841  (formulas are read as text)

import ast
import copy
import functools
import inspect
import textwrap

import numpy as np

from fastnet._kernels import abi
from fastnet._kernels.chain import Chain
from fastnet._kernels.kinds import read, rule, update, updates, value, write
from fastnet._kernels.template import elementwise
from fastnet._kernels.templates import elementwise as formulas
from fastnet._kernels.templates import folds, step_masks
from fastnet._kernels.templates import update as updating
from fastnet.engine.plan import Plan
from fastnet.engine.sizes import size_at
from fastnet.engine.variable import Variable
from fastnet.engine.view import Slot

ROWS, WIDTH, INNER = 5, 6, 3


# Rules and formulas whose names are those of other parameters, of loops and of what the generator makes.


def g(x):
    return 0.5 * x + 0.25


def x_g(g, x):
    return x - g * 0.5


def w(w_g, x, g, s):
    y = w_g + x
    return y * 0.75, s + x, x - g


@elementwise
def i(r: read, c: read["column"], i: write):
    y = r + c
    i = y * 0.5


@elementwise
def start(k: read, unit: read["row"], last: update):
    x = k * unit
    last = x - last


@elementwise
def pair(f: rule, w_g: update, x: read, g: read, y: write, states: updates, factor: value):
    x_2 = x * factor
    w_g, *states, y = f(w_g, x_2, g, *states)


# ---- random plans


class RandomPlan:
    """A plan of ten launches or so over matrices of one size.

    Attributes:
        plan: the plan.
        given: views and weights that have values when a step begins.
        slot: of a number.
    """

    def __init__(self, seed, of_batch, period=True, checks=True):
        self.rng = np.random.default_rng(seed)
        self.plan = Plan(True, "float64", ROWS)
        self.of_batch = of_batch
        self.given = [self.matrix() for _ in range(4)]
        if not of_batch:
            self.given += [Variable(np.zeros((ROWS, WIDTH)), f"w{k}") for k in range(2)]
        self.known = list(self.given)
        self.column = Variable(np.linspace(-1, 1, WIDTH), "column")
        self.row = self.plan.buffer(()) if of_batch else self.plan.buffer((ROWS,), per_row=False)
        self.slot = self.plan.slot()
        self.factors = self.matrix(INNER), Variable(self.rng.standard_normal((INNER, WIDTH)), "factor")
        for _ in range(int(self.rng.integers(5, 11))):
            self.period = 2 if period and self.rng.random() < 0.15 else 1
            self.flags = abi.CHECK if checks and self.rng.random() < 0.1 else 0
            getattr(self, f"add_{self.rng.choice(self.kinds)}")()
        written = [v for v in self.known if all(v is not g for g in self.given)]
        chosen = self.rng.choice(len(written), min(len(written), 2), replace=False) if written else []
        self.plan.results += [written[k] for k in chosen]
        self.given += [self.row, self.factors[0]]

    def matrix(self, width=WIDTH):
        return self.plan.buffer((width,)) if self.of_batch else self.plan.buffer((ROWS, width), per_row=False)

    def source(self):
        return self.known[self.rng.integers(len(self.known))]

    def others(self, *taken):
        """A view or weight with values, of other memory than those taken."""
        memory = [id(getattr(t, "buffer", t)) for t in taken]
        found = [v for v in self.known if id(getattr(v, "buffer", v)) not in memory]
        return found[self.rng.integers(len(found))]

    def target(self, *taken):
        """Where something is written: new memory, columns of wider rows, or over what is there."""
        kind = self.rng.random()
        if kind < 0.2:
            return self.others(*taken)
        made = self.matrix() if kind < 0.8 else self.matrix(WIDTH + 2).slice(-1, 1, 1 + WIDTH)
        self.known.append(made)
        return made

    def call(self, template, **operands):
        self.plan.call(template, period=self.period, flags=self.flags, **operands)

    kinds = ("rule", "rule", "derivative", "sum", "sum", "scale", "slot", "clip", "mask", "column", "row", "pair",
             "product", "fold")  # fmt: skip

    def add_rule(self):
        x = self.source()
        self.call(formulas.apply, f=g, x=x, y=self.target(x))

    def add_derivative(self):
        saved, dy = self.source(), self.source()
        self.call(formulas.chain_rule, df=g, saved=saved, dy=dy, dx=self.target(saved, dy))

    def add_sum(self):
        a, b = self.source(), self.source()
        self.call(self.rng.choice([formulas.add, formulas.multiply]), a=a, b=b, y=self.target(a, b))

    def add_scale(self):
        x = self.source()
        self.call(formulas.scale, x=x, y=self.target(x), factor=float(self.rng.choice([0.5, 2.0])))

    def add_slot(self):
        x = self.source()
        self.call(folds.scale_by, x=x, y=self.target(x), factor=self.slot)

    def add_clip(self):
        self.call(updating.clip_gradient, g=self.source(), limit=0.5)

    def add_mask(self):
        x = self.source()
        self.call(step_masks.zero_masked, x=x, mask=self.row, y=self.target(x))

    def add_column(self):
        r = self.source()
        self.call(i, r=r, c=self.column, i=self.target(r))

    def add_row(self):
        k = self.source()
        self.call(start, k=k, unit=self.row, last=self.others(k))

    def add_pair(self):
        x, gradient = self.source(), self.source()
        w_g = self.others(x, gradient)
        states = [self.others(x, gradient, w_g)]
        y = self.matrix()
        self.known.append(y)
        self.call(pair, f=w, w_g=w_g, x=x, g=gradient, y=y, states=states, factor=self.slot)

    def add_product(self):
        y = self.matrix()
        self.known.append(y)
        self.plan.product(*self.factors, y, period=self.period)

    def add_fold(self):
        total = self.plan.buffer((WIDTH,), per_row=False)
        self.call(folds.sum_rows, x=self.source(), total=total)
        self.plan.results.append(total)


# ---- the interpreter


class Interpreter:
    """Memory, and what each launch of a plan does to it, element by element.

    Args:
        plan: whose launches are products, chains of formulas and sums over rows.
        fill: what memory holds before anything is written to it.
    """

    def __init__(self, plan, fill):
        self.plan, self.fill, self.memory, self.slots = plan, fill, {}, {}

    def elements(self, operand):
        """(memory of an operand, the index of each of its elements in it)."""
        if isinstance(operand, Variable):
            found = self.memory.setdefault(operand, operand.array.copy().ravel())
            return found, np.arange(operand.size)
        entries, width = operand.buffer.entries.at(ROWS), operand.buffer.width
        found = self.memory.setdefault(operand.buffer, np.full(entries * width, self.fill))
        index = np.arange(entries * width)[operand.offset :]
        strides = [8 * s for s in (width, *operand.strides)]
        return found, np.lib.stride_tricks.as_strided(index, (entries, *operand.shape), strides).ravel()

    def set(self, operand, values):
        memory, index = self.elements(operand)
        memory[index] = np.ravel(values)

    def get(self, operand):
        memory, index = self.elements(operand)
        return memory[index]

    def step(self, number, finite=True):
        """Run a step; one whose loss is not finite ends at the look at it."""
        for launch in self.plan.launches:
            if launch.flags & abi.CHECK and not finite:
                return
            if number % launch.period == 0:
                self._launch(launch)

    def _launch(self, launch):
        if not isinstance(getattr(launch.kernel, "template", None), Chain):
            a, b, (m, n) = launch.operands["a"], launch.operands["b"], (ROWS, WIDTH)
            product = self.get(a).reshape(m, -1) @ self.get(b).reshape(-1, n)
            if launch.operands["c"] is not None:
                self.set(launch.operands["c"], product)
            if launch.epilogue is not None:
                self._chain(launch.epilogue, product)
        elif launch.kernel.template.form == "fold":
            self._fold(launch)
        else:
            self._chain(launch)

    def _fold(self, launch):
        total, values = 0.0, self.get(launch.operands["x"]).reshape(ROWS, WIDTH)
        for row in values:
            total = total + row
        self.set(launch.operands["total"], total)

    def _chain(self, launch, tile=None):
        chain, (rows, columns) = launch.kernel.template, (size_at(size, ROWS) for size in launch.shape)
        places = {o.name: self.elements(launch.operands[o.name]) for o in chain.operands if self._in_memory(o, chain)}
        numbers = {o.name: self._number(launch.operands[o.name]) for o in chain.operands if not o.kind.access}
        for r, c in np.ndindex(rows, columns):
            at = {"element": r * columns + c, "row": r, "column": c}
            values = dict(numbers)
            for o in chain.operands:
                if o.name == chain.tile:
                    values[o.name] = tile.ravel()[at["element"]]
                elif "r" in o.kind.access:
                    memory, index = places[o.name]
                    values[o.name] = memory[index[at[o.index]]]
            for k, one in enumerate(chain.steps):
                _run(one, k, dict(launch.kernel.rules), values)
            for o in chain.operands:
                if "w" in o.kind.access and o.stored:
                    memory, index = places[o.name]
                    memory[index[at[o.index]]] = values[o.name]

    def _in_memory(self, operand, chain):
        access = operand.kind.access
        return bool(access) and operand.name != chain.tile and (operand.stored or access != "w")

    def _number(self, value):
        return self.slots[value.index] if isinstance(value, Slot) else value


def _run(one, k, rules, values):
    """One step of a chain: its statements as Python runs them."""
    names = {}
    for name, bound in one.binding:
        kind = one.template.parameters[name]
        if kind.several:
            names[name] = tuple(values.get(b) for b in bound)
        else:
            names[name] = values.get(bound[0]) if bound else kind.default
    names |= {name.partition(".")[2]: f for name, f in rules.items() if name.startswith(f"{k}.")}
    names |= {name: () for name, kind in one.template.parameters.items() if kind.several and name not in names}
    exec(_statements(one.template.function), one.template.namespace | {"T": float}, names)
    for name, bound in one.binding:
        if "w" in one.template.parameters[name].access:
            given = names[name] if one.template.parameters[name].several else (names[name],)
            values.update(zip(bound, given, strict=True))


@functools.cache
def _statements(function):
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    return compile(ast.Module(tree.body[0].body, []), function.__name__, "exec")


def copied(plan):
    """A plan with the same launches, which may be joined without a change of the other one's."""
    twin = Plan(plan.training, plan.dtype, plan.rows)
    twin.launches[:] = [copy.copy(launch) for launch in plan.launches]
    twin.results[:], twin.slots = plan.results, plan.slots
    return twin
