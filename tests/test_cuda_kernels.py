"""Each registered row and each layer on a GPU, which here is the PTX machine: the bits are those of the CPU.

The plain run takes some of them, CI more (``-m slow``), and ``-m thorough`` the others.
"""

import subprocess

import numpy as np
import pytest

from fastnet import activations, layers, losses, optimizers, testing
from fastnet._kernels import abi, registry
from fastnet._kernels.compile import KernelError
from fastnet._kernels.cuda import ptx
from fastnet._kernels.cuda.entry import Call, LaunchEntry
from fastnet._kernels.cuda.product import ProductKernel
from fastnet._kernels.templates import winograd
from fastnet.engine.plan import Plan
from fastnet.engine.sources import Inlet, Source
from fastnet.testing import running
from fastnet.testing.devices import compare_devices
from fastnet.testing.kernel_checks import _SPECIAL
from fastnet.testing.plans import LayerRun, activate, loss_run, loss_values, scatter_weights, targets_for, update
from fastnet.testing.running import Report, Run

PLAIN = {"gelu", "relu", "huber", "categorical_crossentropy", "adam", "Dropout"}
#: rows of each kind that CI checks besides; the others are thorough
SAMPLED = {
    "softmax", "glu", "mean_squared_error", "binary_crossentropy", "sparse_categorical_crossentropy", "rmsprop", "lamb",
    "adafactor", "LayerNormalization", "GroupNormalization", "BatchNormalization", "MaxPooling2D", "AveragePooling2D",
    "RandomRotation",
}  # fmt: skip


def cases(named):
    """Parameters of a test with their marks."""

    def marks(name):
        return [] if name in PLAIN else [pytest.mark.slow if name in SAMPLED else pytest.mark.thorough]

    return [pytest.param(case, id=name, marks=marks(name)) for name, case in named.items()]


def of(table):
    return cases({row.name: row for row in table.unique() if row.name in table.built_in})


@pytest.mark.parametrize("row", of(registry.activations))
def test_activations(row):
    activation = activations.Activation(row)
    x = np.concatenate([np.linspace(-6, 6, 29), _SPECIAL])[None]
    compare_devices(Report(row.name), "cuda", lambda dtype: activate(activation, x.astype(dtype), x.astype(dtype)))


@pytest.mark.parametrize("row", of(registry.losses))
def test_losses(row):
    loss, rng = losses.get(row.name), np.random.default_rng(0)
    rows, width = 13, 5 * loss.row.outputs
    x, t = rng.uniform(0.05, 0.95, (rows, width)), targets_for(loss, rng, rows, width, (0.05, 0.95))
    x[3, 2] = np.nan
    compare_devices(Report(row.name), "cuda", lambda dtype: loss_values(*loss_run(loss, dtype, rows, width), x, t))


@pytest.mark.parametrize("row", of(registry.updates))
def test_updates(row):
    optimizer, rng = optimizers.Optimizer(row, row.learning_rate), np.random.default_rng(0)
    start, gradients = rng.standard_normal(53), rng.standard_normal((3, 53))
    gradients[1, 7:9] = np.nan, 1e-42
    compare_devices(Report(row.name), "cuda", lambda dtype: update(optimizer, dtype, start, gradients))


