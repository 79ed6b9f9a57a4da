"""Lamb, Adafactor and Muon, which look at a whole weight before they change it: numbers, threads, files, odd shapes."""

import numpy as np
import pytest

import fastnet
from fastnet import constraints, layers, optimizers, testing
from fastnet.engine.plan import Plan
from fastnet.engine.variable import Variable
from fastnet.testing.plans import update

from . import oracles

CLASSES = [optimizers.Lamb, optimizers.Adafactor, optimizers.Muon]
EVERYTHING = {"weight_decay": 0.1, "use_ema": True, "ema_overwrite_frequency": 3, "gradient_accumulation_steps": 2}
MATRICES = [(1, 1), (1, 37), (37, 1), (3, 130), (130, 3), (53, 37), (64, 64), (4097, 2), (2, 4097)]


def steps(shape, count=7, seed=5):
    """A weight, and a gradient for each step."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape), rng.standard_normal((count, *shape))


def compare(optimizer, oracle, start, gradients, states, dtype="float64"):
    """Weight and states after the gradients are those of ``oracle(t, w, g, states)``, which changes the states."""
    start, gradients = start.astype(dtype), gradients.astype(dtype)
    got, w = update(optimizer, dtype, start, gradients), start.astype(float)
    for t, g in enumerate(gradients.astype(float), 1):
        w = oracle(t, w, g, states)
    tolerance = 1e-12 if dtype == "float64" else 2e-5  # sums of up to 8194 squares, and what Muon's iteration amplifies
    for mine, right in zip(got, [w, *states], strict=True):
        np.testing.assert_allclose(mine, right, rtol=tolerance, atol=tolerance * np.abs(right).max())
    return got[0]


# ---- Lamb


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1,), (63,), (64,), (65,), (4095,), (4096,), (4097,), (9001,), (3, 5, 7), (91, 47)])
def test_lamb_of_any_size(shape, dtype):
    start, gradients = steps(shape)

    def oracle(t, w, g, states):
        return oracles.lamb(t, w, g, states, 0.3, 0.8, 0.9, 1e-3)

    optimizer = optimizers.Lamb(0.3, 0.8, 0.9, 1e-3)
    compare(optimizer, oracle, start, gradients, [np.zeros(shape), np.zeros(shape)], dtype)


def test_lamb_where_a_norm_is_nothing():
    """A weight of 0 takes Adam's step, of length 1 in each element; without a gradient nothing happens."""
    np.testing.assert_allclose(update(optimizers.Lamb(0.5), "float64", np.zeros(3), np.ones((1, 3)))[0], -0.5)
    w = update(optimizers.Lamb(0.5), "float64", np.ones(3), np.zeros((4, 3)))[0]
    np.testing.assert_array_equal(w, np.ones(3))


def test_lambs_step_is_as_long_as_the_weight():
    start, gradients = steps((31, 17), 1)
    w = update(optimizers.Lamb(0.25), "float64", start, 1e6 * gradients)[0]
    np.testing.assert_allclose(np.linalg.norm(w - start), 0.25 * np.linalg.norm(start))


def test_the_norm_is_that_of_the_decayed_weight():
    w = update(optimizers.Lamb(0.5, weight_decay=1.0, epsilon=1e-300), "float64", np.full(4, 2.0), np.ones((1, 4)))[0]
    np.testing.assert_allclose(w, 1.0 - 0.5 * 1.0)


# ---- Adafactor

NUMBERS = {"beta_2_decay": -0.6, "epsilon_1": 1e-4, "epsilon_2": 1e-2, "clip_threshold": 0.7}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rate", [0.1, 0.9])  # of seven steps 1 / √t is less in none, and in all but one
@pytest.mark.parametrize("shape", [(1,), (4097,), (2, 3, 5), (3, 1, 70), (2, 2, 65, 3), *MATRICES])
def test_adafactor_of_any_shape(shape, rate, dtype):
    start, gradients = steps(shape)
    states = [np.zeros(shape)] if len(shape) < 2 else [np.zeros(shape[:-1]), np.zeros(shape[:-2] + shape[-1:])]

    def oracle(t, w, g, states):
        return oracles.adafactor(t, w, g, states, rate, **NUMBERS)

    compare(optimizers.Adafactor(rate, **NUMBERS), oracle, start, gradients, states, dtype)


