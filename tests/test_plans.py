"""From a plan to memory and barriers: lifetimes, offsets, who waits for whom; against slow oracles."""

import itertools

import numpy as np
import pytest
from fastnet._arrays import places

from fastnet._kernels import abi
from fastnet._kernels.cpu import gemm
from fastnet._kernels.templates import elementwise
from fastnet.engine import cpu, memory
from fastnet.engine.bind import bind
from fastnet.engine.cpu import CPUExecutable, place_barriers
from fastnet.engine.launch import Launch
from fastnet.engine.plan import Plan
from fastnet.engine.variable import Variable
from fastnet.engine.view import BATCH, ONCE, Slot, View

# ---- memory


def launch(*access, flags=0):
    """A launch that touches (view, mode) pairs, and of which nothing else is of interest."""
    return Launch(None, {}, access, flags=flags)


def buffer(size=1, per_row=False, dtype="uint8"):
    """A view of all of a new buffer."""
    return View.of((size,), dtype, BATCH if per_row else ONCE)


def random_plan(rng, count=14):
    """Launches over buffers of many sizes, views of them and slots among them; the buffers."""
    sizes = rng.choice([0, 1, 63, 64, 65, 1000, 4096], count)
    buffers = [buffer(int(size), bool(rng.integers(2))) for size in sizes]
    launches = []
    for place in range(30):
        near = [b for i, b in enumerate(buffers) if abs(2 * i - place) < 5] or buffers  # most live for a while only
        chosen = [near[i] for i in rng.permutation(len(near))[: rng.integers(1, 4)]]
        touched = [b.view((b.width, 1)) if rng.random() < 0.3 else b for b in chosen]
        launches.append(launch((Slot(abi.HEADER), "r"), *((b, rng.choice(["r", "w", "rw"])) for b in touched)))
    return launches, buffers


def alive(launches, pinned):
    """By buffer, the places at which its contents matter: from the first launch that touches it to the last."""
    places = {}
    for place, one in enumerate(launches):
        for operand, _ in one.access:
            if isinstance(operand, View):
                places.setdefault(operand.buffer, []).append(place)
    spans = {b: set(range(min(p), max(p) + 1)) for b, p in places.items()}
    return spans | {view.buffer: set(range(len(launches) + 1)) for view in pinned}


