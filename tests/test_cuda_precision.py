"""Products of lower precision on a GPU, which here is the PTX machine, beside float64 oracles."""

import numpy as np
import pytest

import fastnet
from fastnet import extend, layers, losses, optimizers, testing
from fastnet._kernels.cuda import ptx
from fastnet._kernels.cuda.tensor_cores import TILES
from fastnet.engine import devices
from fastnet.engine.cuda import executable
from fastnet.engine.split import split_product
from fastnet.engine.variable import Variable

from .test_cuda_kernels import _product, _ptxas

#: precision → bits of a factor that count, with the one that is not stored
BITS = {"high": 11, "medium": 8}
SUM = 2.0**-22  # error of one addition


@pytest.fixture
def precision(request):
    """Sets it for the test."""
    fastnet.config.set_matmul_precision(request.param)
    yield request.param
    fastnet.config.set_matmul_precision("highest")


both = pytest.mark.parametrize("precision", BITS, indirect=True)


def rounded(x, bits):
    """float32 with so many significant bits: TF32 rounds ties away from 0, bfloat16 to even."""
    scale = 2.0 ** (bits - np.frexp(x)[1])
    scaled = x.astype("float64") * scale
    return (np.trunc(scaled + np.copysign(0.5, scaled)) if bits == BITS["high"] else np.round(scaled)) / scale


def product(m, n, k, transpose="", device="cuda", bias=False, relu=False, split=False, a=None):
    """(result, factors, bias) of a product of random numbers, or with this A."""
    rng = np.random.default_rng(m + n + k)
    a = rng.normal(size=(m, k)).astype("f") if a is None else a
    b, add = rng.normal(size=(k, n)).astype("f"), rng.normal(size=n).astype("f") if bias else None
    plan = extend.Plan(training=False, dtype="float32", rows=k if transpose == "a" else m)
    weight = None if add is None else Variable(add, "bias")
    if transpose == "a":
        left, right, c = plan.buffer((m,)), plan.buffer((n,)), plan.buffer((m, n), per_row=False)
        given = {left: np.ascontiguousarray(a.T), right: b}
        plan.product(left, right, c, weight, relu=relu, transpose_a=True)
    else:
        left, c = plan.buffer((k,)), plan.buffer((n,))
        given, right = {left: a}, Variable(np.ascontiguousarray(b.T) if transpose else b, "b")
        if split:
            split_product(plan, left, right, c, weight, relu)
        else:
            plan.product(left, right, c, weight, relu=relu, transpose_b=bool(transpose))
    return extend.run_once(plan, given, c, device=device), a, b, add


def oracle(a, b, bias, relu, bits):
    """The product of rounded factors in float64, and of their sizes."""
    a, b = rounded(a, bits), rounded(b, bits)
    exact, size = a @ b, np.abs(a) @ np.abs(b)
    if bias is not None:
        exact, size = exact + bias, size + np.abs(bias)
    return np.maximum(exact, 0) if relu else exact, size


SIZES = [(1, 1, 1), (17, 5, 3), (2, 31, 19), (33, 65, 16), (40, 7, 401), (130, 3, 33)]


@both
@pytest.mark.parametrize("transpose", ["", "a", "b"])
@pytest.mark.parametrize(
    "sizes", [SIZES[1], *(pytest.param(each, marks=pytest.mark.thorough) for each in SIZES)], ids=str
)
def test_products(precision, sizes, transpose):
    """Factors are rounded to nearest, their products exact, and sums those of float32: k + 1 roundings or, on a card,
    truncations at its own bits."""
    in_full = sizes[0] == 1 and transpose == "b"  # which is summed as on the CPU
    with testing.machine_gpu():
        found, a, b, _ = product(*sizes, transpose)
    exact, size = oracle(a, b, None, False, 24 if in_full else BITS[precision])
    assert (np.abs(found - exact) <= (sizes[2] + 1) * SUM * size).all()
    full, size = oracle(a, b, None, False, 24)
    error = np.abs(found - full)
    assert (error <= 2.0 ** (1 - BITS[precision]) * 1.01 * size).all()
    assert in_full or error.max() > 2.0**-20 * size.max()


@pytest.mark.thorough
@both
@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("relu", [False, True])
def test_what_follows_the_sums(precision, relu, split):
    sizes = (5, 70, 800 if split else 20)
    with testing.machine_gpu():
        found, a, b, bias = product(*sizes, bias=True, relu=relu, split=split)
    exact, size = oracle(a, b, bias, relu, BITS[precision])
    assert (np.abs(found - exact) <= (sizes[2] + 4) * SUM * size).all()


@pytest.mark.thorough
@pytest.mark.parametrize("processors", [1, 1000])
@both
def test_tiles_of_each_size(precision, processors):
    with testing.machine_gpu(processors=processors):
        found, a, b, _ = product(150, 140, 20)
    exact, size = oracle(a, b, None, False, BITS[precision])
    assert (np.abs(found - exact) <= 21 * SUM * size).all()


@both
def test_nan_and_inf(precision):
    a = np.ones((4, 5), "f")
    a[0, 1], a[1, 2], a[2, 3] = np.nan, np.inf, np.finfo("f").max
    with testing.machine_gpu():
        found, _, b, _ = product(4, 3, 5, a=a)
    assert np.isnan(found[0]).all() and (found[1] == np.copysign(np.inf, b[2])).all()
    assert (found[2] == np.copysign(np.inf, b[3])).all()  # it is rounded to inf
    assert np.isfinite(found[3]).all()