def test_adafactor_by_hand():
    """r = (5, 20), c = (2, 4 · 5.75, ...) of squares with a mean of 12.5; RMS(w) = 2, one step at 1 / √1."""
    g = np.array([[1.0, 3.0], [2.0, 6.0]])
    w, r, c = update(optimizers.Adafactor(1.0, clip_threshold=0.5), "float64", np.full((2, 2), 2.0), g[None])
    np.testing.assert_allclose(r, [5, 20])
    np.testing.assert_allclose(c, [2.5, 22.5])
    np.testing.assert_allclose(w, 1.0)  # g is of rank 1: u = 1 everywhere, scaled down to ½


def test_a_weight_of_nothing_takes_steps_of_epsilon_2():
    w = update(optimizers.Adafactor(0.5, epsilon_2=0.25), "float64", np.zeros((3, 2)), np.ones((1, 3, 2)))[0]
    np.testing.assert_allclose(w, -0.125)


def test_a_row_and_a_column_without_a_gradient_stay():
    """Their means are epsilon_1 = 1e-30, whose product is nothing in float32."""
    start, gradients = steps((5, 7), 4)
    gradients[:, 2], gradients[:, :, 3] = 0, 0

    def oracle(t, w, g, states):
        return oracles.adafactor(t, w, g, states, 0.1, -0.8, 1e-30, 1e-3, 1.0)

    w = compare(optimizers.Adafactor(0.1), oracle, start, gradients, [np.zeros(5), np.zeros(7)], "float32")
    np.testing.assert_array_equal(w[2], start[2].astype("float32"))


# ---- Muon


def orthogonal(x, count, a=3.4445, b=-4.7750, c=2.0315):
    """Jordan et al. 2024, by way of the singular values, each of which the polynomial maps for itself."""
    u, s, v = np.linalg.svd(x / (np.linalg.norm(x) + 1e-7), full_matrices=False)
    for _ in range(count):
        s = a * s + b * s**3 + c * s**5
    return u @ (s[:, None] * v)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("options", [{}, {"nesterov": False, "rms_rate": None}, {"ns_steps": 1, "muon_a": 2.0}])
@pytest.mark.parametrize("shape", MATRICES)
def test_muon_of_any_matrix(shape, options, dtype):
    start, gradients = steps(shape, 3)

    def oracle(t, w, g, states):
        states[0] = 0.9 * states[0] + g
        x = states[0] if "nesterov" in options else g + 0.9 * states[0]
        scale = 1.0 if "rms_rate" in options else 0.2 * np.sqrt(max(shape))
        return w - 0.5 * scale * orthogonal(x, options.get("ns_steps", 5), options.get("muon_a", 3.4445))

    optimizer = optimizers.Muon(0.5, momentum=0.9, weight_decay=None, **options)
    compare(optimizer, oracle, start, gradients, [np.zeros(shape)], dtype)


@pytest.mark.parametrize("shape", [(40, 40), (16, 90), (90, 16)])
def test_muons_step_is_nearly_orthogonal(shape):
    start, gradients = steps(shape, 1)
    w = update(optimizers.Muon(1.0, rms_rate=None, weight_decay=None), "float64", start, gradients)[0]
    sizes = np.linalg.svd(start - w, compute_uv=False)
    assert sizes.max() < 1.25
    assert (sizes > 0.65).sum() >= len(sizes) - 1  # the least of a square matrix may need more than five steps


def test_muon_without_a_gradient():
    start = np.ones((5, 3))
    got = update(optimizers.Muon(0.5, weight_decay=None), "float32", start, np.zeros((2, 5, 3)))[0]
    np.testing.assert_array_equal(got, start)