@pytest.mark.parametrize("reuse", [True, False])
@pytest.mark.parametrize("seed", range(12))
def test_what_lives_at_the_same_time_shares_no_byte(seed, reuse):
    rng = np.random.default_rng(seed)
    launches, buffers = random_plan(rng)
    pinned = [buffers[i] for i in rng.choice(len(buffers), 2, replace=False)]
    rows = int(rng.integers(1, 9))
    offsets, total = memory.layout(launches, rows, pinned, reuse)
    spans = alive(launches, pinned)
    assert set(offsets) == set(spans)
    owner = {}  # (byte, place) → buffer
    for b, span in spans.items():
        assert offsets[b] % memory.ALIGNMENT == 0 and offsets[b] + b.size(rows) <= total
        for byte in range(offsets[b], offsets[b] + b.size(rows)):
            for place in span if reuse else [0]:
                assert owner.setdefault((byte, place), b) is b
    assert total <= sum(-(-max(b.size(rows), 1) // 64) * 64 for b in spans)


@pytest.mark.parametrize("count", [0, 1, 7, 60])
def test_each_place_is_the_lowest(count):
    """Beside the slow way: each in turn is moved up by one until it meets none that is alive at the same time."""
    rng = np.random.default_rng(count)
    sizes, firsts = rng.integers(1, 5, count), rng.integers(0, 12, count)
    lasts = firsts + rng.integers(0, 12, count)
    found = places(sizes, firsts, lasts)
    for n in range(count):
        others = [k for k in range(n) if firsts[k] <= lasts[n] and firsts[n] <= lasts[k]]
        taken = {byte for k in others for byte in range(found[k], found[k] + sizes[k])}
        assert found[n] == next(at for at in itertools.count() if taken.isdisjoint(range(at, at + sizes[n])))


def test_spans_beside_sets_of_bytes():
    rng, spans, taken = np.random.default_rng(0), memory.Spans(), set()
    for start, size in rng.integers(1, 40, (60, 2)).tolist():
        end = start * 10 + size
        assert spans.meets(start * 10, end) == (not taken.isdisjoint(range(start * 10, end)))
        if size % 3 == 0:
            spans.add(start * 10, end)
            taken |= set(range(start * 10, end))
    assert spans.meets(min(taken), min(taken) + 1) and not spans.meets(min(taken) - 9, min(taken))
    spans.clear()
    assert not spans.meets(0, 1000)


def test_a_chain_needs_two_places():
    """a → b → c → d …: of each pair one is done with when the next comes."""
    chain = [buffer(100, per_row=True) for _ in range(9)]
    launches = [launch((x, "r"), (y, "w")) for x, y in itertools.pairwise(chain)]
    assert memory.layout(launches, 64)[1] == 2 * 6400
    assert memory.layout(launches, 64, [chain[0]])[1] == 3 * 6400
    assert memory.layout(launches, 64, chain)[1] == memory.layout(launches, 64, reuse=False)[1] == 9 * 6400


def test_the_largest_goes_first():
    """The small one finds a place below it; placed first, small and middle would push it up to 832."""
    small, middle, large = buffer(64), buffer(128), buffer(640)
    launches = [launch((small, "w")), launch((small, "r"), (middle, "w")), launch((middle, "r"), (large, "w"))]
    offsets, total = memory.layout(launches, 1)
    assert offsets == {large.buffer: 0, middle.buffer: 640, small.buffer: 0} and total == 768


def test_a_gap_must_be_large_enough():
    """c lies where a was, below b; d would begin in what is left of that gap, and end in b."""
    a, b, c, d = buffer(320), buffer(256), buffer(192), buffer(192)
    launches = [launch((a, "w")), launch((a, "r"), (b, "w")), launch((b, "r"), (c, "w"), (d, "w"))]
    offsets, total = memory.layout(launches, 1)
    assert offsets == {a.buffer: 0, b.buffer: 320, c.buffer: 0, d.buffer: 576} and total == 768


def test_lifetimes_reach_over_views_and_from_the_first_to_the_last_touch():
    x, y, held = buffer(4), buffer(4), buffer(4)
    launches = [launch((y, "w")), launch((x, "w")), launch((x.view((2, 2)), "r"), (held, "w")), launch((y, "r"))]
    spans = memory.lifetimes(launches, [held])
    assert spans == {y.buffer: (0, 3), x.buffer: (1, 2), held.buffer: (0, 4)}


# ---- barriers


def barriers(launches, offsets, rows):
    table = np.zeros((len(launches), abi.COLUMNS), np.int64)
    table[:, abi.FLAGS] = [launch.flags for launch in launches]
    executable = object.__new__(CPUExecutable)  # where its operands are; it runs nothing
    executable.offsets, executable.rows, executable.weights = offsets, rows, {}
    place_barriers(table, launches, executable)
    return table[:, abi.FLAGS]


def bytes_of(operand, offsets, rows):
    if isinstance(operand, Slot):
        return {("slot", operand.index)}
    if isinstance(operand, Variable):
        return {("weight", operand.address + i) for i in range(operand.array.nbytes)}
    start = offsets[operand.buffer]
    return {("arena", start + i) for i in range(operand.buffer.size(rows))}


def naive_barriers(launches, offsets, rows):
    """Byte by byte: threads meet before a launch that touches what was written, or writes what was read, since, and
    before the look at the loss."""
    read, written, found = set(), set(), []
    for one in launches:
        reads, writes = set(), set()
        for operand, mode in one.access:
            touched = bytes_of(operand, offsets, rows)
            reads |= touched if "r" in mode else set()
            writes |= touched if "w" in mode else set()
        needed = bool((reads | writes) & written or writes & read or one.flags & abi.CHECK)
        if needed:
            read, written = set(), set()
        found.append(needed)
        read, written = read | reads, written | writes
    return found


@pytest.mark.parametrize("seed", range(12))
def test_barriers_are_those_of_an_oracle(seed):
    """Overlapping buffers, weights and slots, in random order; sizes of at least one byte."""
    rng = np.random.default_rng(100 + seed)
    buffers = [buffer(int(size), bool(rng.integers(2))) for size in rng.choice([1, 16, 64, 200], 10)]
    weights = [Variable(np.zeros(n, np.float32), "w") for n in (1, 5, 40)]
    things = [*buffers, *weights, *(Slot(abi.HEADER + i) for i in range(4))]
    launches = []
    for _ in range(60):
        chosen = [things[i] for i in rng.choice(len(things), rng.integers(1, 4), replace=False)]
        flags = abi.CHECK if rng.random() < 0.05 else 0
        access = [(t, str(rng.choice(["r", "r", "r", "w", "rw"]))) for t in chosen]
        launches.append(launch(*access, flags=flags))
    rows = int(rng.integers(1, 5))
    offsets, _ = memory.layout(launches, rows)
    flags = barriers(launches, offsets, rows)
    assert [bool(f & abi.BARRIER) for f in flags] == naive_barriers(launches, offsets, rows)
    assert [bool(f & abi.CHECK) for f in flags] == [bool(one.flags & abi.CHECK) for one in launches]


def test_neighbours_do_not_wait_for_each_other():
    """Slots and buffers that touch end to end share nothing."""
    x, y = buffer(64), buffer(64)
    offsets = {x.buffer: 0, y.buffer: 64}
    launches = [launch((x, "w"), (Slot(20), "w")), launch((y, "w"), (Slot(21), "w"))]
    assert not barriers(launches, offsets, 1).any()
    offsets[y.buffer] = 63
    assert barriers(launches, offsets, 1).tolist() == [0, abi.BARRIER]


def test_memory_that_overlaps_in_its_last_rows_only():
    """x holds 64 bytes a row, y begins in its third row."""
    x, y = buffer(64, per_row=True), buffer(64)
    launches = [launch((x, "w")), launch((y, "r"))]
    offsets = {x.buffer: 0, y.buffer: 128}
    assert [barriers(launches, offsets, rows)[1] for rows in (1, 2, 3)] == [0, 0, abi.BARRIER]


def test_scratch_is_there_for_the_largest_launch(monkeypatch):
    """A product needs some, wherever it stands among launches that need none."""
    given = []
    monkeypatch.setattr(cpu, "Execution", lambda table, bases, step, scratch, keep: given.append(scratch))
    plan = Plan(True, "float64", 5)
    x, y, z = (plan.buffer((n,)) for n in (3, 7, 7))
    plan.call(elementwise.fill, y=x, number=1.0)
    plan.product(x, Variable(np.ones((3, 7)), "w"), y)
    plan.call(elementwise.add, a=y, b=y, y=z)
    bind(plan, 5)
    assert given == [gemm.scratch_bytes()]


def test_a_barrier_ends_all_that_was_before_it():
    x, y = buffer(8), buffer(8)
    offsets = {x.buffer: 0, y.buffer: 64}
    launches = [launch((x, "w")), launch((x, "r"), (y, "r")), launch((y, "w")), launch((x, "w"))]
    #            written: x         waits for x                 waits for its read  read before the barrier only
    assert barriers(launches, offsets, 1).tolist() == [0, abi.BARRIER, abi.BARRIER, 0]
