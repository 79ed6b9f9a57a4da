"""Tiles of the matrix product on a GPU, which here is the PTX machine: the CPU's bits, whatever the tile."""

import itertools
import re

import numpy as np
import pytest

from fastnet import extend, layers, testing
from fastnet._kernels.cuda import ptx, tiles
from fastnet._kernels.cuda.entry import NAME
from fastnet._kernels.cuda.tiles import DEPTHS, TILES, Slab, Tile, depth_of
from fastnet.engine.cuda.binder import Binder
from fastnet.engine.variable import Variable
from fastnet.testing.plans import LayerRun
from fastnet.testing.ptx import Machine, Module
from fastnet.testing.running import on

from .ptx_kernels import uploaded
from .test_cuda_kernels import _product as text_of
from .test_cuda_kernels import _ptxas


def product(m, n, k, transpose, dtype, device, pad=0):
    """max(op(A) op(B) + bias, 0); where ``pad`` is not 0, rows of A lie further apart than they are long."""
    rng = np.random.default_rng(m + n + k)
    a, b, bias = (rng.normal(size=shape).astype(dtype) for shape in ((m, k), (k, n), n))
    a[rng.random(a.shape) < 0.1] = -0.0
    a[m // 2, k // 2], b[k // 3, n // 2] = 1e-25, -1e-25  # whose product is subnormal in float32
    plan = extend.Plan(training=False, dtype=dtype, rows=k if transpose == "a" else m)
    weight = Variable(bias, "bias")
    if transpose == "a":
        left, right, c = plan.buffer((m + pad,)), plan.buffer((n,)), plan.buffer((m, n), per_row=False)
        given = {left: np.pad(a.T, ((0, 0), (0, pad))), right: b}
        plan.product(left.slice(0, 0, m), right, c, weight, relu=True, transpose_a=True)
        return extend.run_once(plan, given, c, device=device)
    left, c = plan.buffer((k + pad,)), plan.buffer((n,))
    right = Variable(np.ascontiguousarray(b.T) if transpose else b, "b")
    plan.product(left.slice(0, 0, k), right, c, weight, relu=True, transpose_b=bool(transpose))
    return extend.run_once(plan, {left: np.pad(a, ((0, 0), (0, pad)))}, c, device=device)


def check(monkeypatch, tile, sizes, transpose, dtype, pad=0):
    """A product whose tile is given has the CPU's bits."""
    expected = product(*sizes, transpose, dtype, "cpu", pad)
    with testing.machine_gpu() as gpu, monkeypatch.context() as patch:
        patch.setattr(Binder, "_tile", lambda *_: tile)
        found = product(*sizes, transpose, dtype, "cuda", pad)
    assert gpu.launches and np.array_equal(found.view("u1"), expected.view("u1"))


PLAIN = [
    (Tile(1, 1), (17, 19, 16), "", "float32", 0),
    (Tile(2, 4), (33, 12, 20), "b", "float32", 0),
    (Tile(1, 1, 64, 4), (65, 3, 67), "a", "float32", 1),
]
SLOW = [
    (Tile(1, 1), (5, 18, 385), "a", "float32", 0),
    (Tile(4, 1), (8, 20, 64), "a", "float64", 0),
    (Tile(1, 4), (16, 68, 31), "", "float32", 0),
    (Tile(2, 2), (32, 64, 384), "b", "float64", 0),
    (Tile(4, 4), (64, 64, 576), "b", "float32", 0),
    (Tile(8, 8), (129, 132, 33), "", "float32", 0),
    (Tile(8, 8), (7, 130, 40), "b", "float32", 0),
    (Tile(1, 1, 4, 64), (3, 67, 1), "", "float32", 0),
]


@pytest.mark.parametrize(
    "tile, sizes, transpose, dtype, pad", [*PLAIN, *(pytest.param(*case, marks=pytest.mark.slow) for case in SLOW)]
)
def test_bits_of_a_tile(tile, sizes, transpose, dtype, pad, monkeypatch):
    check(monkeypatch, tile, sizes, transpose, dtype, pad)


@pytest.mark.thorough
@pytest.mark.parametrize("transpose", ["", "a", "b"])
@pytest.mark.parametrize("dtype, tile", [(dtype, tile) for dtype, each in TILES.items() for tile in each])
def test_bits_of_every_tile(dtype, tile, transpose, monkeypatch):
    """At the edges of slabs and K-blocks, with and without accesses of 16 bytes."""
    for k, pad in ((1, 0), (13, 1), (16, 0), (61, 0), (64, 0), (385, 1), (576, 0)):
        below = 4 * (k % 4 == 0)  # or an odd number of rows and columns
        check(monkeypatch, tile, (tile.height + (below or 1), tile.width + (below or 3), k), transpose, dtype, pad)


def test_a_smaller_last_batch_takes_the_same_kernels():
    with testing.machine_gpu(), on("cuda"):
        bound = LayerRun(lambda: layers.Dense(20), "float32", (12,), 32).run.bound
        whole, last = ([launch.source for launch in bound.launches_at(rows)] for rows in (32, 8))
    assert whole == last


def test_no_step():
    """Sums of nothing are 0: what follows is the bias."""
    source, entry = text_of(tile=Tile(2, 2), depth=32)
    machine, bias = Machine(), np.arange(5, dtype="f") - 2
    step, given, c = uploaded(machine, np.zeros(128, "int64")), uploaded(machine, bias), machine.allocate(60)
    arguments = [step, 3, 1, given, given, c, given, 3, 5, 0, 0, 5, 5]
    machine.launch(Module(ptx.text((source,), entry, "sm_90")), NAME, 1, 256, arguments)
    assert np.array_equal(machine.read(c, np.zeros((3, 5), "f")), np.tile(np.maximum(bias, 0), (3, 1)))


def places(slab):
    """Where its threads write the elements [entry, step] of a slab, and where they read them."""
    written, read = (np.full((slab.entries, slab.depth), -1) for _ in range(2))
    threads = np.arange(min(tiles.THREADS, slab.entries * slab.depth))
    for turn in range(slab.turns):
        step, entry, place = (eval(line, {"thread": lambda: threads}) for line in slab.moved(turn))
        for i in range(slab.vector):
            moved = (entry, step + i) if slab.is_by_steps else (entry + i, step)
            assert (written[moved] == -1).all()
            written[moved] = place + i
    far, side, group = map(int, slab.take(0, 1).strip(")").split(", ")[-3:])
    count = slab.entries // slab.own
    for thread, i in itertools.product(range(count), range(slab.own)):
        entry = thread * slab.group + i % 4 + i // 4 * 4 * count
        read[entry] = thread * slab.apart + np.arange(slab.depth) * far + i % 4 * side + i // 4 * group
    return written, read


@pytest.mark.parametrize("along_k", [False, True])
@pytest.mark.parametrize("together", [1, 4])
def test_slabs_hold_each_element_once(along_k, together):
    """What a thread reads is what another one wrote, and neighbouring threads read from different banks."""
    for tile, depth in itertools.product(TILES["float32"], DEPTHS):
        for entries, own in ((tile.height, tile.rows), (tile.width, tile.columns)):
            slab = Slab("a", entries, own, depth, 4, along_k, together)
            if slab.turns > 16:
                continue  # which no product has
            written, read = places(slab)
            assert (written == read).all()
            assert len(np.unique(read)) == entries * depth and read.max() < slab.size
            if slab.is_by_steps:
                banks = read[:: slab.group, 0][:8] // 4 % 8
                assert len(np.unique(banks)) == len(banks)


@pytest.mark.parametrize(
    "tile",
    [
        pytest.param(tile, marks=[] if tile == Tile(2, 4) else [pytest.mark.slow])
        for tile in TILES["float32"]
        if tile.down == 16
    ],
)
@pytest.mark.parametrize("transpose_b", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_tiles_stay_in_registers(tile, transpose_b, tmp_path):
    """Whether a slab holds all steps or some; so many multiply-adds follow each other."""
    for k in (64, 1000):
        depth, is_short = depth_of(tile, k, 4, False)
        options = {"depth": depth, "is_short": is_short, "together": "ab", "wide": tile.columns >= 4}
        source, entry = text_of(tile=tile, transpose_b=transpose_b, **options)
        text = ptx.text((source,), entry, "sm_90")
        assert ".local" not in text and ".f64" not in text and "ld.shared.v4.b32" in text
        assert text.count("fma.rn.ftz.f32") >= 4 * tile.rows * tile.columns
        found = _ptxas(text, "sm_90", tmp_path)
        spilled = [] if found is None else re.findall(r"(\d+) bytes spill stores", found)
        assert all(int(each) <= 8 for each in spilled)  # an address: 64 or 128 registers then do
        assert entry.shared <= tiles.MOST_SHARED


@pytest.mark.parametrize(
    "options",
    [
        {"tile": Tile(2, 2)},
        pytest.param({"tile": Tile(4, 4), "transpose_a": True, "is_chunked": True}, marks=pytest.mark.slow),
        pytest.param({"tile": Tile(1, 1), "scattered": True}, marks=pytest.mark.slow),
    ],
    ids=["result", "kernel's gradient", "input gradient"],
)
def test_pixels_are_found_by_divisions_of_32_bits(options, tmp_path):
    source, entry = text_of(patches=True, depth=16, **options)
    text = ptx.text((source,), entry, "sm_90")
    assert not re.search(r"\b(div|rem)\.[su]64", text) and "div.u32" in text
    found = _ptxas(text, "sm_90", tmp_path)
    assert found is None or set(re.findall(r"(\d+) bytes spill", found)) == {"0"}