def adam(x, y, **options):
    """The weights of Muon's model after three steps by Adam."""
    return trained(optimizers.Adam(**options), x, y)


def trained(optimizer, x, y, dtype="float64", units=4, batch=8, count=1):
    model = network(optimizer, x.shape[1], units, y.shape[1], dtype)
    model.fit(x, y, batch_size=batch, epochs=count, shuffle=False, verbose=0)
    return model.get_weights()


def network(optimizer, features, units, outputs, dtype="float64"):
    fastnet.utils.set_random_seed(3)
    model = fastnet.Sequential(
        [
            layers.Input((features,)),
            layers.Dense(units, activation="tanh", name="hidden", dtype=dtype),
            layers.Dense(outputs, name="output", dtype=dtype),
        ]
    )
    model.compile(optimizer, "mse")
    return model


def data(rows=24, features=5, outputs=3):
    rng = np.random.default_rng(8)
    return rng.standard_normal((rows, features)), rng.standard_normal((rows, outputs))


def test_what_is_excluded_is_adams():
    x, y = data()
    numbers = {"adam_beta_1": 0.8, "adam_beta_2": 0.9, "epsilon": 1e-3, "adam_lr_ratio": 0.5, "adam_weight_decay": 0.3}
    # Excluded whole, all is Adam's with half the rate, and its decay is of the whole rate.
    got = trained(optimizers.Muon(0.2, exclude_layers=["hid", "^output/"], weight_decay=7.0, **numbers), x, y)
    want = adam(x, y, learning_rate=0.1, beta_1=0.8, beta_2=0.9, epsilon=1e-3, weight_decay=0.6)
    for mine, right in zip(got, want, strict=True):
        np.testing.assert_allclose(mine, right, rtol=1e-12)
    for excluded, changes in (([], [True, True]), (["output"], [True, False]), (["kernel$"], [False, False])):
        model = network(optimizers.Muon(0.2, exclude_layers=excluded), 5, 4, 3)
        model.fit(x, y, verbose=0)
        kept = [model.optimizer.state_names(w) for w in model.weights]
        assert [names == ["momentum"] for names in kept] == [changes[0], False, changes[1], False]


def test_embeddings_are_adams_unless_said_otherwise():
    x, y = data()
    for exclude, names in ((True, ["momentum", "velocity"]), (False, ["momentum"])):
        model = fastnet.Sequential([layers.Input((5,)), layers.Dense(3, name="an_Embedding", dtype="float64")])
        model.compile(optimizers.Muon(exclude_embeddings=exclude), "mse")
        model.fit(x, y, verbose=0)
        assert [v.name for v in model.optimizer.states[model.weights[0]]] == names