def test_cards_before_ampere_compute_in_full():
    fastnet.config.set_matmul_precision("medium")
    try:
        with testing.machine_gpu(level="sm_75"):
            found = product(17, 5, 3)[0]
    finally:
        fastnet.config.set_matmul_precision("highest")
    assert np.array_equal(found, product(17, 5, 3, device="cpu")[0])


@pytest.mark.thorough
@both
def test_float64_and_the_cpu_stay_as_they_are(precision):
    def trained(dtype, device):
        fastnet.utils.set_random_seed(0)
        model = fastnet.Sequential([layers.Input((5,), dtype=dtype), layers.Dense(3, dtype=dtype)])
        model.compile("sgd", "mse", device=device)
        x = np.random.default_rng(0).normal(size=(4, 5)).astype(dtype)
        model.train_on_batch(x, x[:, :3])
        return model.get_weights()

    with testing.machine_gpu():
        on_gpu = trained("float64", "cuda")
    assert all(map(np.array_equal, on_gpu, trained("float64", "cpu")))
    reduced = trained("float32", "cpu")
    fastnet.config.set_matmul_precision("highest")
    assert all(map(np.array_equal, reduced, trained("float32", "cpu")))


@pytest.mark.thorough
@both
@pytest.mark.parametrize("operations", [0, float("inf")], ids=["graph", "steps"])
def test_trainings(precision, operations, monkeypatch):
    """With updates and derivatives behind products; the distance to the CPU is that of the factors' roundings."""
    monkeypatch.setattr(executable, "SMALL", operations)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(23, 7)).astype("f"), rng.integers(0, 3, 23)

    def trained(device):
        fastnet.utils.set_random_seed(0)
        model = fastnet.Sequential(
            [layers.Input((7,)), layers.Dense(20, "relu"), layers.Dense(9, "tanh"), layers.Dense(3)]
        )
        model.compile(
            optimizers.SGD(0.1, momentum=0.9), losses.SparseCategoricalCrossentropy(from_logits=True), device=device
        )
        model.fit(x, y, batch_size=9, epochs=2, verbose=0)
        return model.get_weights()

    with testing.machine_gpu():
        found = trained("cuda")
    for one, other in zip(found, trained("cpu"), strict=True):
        distance = np.abs(one - other).max()
        assert 0 < distance < 20 * 2.0 ** -BITS[precision]


@pytest.mark.thorough
def test_the_precision_counts_from_the_next_step_on():
    x = np.random.default_rng(0).normal(size=(4, 5)).astype("f")
    model = fastnet.Sequential([layers.Input((5,)), layers.Dense(3)])
    model.compile("sgd", "mse", device="cuda")
    with testing.machine_gpu():
        found = []
        for name in ("highest", "high", "medium", "highest"):
            fastnet.config.set_matmul_precision(name)
            found.append(model.predict(x, verbose=0))
    assert np.array_equal(found[0], found[3])
    errors = [np.abs(each - found[0]).max() for each in found[1:3]]
    assert 0 < errors[0] < errors[1] < 0.1
    assert devices.matmul_precision() == "highest"


@pytest.mark.parametrize("dtype, tiny", [("float32", 1e-38), ("float64", 1e-307)])
def test_subnormal_numbers(dtype, tiny):
    """Those of float32 are 0 on both; of float64 only on the CPU."""

    def halved(device):
        plan = extend.Plan(training=False, dtype=dtype)
        x = plan.buffer((2,))
        y, z = plan.like(x), plan.like(x)
        plan.call(extend.scale, x=x, y=y, factor=2.0**-10)
        plan.call(extend.scale, x=y, y=z, factor=2.0**10)
        return extend.run_once(plan, {x: np.array([[tiny, -1.0]], dtype)}, z, device=device)[0]

    with testing.machine_gpu():
        found = halved("cuda")
    assert halved("cpu").tolist() == [0, -1]
    assert found[1] == -1 and (found[0] == 0 if dtype == "float32" else abs(found[0] - tiny) < 1e-9 * tiny)


@pytest.mark.thorough
@pytest.mark.parametrize("tile", TILES)
@pytest.mark.parametrize("precision, steps", [("high", 8), ("medium", 16)])
def test_tiles_stay_in_registers(precision, steps, tile, tmp_path):
    source, entry = _product(tile=tile, precision=precision)
    text = ptx.text((source,), entry, "sm_80")
    count = tile.rows * tile.columns // 4 * (16 // steps)
    assert text.count(f"mma.sync.aligned.m16n8k{steps}.row.col.f32") == count
    assert ".local" not in text and ".f64" not in text
    found = _ptxas(text, "sm_80", tmp_path)
    assert found is None or "0 bytes spill stores" in found


@pytest.mark.thorough
@both
def test_fragments_are_loaded_without_bank_conflicts(precision):
    """With a transposed A, neighbouring threads also store neighbours to shared memory."""
    with testing.machine_gpu(processors=1) as gpu:
        product(32, 32, 16, "a")
    assert gpu.counts.by_kind["mma"] and not gpu.counts.bank_conflicts