LAYERS = {
    "Dense": (lambda: layers.Dense(5, "softmax"), (7,)),
    "LayerNormalization": (layers.LayerNormalization, (7,)),
    "BatchNormalization": (layers.BatchNormalization, (7,)),
    "GroupNormalization": (lambda: layers.GroupNormalization(2), (6,)),
    "RMSNormalization": (layers.RMSNormalization, (7,)),
    "UnitNormalization": (layers.UnitNormalization, (7,)),
    "Dropout": (lambda: layers.Dropout(0.4), (67,)),
    "GaussianNoise": (lambda: layers.GaussianNoise(0.4), (7,)),
    "SpectralNormalization": (lambda: layers.SpectralNormalization(layers.Dense(5), 2), (7,)),
    "PReLU": (lambda: layers.PReLU(alpha_initializer="ones"), (3, 4)),
    "Softmax": (layers.Softmax, (7,)),
    "Permute": (lambda: layers.Permute((2, 1)), (3, 4)),
    "Residual": (lambda: layers.Residual([layers.Dense(7, "relu")]), (7,)),
    "RandomFlip": (layers.RandomFlip, (3, 4, 2)),
    "RandomCrop": (lambda: layers.RandomCrop(2, 3), (3, 4, 2)),
    "RandomRotation": (lambda: layers.RandomRotation(0.3), (3, 4, 2)),
    "RandomTranslation": (lambda: layers.RandomTranslation(0.3, 0.3, "constant", "nearest"), (3, 4, 2)),
    "RandomContrast": (lambda: layers.RandomContrast(0.3, (-1, 1)), (3, 4, 2)),
    "RandomBrightness": (lambda: layers.RandomBrightness(0.3, (-1, 1)), (3, 4, 2)),
    "RandomGaussianBlur": (lambda: layers.RandomGaussianBlur((1, 1)), (3, 4, 2)),
    "wide softmax": (layers.Softmax, (131,)),
    "MaxPooling2D": (layers.MaxPooling2D, (5, 4, 3)),
    "MaxPooling2D, overlapping": (lambda: layers.MaxPooling2D(3, 2, "same"), (5, 4, 3)),
    "MaxPooling3D, large": (lambda: layers.MaxPooling3D((2, 3, 4), 2, "same"), (3, 5, 4, 2)),
    "AveragePooling2D": (lambda: layers.AveragePooling2D(2, padding="same"), (5, 4, 3)),
    "GlobalAveragePooling2D": (layers.GlobalAveragePooling2D, (9, 11, 3)),
    "GlobalMaxPooling1D": (layers.GlobalMaxPooling1D, (5, 3)),
    "AdaptiveMaxPooling2D": (lambda: layers.AdaptiveMaxPooling2D((3, 2)), (5, 4, 3)),
    "UpSampling2D": (layers.UpSampling2D, (3, 2, 3)),
    "Resizing": (lambda: layers.Resizing(7, 3, "bicubic"), (4, 5, 2)),
    "Resizing, padded": (lambda: layers.Resizing(3, 3, pad_to_aspect_ratio=True), (4, 9, 2)),
    "SpatialDropout2D": (lambda: layers.SpatialDropout2D(0.4), (3, 2, 5)),
}


@pytest.mark.parametrize("case", cases(LAYERS))
@pytest.mark.parametrize("rows", [1, 13])
def test_layers(case, rows):
    factory, shape = case
    rng = np.random.default_rng(0)
    x = rng.standard_normal((rows, *shape))
    x[0].flat[-1] = np.nan
    model = LayerRun(factory, "float64", shape, rows)
    dy = rng.standard_normal((rows, *model.y.shape))
    scatter_weights(model.layer)

    def results(dtype):
        layer = LayerRun(factory, dtype, shape, rows)
        layer.layer.set_weights(model.layer.get_weights())
        return layer(x, dy)

    compare_devices(Report(str(shape)), "cuda", results)