def test_each_kind_of_weight_has_its_decay():
    """Without gradients a weight is multiplied with 1 - lr · decay in each step."""
    for adams, others in ((None, 0.5), (0.25, None), (0.25, 0.5)):
        optimizer = optimizers.Muon(0.1, weight_decay=others, adam_weight_decay=adams)
        for start, share in ((np.ones(3), adams), (np.ones((3, 2)), others)):
            w = update(optimizer, "float64", start, np.zeros((2, *start.shape)))[0]
            np.testing.assert_allclose(w, (1 - 0.1 * (share or 0.0)) ** 2, rtol=1e-14)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optimizers.Lamb(beta_1=1.0), "Lamb: beta_1 must be"),
        (lambda: optimizers.Lamb(epsilon=0.0), "Lamb: epsilon must be"),
        (lambda: optimizers.Adafactor(beta_2_decay=0.1), "Adafactor: beta_2_decay must be.*not positive"),
        (lambda: optimizers.Adafactor(epsilon_1=0), "Adafactor: epsilon_1"),
        (lambda: optimizers.Adafactor(clip_threshold=0), "Adafactor: clip_threshold"),
        (lambda: optimizers.Adafactor(relative_step=3), "Adafactor: relative_step must be True or False"),
        (lambda: optimizers.Muon(ns_steps=0), "Muon: ns_steps must be.*at least 1"),
        (lambda: optimizers.Muon(muon_a="3"), "Muon: muon_a must be a number"),
        (lambda: optimizers.Muon(adam_weight_decay=-1), "Muon: adam_weight_decay"),
        (lambda: optimizers.Muon(rms_rate=-1), "Muon: rms_rate"),
        (lambda: optimizers.Muon(exclude_layers="output"), "Muon: exclude_layers must be a list of.*'output'"),
        (
            lambda: optimizers.Muon(exclude_layers=["out", "("]),
            r"Muon: exclude_layers: '\(' is not a regular expression",
        ),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_what_is_kept_cannot_change_any_more():
    x, y = data()
    model = network(optimizers.Muon(), 5, 4, 3)
    model.fit(x, y, verbose=0)
    for name, value in (("exclude_layers", ["output"]), ("nesterov", False)):
        with pytest.raises(AttributeError, match=f"Muon: {name} cannot be changed"):
            setattr(model.optimizer, name, value)
    model.optimizer.muon_a = 3.0
    assert model.optimizer.get_config()["muon_a"] == 3.0


# ---- all three


@pytest.mark.parametrize("options", [{}, EVERYTHING, {"global_clipnorm": 0.1}], ids=["alone", "everything", "norm"])
@pytest.mark.parametrize("cls", CLASSES)
def test_the_same_bits_on_any_number_of_threads(cls, options):
    x, y = data(37, 211, 97)
    got = []
    for n in (1, 2, 3, 5):
        with testing.running.threads(n):
            got.append(trained(cls(0.05, **options), x, y, "float32", 131, 5, 2))
    for other in got[1:]:
        for mine, right in zip(other, got[0], strict=True):
            np.testing.assert_array_equal(mine, right)


@pytest.mark.parametrize("cls", CLASSES)
def test_a_batch_of_one_gives_the_bits_of_the_product(cls, monkeypatch):
    x, y = data(5, 7, 67)
    got = []
    for _ in range(2):
        got.append(trained(cls(0.05, weight_decay=0.1), x, y, units=71, batch=1))
        monkeypatch.setattr("fastnet.engine.fuse_behind._is_outer", lambda producer, rows: False)
    for mine, right in zip(*got, strict=True):
        np.testing.assert_array_equal(mine, right)


@pytest.mark.parametrize("options", [{}, EVERYTHING], ids=["alone", "everything"])
@pytest.mark.parametrize("cls", CLASSES)
def test_a_saved_model_goes_on_with_the_same_bits(cls, options, tmp_path):
    x, y = data()
    model = network(cls(0.05, **options), 5, 4, 3)

    def train(model):
        for first in range(0, 24, 8):
            model.train_on_batch(x[first : first + 8], y[first : first + 8])

    train(model)
    model.save(tmp_path / "model.fastnet")
    again = fastnet.saving.load_model(tmp_path / "model.fastnet")
    train(model)
    train(again)
    for mine, right in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, right)


@pytest.mark.parametrize("cls", CLASSES)
def test_a_rate_that_is_set_is_that_of_the_next_step(cls):
    x, y = data()
    scheduled = optimizers.schedules.PiecewiseConstantDecay([0, 1], [0.1, 0.2, 0.05])
    model = network(cls(0.1), 5, 4, 3)
    for rate in (0.1, 0.2, 0.05):
        model.optimizer.learning_rate = rate
        model.train_on_batch(x, y)
    got = trained(cls(scheduled), np.tile(x, (3, 1)), np.tile(y, (3, 1)), batch=24)
    for mine, right in zip(got, model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, right)


