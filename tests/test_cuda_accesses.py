"""How the threads of a GPU reach memory: neighbouring elements, in accesses of up to 16 bytes, with the CPU's bits."""

import numpy as np
import pytest

import fastnet
from fastnet import layers, losses, optimizers, testing
from fastnet._kernels import abi, registry
from fastnet._kernels.cuda.rows import LOOPS, shared_bytes
from fastnet._kernels.cuda.tiles import THREADS
from fastnet._kernels.templates import elementwise, folds
from fastnet.engine.cuda import executable
from fastnet.engine.cuda.joining import joined_launches
from fastnet.engine.plan import Plan
from fastnet.engine.sources import Source
from fastnet.engine.view import Slot
from fastnet.testing.devices import compare_devices
from fastnet.testing.plans import LayerRun, update_run
from fastnet.testing.running import Report, Run, on


def of_layer(factory, shape, rows):
    """A layer's results by dtype, with a NaN and an infinity among its rows."""

    def results(dtype):
        rng = np.random.default_rng(0)
        run = LayerRun(factory, dtype, shape, rows)
        weights = run.layer.get_weights()
        run.layer.set_weights([np.linspace(-1, 1, w.size).reshape(w.shape) for w in weights])
        x, dy = rng.standard_normal((rows, *shape)), rng.standard_normal((rows, *run.y.shape))
        x[0].flat[-1], x[-1].flat[0] = np.nan, np.inf
        return run(x, dy)

    return results


def launches_of(make):
    """(PTX, counts) of the launches of a run on the PTX machine, one by one."""
    with testing.machine_gpu() as gpu, on("cuda"):
        run = make()
        run.steps()
        bound = run.bound
        for launch in bound.launches_at(bound.rows):
            gpu.launch(bound._binder.node([launch], bound.rows))
            yield bound._binder.text([launch]), gpu.counts


def test_constants_of_the_processor_are_not_in_kernels_of_a_gpu():
    """Loops for a GPU do not read them, and each number would compile the same text again."""
    with testing.machine_gpu(), on("cuda"):
        bound = LayerRun(lambda: layers.DepthwiseConv2D(3, padding="same"), "float32", (3, 4, 8), 2).run.bound
        templates = [bound._binder._form(launch, 2)[0].template for launch in bound.plan.launches]
    loops = [template for template in templates if template.name.startswith("depthwise")]
    assert len(loops) == 3 and not any(template.constants for template in loops)


@pytest.mark.parametrize("width", [17, *(pytest.param(width, marks=pytest.mark.thorough) for width in (1, 8, 67))])
def test_rows_of_several_warps(width):
    """Rows of one piece, of several, and of more elements than a sum adds in one part."""
    compare_devices(Report(str(width)), "cuda", of_layer(layers.Softmax, (width,), 37))


@pytest.mark.thorough
@pytest.mark.parametrize("width", [16, 67, 128])
@pytest.mark.parametrize("kind", [layers.LayerNormalization, layers.RMSNormalization, layers.UnitNormalization])
def test_normalized_rows_of_several_warps(kind, width):
    """With and without a mean, with and without factors; parts of 64 columns, of which the last one may be empty."""
    compare_devices(Report(kind.__name__), "cuda", of_layer(kind, (width,), 37))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_block_has_memory_for_the_rows_of_its_warps(dtype):
    """48 KB is what a kernel may declare; a block of several launches has the threads of a product."""
    most = max(len(loop.copied) for loop in LOOPS.values())
    sizes = [shared_bytes(names, dtype) for names in (("x",) * most, ("x", "t"))]
    assert max(sizes) * THREADS // 32 <= executable.MOST_SHARED


def softmax():
    run = LayerRun(layers.Softmax, "float32", (10,), 64)
    run.run.set(run.x, 1.0)
    run.run.set(run.dy, 1.0)
    return run.run


def test_a_warp_reads_its_rows_side_by_side():
    """An access has 10 neighbouring elements of two rows, 80 bytes: 3 or 4 sectors. A row a thread: 31."""
    (_, forward), (_, backward), _ = launches_of(softmax)
    for counts, arrays in ((forward, 2), (backward, 3)):
        assert 3 * 32 * arrays <= counts.sectors <= 4 * 32 * arrays + 32  # and what is read once


@pytest.mark.parametrize("size", [64, 53, 3])
def test_an_update_takes_four_weights_a_thread(size):
    """Four arrays are read and three written. What is left over at the end is read one by one."""

    def make():
        run, _, gradient = update_run(optimizers.Adam(), "float32", np.ones(size))
        run.set(gradient, 1.0)
        return run

    *_, (text, counts), _ = launches_of(make)
    assert text.count("ld.global.v4") == 4 and text.count("st.global.v4") == 3
    assert counts.accesses == 7 * ((size >= 4) + size % 4) + 4 + 4  # and the numbers of the step, STOPPED of each warp


def test_warps_with_nothing_to_do_do_not_call_a_launch():
    """Numbers of the step, an update of 97 weights, the end of the step: one warp of eight is enough for each."""
    with testing.machine_gpu() as gpu, on("cuda"):
        run, _, gradient = update_run(optimizers.Adam(), "float32", np.ones(97))
        run.set(gradient, 1.0)
        run.steps()
    assert gpu.launches == 1 and gpu.counts.by_kind["ret"] == 8 + 3