@pytest.mark.parametrize("kind", ["float32", pytest.param("uint8", marks=pytest.mark.slow)])
def test_wide_rows_of_data(kind):
    """A warp takes 128 elements of a row; the last ones are fewer, and a NaN is reported."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 255, (9, 131)).astype(kind)
    if kind == "float32":
        x[7, 130] = np.nan

    def results(dtype):
        plan, source = Plan(True, dtype, 5), Source(x)
        batch = plan.buffer((131,))
        inlet = Inlet(plan, source.signature, batch)
        run = Run(plan, 5, [batch])
        run.bound.connect(inlet, source)
        run.bound.place(abi.ORDER, order := np.array([3, 7, 0, 8, 3]))
        run.steps()
        found = run.get(batch)
        assert np.array_equal(found, x[order].astype(dtype), equal_nan=True)
        assert bool(run.bound.step[abi.NONFINITE]) == (kind == "float32")
        return [found]

    compare_devices(Report("gather"), "cuda", results)


@pytest.mark.slow
def test_taps_of_winograds_convolution():
    """A thread has one element of them."""

    def results(dtype):
        rng, plan = np.random.default_rng(0), Plan(False, dtype, 1)
        kernel, taps, products, gradient = (plan.buffer((size,)) for size in (1728, 6912, 55296, 4608))
        plan.call(winograd.transform_taps, kernel=kernel.flat, transformed=taps.flat, panels=2, channels=3)
        sizes = {"chunk_count": 3, "down": 1, "across": 2, "channels": 4, "columns": 64}
        plan.call(winograd.gather_taps, products=products.flat, gradient=gradient.flat, **sizes)
        run = Run(plan, 1, [kernel, taps, products, gradient])
        for view in (kernel, products):
            run.set(view, rng.standard_normal((1, view.width)))
        run.steps()
        return [run.get(view) for view in (taps, gradient)]

    compare_devices(Report("taps"), "cuda", results)


def leaky_cube(x):
    return x * x * x if x > 0.0 else 0.1 * x


def leaky_cube_slope(x):
    return 3.0 * x * x if x > 0.0 else 0.1


def test_a_users_rule():
    """With nothing more written."""
    row = registry.Activation("leaky_cube", leaky_cube, leaky_cube_slope)
    with testing.machine_gpu() as gpu:
        report = testing.check_activation(row, device="cuda")
    assert gpu.name in dict(report.lines)["cuda"]


def remainders(x):
    return x % -0.7 + x // 0.3 * (1.0 + x * x) % (x + 2.0)


def one(x):
    return 1.0


def test_remainders_of_floats():
    """C's functions, which compute them on a CPU, are missing on a GPU."""
    rng = np.random.default_rng(0)
    large = rng.normal(size=40) * 10.0 ** rng.uniform(-20, 20, 40)
    x = np.concatenate([np.linspace(-6, 6, 29), large, _SPECIAL])[None]
    activation = activations.Activation(registry.Activation("remainders", remainders, one))
    compare_devices(Report("remainders"), "cuda", lambda dtype: activate(activation, x.astype(dtype), x.astype(dtype)))


def test_a_rule_that_needs_what_a_gpu_lacks(monkeypatch):
    monkeypatch.setattr(ptx.remainders, "text", str)
    monkeypatch.setattr(ptx.cache, "load", lambda name, make, suffix: make())
    row, x = registry.Activation("remainders", remainders, one), np.ones((1, 3), "float32")
    message = "The kernel apply_remainders_float32 cannot run on a GPU: it calls fastnet_remainder_f32, floorf, which"
    with testing.machine_gpu(), running.on("cuda"), pytest.raises(KernelError, match=message):
        activate(activations.Activation(row), x, x)


def test_llvmlite_without_nvptx(monkeypatch):
    def refuse(triple):
        raise RuntimeError(f"no target {triple}")

    monkeypatch.setattr("llvmlite.binding.Target.from_triple", refuse)
    ptx.target_machine.cache_clear()
    with pytest.raises(KernelError, match="was built without LLVM's NVPTX target, which device='cuda' needs"):
        ptx.target_machine("sm_90")


def _product(**options):
    kernel = ProductKernel("float32", has_bias=True, relu=True, **options)
    references = tuple(bool(kind.access) for _, kind in kernel.parameters)
    return kernel.source(), LaunchEntry((Call(references, 0),), (0,), 256, kernel.shared_bytes)


def test_text_of_each_level_is_what_an_old_driver_takes(tmp_path):
    source, entry = _product()
    for level, version in ptx.LEVELS.items():
        text = ptx.text((source,), entry, level)
        assert f".version {version[0]}.{version[1:]}" in text and f".target {level}" in text
    with pytest.raises(ValueError, match="no level 'sm_20'"):
        ptx.text((source,), entry, "sm_20")


def _ptxas(text, level, folder):
    """What NVIDIA's assembler says of a text, where it is installed."""
    (folder / "kernel.ptx").write_text(text)
    try:
        done = subprocess.run(
            ["ptxas", "-v", "-arch", level, str(folder / "kernel.ptx"), "-o", str(folder / "kernel.cubin")],
            capture_output=True, text=True,
        )  # fmt: skip
    except FileNotFoundError:
        return None
    assert done.returncode == 0, done.stderr
    return done.stderr