@pytest.mark.parametrize("cls", CLASSES)
def test_a_constraint_has_the_last_word(cls):
    x, y = data()
    model = fastnet.Sequential([layers.Input((5,)), layers.Dense(3, kernel_constraint=constraints.UnitNorm())])
    model.compile(cls(0.3, gradient_accumulation_steps=2), "mse")
    model.fit(x, y, batch_size=6, verbose=0)
    np.testing.assert_allclose(np.linalg.norm(model.get_weights()[0], axis=0), 1, rtol=1e-6)


@pytest.mark.parametrize("cls", CLASSES)
def test_each_weight_has_its_own_norms(cls):
    """Three weights in one plan become what each becomes in a plan of its own."""
    starts = [np.full((3, 2), 1.0), np.full((2,), 20.0), np.full((2, 5), 300.0)]
    optimizer, plan = cls(0.1), Plan(True, "float64", 1)
    variables = [Variable(start, f"weight_{k}") for k, start in enumerate(starts)]
    optimizer.build(variables)
    numbers = optimizer.start(plan)
    gradients = [plan.gradient(v) for v in variables]
    optimizer.launch(plan, [("layer", v, g) for v, g in zip(variables, gradients, strict=True)], numbers)
    run = testing.running.Run(plan, 1, gradients, rate=0.1)
    for k, buffer in enumerate(gradients):
        run.set(buffer, np.cos(np.arange(starts[k].size) + k).reshape(starts[k].shape))
    run.steps(1)
    for k, (start, variable) in enumerate(zip(starts, variables, strict=True)):
        gradient = np.cos(np.arange(start.size) + k).reshape(1, *start.shape)
        np.testing.assert_array_equal(variable.numpy(), update(cls(0.1), "float64", start, gradient)[0])


@pytest.mark.parametrize("shape", [(5,), (5, 4)])
@pytest.mark.parametrize("cls", CLASSES)
def test_nan_is_kept(cls, shape):
    start, gradients = steps(shape, 3)
    gradients[1].flat[2] = np.nan
    w = update(cls(0.1), "float32", start, gradients)[0]
    assert np.isnan(w.flat[2])
    if cls is optimizers.Lamb:  # where the norm is NaN the step is Adam's, as in Keras
        assert np.isnan(w).sum() == 1


@pytest.mark.parametrize("cls", CLASSES)
def test_a_step_that_does_not_happen_leaves_everything(cls):
    x, y = data()
    spoilt = x.copy()
    spoilt[20] = np.nan
    whole, broken = (network(cls(0.1, **EVERYTHING), 5, 4, 3) for _ in range(2))
    for first in (0, 8):
        whole.train_on_batch(x[first : first + 8], y[first : first + 8])
    with pytest.raises(fastnet.NonFiniteError):
        broken.fit(spoilt, y, batch_size=8, shuffle=False, verbose=0)
    for name, array in whole.optimizer.state().items():
        np.testing.assert_array_equal(broken.optimizer.state()[name], array, err_msg=name)
    for mine, right in zip(broken.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, right)


def launches(optimizer, batch):
    """The labels of a training step's launches, with the labels of what products hand their tiles to."""
    x, y = data(batch, 80, 70)
    model = network(optimizer, 80, 75, 70)
    model.train_on_batch(x, y)
    (free,) = model._trainer.plans.free.values()
    plan = free[0].plan
    return [
        f"{item.kernel.full_name} {item.epilogue.kernel.full_name if item.epilogue else ''}" for item in plan.launches
    ]


@pytest.mark.parametrize("batch", [1, 8])
def test_the_gradient_of_a_kernel_is_not_written(batch):
    """The direction is made within the product, and Muon's step within the last product of the iteration."""
    joined = "outer" if batch == 1 else "tile"
    assert sum(f"_{joined}_lamb_" in label for label in launches(optimizers.Lamb(), batch)) == 2
    labels = launches(optimizers.Muon(weight_decay=None), batch)
    assert sum(f"_{joined}_muon_nesterov_" in label for label in labels) == 2
    assert sum("_tile_sgd_" in label for label in labels) == 2