@pytest.mark.parametrize("columns", [8, 7])
def test_formulas_of_rows_and_columns(columns):
    """Four elements a thread where rows lie on boundaries of 16 bytes."""

    def results(dtype):
        plan = Plan(True, dtype, 5)
        wide, row, y = plan.buffer((columns + 4,)), plan.buffer((columns,), per_row=False), plan.buffer((columns,))
        plan.call(elementwise.add_row, x=wide.slice(-1, 4, columns + 4), row=row, y=y)
        run = Run(plan, 5, [wide, row, y])
        run.set(wide, np.arange(5 * (columns + 4)).reshape(5, -1))
        run.set(row, np.arange(columns) / 3)
        run.steps()
        return [run.get(y)]

    compare_devices(Report("add_row"), "cuda", results)


@pytest.mark.parametrize("size", [97, *(pytest.param(size, marks=pytest.mark.thorough) for size in (1, 64, 4500))])
def test_sums_over_everything(size):
    """One lane, some of them, and two chunks with a rest; two sums of one loop."""

    def results(dtype):
        plan = Plan(True, dtype, 1)
        x, weight = plan.buffer((size,)), plan.buffer((size,))
        totals = plan.chunk_sums(-size), plan.chunk_sums(-size)  # of each row of the batch
        plan.call(folds.sum_weighted, values=x, weight=weight, total=totals[0], weights=totals[1])
        run = Run(plan, 1, [x, weight, *totals])
        run.set(x, np.random.default_rng(0).standard_normal((1, size)))
        run.set(weight, np.linspace(0, 1, size)[None])
        run.steps()
        return [run.get(total) for total in totals]

    compare_devices(Report("sum"), "cuda", results)


@pytest.mark.thorough
@pytest.mark.parametrize("units", [64, 66])
def test_a_chain_behind_a_tile_of_a_product(units):
    """Four columns a thread where rows of the result lie on boundaries of 16 bytes; the last tiles are not full."""
    compare_devices(Report("dense"), "cuda", of_layer(lambda: layers.Dense(units, "gelu"), (9,), 41))
    with testing.machine_gpu(), on("cuda"):
        bound = LayerRun(lambda: layers.Dense(units, "gelu"), "float32", (9,), 41).run.bound
        texts = [bound._binder.text([launch]) for launch in bound.launches_at(41)]
    assert ("st.global.v4" in texts[0]) == (units % 4 == 0)


@pytest.mark.thorough
def test_bytes_beside_floats():
    """Dropout's mask has a byte an element: four of them are one access of four bytes."""
    compare_devices(Report("dropout"), "cuda", of_layer(lambda: layers.Dropout(0.4), (64,), 3))


UPDATES = [
    pytest.param(row, id=row.name, marks=[] if row.name == "adam" else [pytest.mark.thorough])
    for row in registry.updates.unique()
    if row.name in registry.updates.built_in
]


@pytest.mark.parametrize("row", UPDATES)
def test_kernels_of_float32_have_no_instruction_of_float64(row):
    """Numbers of the step are converted once; sums over everything are declared as float64."""
    with testing.machine_gpu(), on("cuda"):
        bound = update_run(optimizers.Optimizer(row, row.learning_rate), "float32", np.ones(5))[0].bound
        launches = [each for each in bound.launches_at(1) if each.source.name.endswith("float32")]
        texts = [bound._binder.text([each]) for each in launches if each.call.group == 1]
    assert texts and not any(".f64" in text for text in texts)


def test_a_step_of_a_small_network_has_few_nodes(monkeypatch):
    """Launches that do not depend on each other are one node, and so are those of one block that follow each other."""
    monkeypatch.setattr(executable, "SMALL", 0)
    x, y = np.ones((8, 5), "f"), np.zeros(8, "int64")
    with testing.machine_gpu() as gpu:
        first, last = layers.Dense(6, "relu", name="first"), layers.Dense(3, name="last")
        model = fastnet.Sequential([layers.Input((5,)), first, last])
        model.compile("adam", losses.SparseCategoricalCrossentropy(from_logits=True), device="cuda")
        model.fit(x, y, batch_size=8, verbose=0)
        step = model._trainer.plans.make("train", 8, (Source(x), Source(y))).executable
        joined = joined_launches(step, step.launches_at(8))
    assert gpu.launches == len(joined) < len(step.launches_at(8)) / 2
    node_of = {launch.position: at for at, node in enumerate(joined) for launch in node.launches}
    named = {(launch.label, launch.name): node_of[position] for position, launch in enumerate(step.plan.launches)}
    (gathers,) = {node for (_, name), node in named.items() if name == "gather"}  # of inputs and targets
    assert gathers < named["first", "product"]
    written = {}
    for position, launch in enumerate(step.plan.launches):
        for operand, mode in launch.access:
            memory = operand.index if isinstance(operand, Slot) else getattr(operand, "buffer", operand)
            if memory in written and "r" in mode and memory != abi.NONFINITE:
                before, here = node_of[written[memory]], node_of[position]
                assert before < here or (before == here and joined[here].in_order)
            if "w" in mode:
                written[memory] = position
