"""Masking against numpy: what is left out, what still counts, who passes a mask on."""

import copy

import numpy as np
import pytest

import fastnet
from fastnet import layers
from fastnet.testing.plans import LayerRun
from fastnet.training.step import lower

RNG = np.random.default_rng(0)
ROWS, STEPS, FEATURES = 67, 3, 2  # primes; batches of 32, 32 and 3 rows
REDUCTIONS = ["sum_over_batch_size", "mean", "mean_with_sample_weight", "sum"]


def padded(rows=ROWS, steps=STEPS, features=FEATURES, mask_value=0.0):
    """x, some of whose steps are left out: a whole row among them; and 1 for each step that counts."""
    x = RNG.normal(size=(rows, steps, features))
    left_out = RNG.random((rows, steps)) < 0.4
    left_out[rows // 2] = True
    x[left_out] = mask_value
    x[0, 0, 0] = mask_value  # one feature alone leaves nothing out
    return x, 1.0 - left_out


def network(*between, mask_value=0.0, units=2, input_shape=(STEPS, FEATURES), loss="mse", **compiled):
    first = [] if mask_value is None else [layers.Masking(mask_value)]
    net = fastnet.Sequential([layers.Input(input_shape), *first, *between, layers.Dense(units)])
    net.compile(fastnet.optimizers.SGD(1.0), loss, **compiled)
    return net


@pytest.fixture
def float64():
    fastnet.config.set_floatx("float64")
    yield
    fastnet.config.set_floatx("float32")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("mask_value", [0.0, -1.5, 0.1, np.inf])
@pytest.mark.parametrize("shape", [(1, 1), (5, 1), (7, 3), (2, 3, 4), (67, 13, 5), (2, 2, 2, 2)])
def test_steps_of_the_value_become_zeros(shape, mask_value, dtype):
    x = RNG.normal(size=shape).astype(dtype)
    x[RNG.random(shape[:-1]) < 0.5] = mask_value
    x[0, ..., 1:] = mask_value  # where there are several features, the first may be all that counts
    x[-1] = mask_value
    want = np.where((x == np.asarray(mask_value, dtype)).all(-1, keepdims=True), 0, x)
    got = layers.Masking(mask_value, dtype=dtype)(x)
    assert got.dtype == dtype and np.array_equal(got, want) and not got[-1].any()


def test_masks_of_arrays():
    x, mask = np.array([[[0.0, 0.0], [0.0, np.nan]]]), np.array([[True, False]])
    assert layers.Masking().compute_mask(x).tolist() == [[False, True]]
    assert layers.Dense(3).compute_mask(x, mask) is mask and layers.Dropout(0.5).compute_mask(x) is None
    assert layers.GlobalAveragePooling1D().compute_mask(x, mask) is None
    y = layers.Masking()(x[:, :1])
    averaged = layers.GlobalAveragePooling1D()(x, mask=layers.Masking().compute_mask(np.nan_to_num(x, nan=1.0)))
    assert y.tolist() == [[[0, 0]]] and np.isnan(averaged).tolist() == [[False, True]]


def test_what_equals_the_value():
    """-0 is 0; NaN and infinity are values; a step counts as soon as one feature differs."""
    x = np.array([[-0.0, 0.0], [np.nan, 0.0], [np.inf, 0.0], [np.nan, np.nan], [0.0, 1e-45]], "float32")
    np.testing.assert_array_equal(layers.Masking()(x), [[0, 0], *x[1:4], [0, 0]])  # runs flush subnormals
    assert layers.Masking().compute_output_shape((None, 4, 3)) == (None, 4, 3)


def test_the_gradient_of_what_is_left_out_is_zero():
    x, kept = padded()
    run = LayerRun(layers.Masking, "float64", x.shape[1:], len(x))
    dy = RNG.normal(size=x.shape)
    y, dx = run(x, dy)
    assert np.array_equal(y, x)
    assert np.array_equal(dx, dy * kept[..., None])


def test_the_gradient_by_data_that_are_left_out_is_zero(float64):
    """PReLU with a slope for each place gives 0 below 0: those slopes stay, the others learn."""
    x = -np.abs(RNG.normal(size=(9, STEPS, FEATURES)))
    net = fastnet.Sequential([layers.PReLU(input_shape=(STEPS, FEATURES)), layers.Masking(), layers.Dense(2)])
    net.compile(fastnet.optimizers.SGD(1.0), "mse")
    alpha, kernel, bias = net.get_weights()
    alpha[1] = 0.5
    net.set_weights([alpha, kernel, bias])
    net.train_on_batch(x, RNG.normal(size=(9, STEPS, 2)))
    changed = net.get_weights()[0] != alpha
    assert changed[1].all() and not changed[[0, 2]].any()


def weighted_mean(values, kept, weights, reduction):
    """The loss of a batch as Keras defines it, written out."""
    total = (values * weights * kept).sum()
    over = {"sum": 1.0, "mean_with_sample_weight": (weights * kept).sum()}.get(reduction, kept.sum())
    return total / over if over else 0.0


@pytest.mark.parametrize("weights", [None, "rows", "steps"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_the_loss_is_that_of_the_steps_that_count(reduction, weights, float64):
    x, kept = padded(mask_value=-2.0)
    x[:32], kept[:32] = -2.0, 0.0  # the whole first batch
    y = RNG.normal(size=(ROWS, STEPS, 2))
    w = {None: None, "rows": RNG.random(ROWS), "steps": RNG.random((ROWS, STEPS))}[weights]
    each = np.ones((ROWS, STEPS)) if w is None else np.broadcast_to(w.reshape(ROWS, -1), (ROWS, STEPS))
    net = network(
        mask_value=-2.0, loss=fastnet.losses.MeanAbsoluteError(reduction=reduction),
        metrics=["mse", fastnet.metrics.RootMeanSquaredError()], weighted_metrics=["mae"],
    )  # fmt: skip
    errors = net.predict(x, verbose=0) - y
    values, squares = np.abs(errors).mean(-1), (errors**2).mean(-1)
    pieces = [slice(0, 32), slice(32, 64), slice(64, ROWS)]
    losses = [weighted_mean(values[p], kept[p], each[p], reduction) for p in pieces]
    want = [
        np.average(losses, weights=[32, 32, ROWS - 64]),
        (squares * kept).sum() / kept.sum(),
        np.sqrt(squares.mean()),  # Keras's knows no mask
        (values * kept * each).sum() / (kept * each).sum(),
    ]
    got = net.evaluate(x, y, sample_weight=w, batch_size=32, verbose=0)
    np.testing.assert_allclose(got, want, rtol=1e-12)
    untrained = net.get_weights()
    net.optimizer.learning_rate = 0.0
    history = net.fit(x, y, sample_weight=w, batch_size=32, shuffle=False, verbose=0).history
    np.testing.assert_allclose([history[name][0] for name in net.metrics_names], want, rtol=1e-12)
    assert all(map(np.array_equal, net.get_weights(), untrained))


def test_a_row_may_be_a_step(float64):
    """Samples of one axis: the mask leaves whole samples out."""
    x, y = RNG.normal(size=(11, 4)), RNG.normal(size=(11, 2))
    x[3:7] = 0
    net = network(input_shape=(4,))
    want = ((net.predict(x, verbose=0) - y) ** 2)[[0, 1, 2, 7, 8, 9, 10]].mean()
    assert net.evaluate(x, y, verbose=0) == pytest.approx(want, rel=1e-12)


def test_labels_that_are_ignored_are_left_out_too(float64):
    x, kept = padded()
    y = RNG.integers(0, 4, (ROWS, STEPS))
    loss = fastnet.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=2)
    net = network(units=4, loss=loss, metrics=["accuracy"])
    logits = net.predict(x, verbose=0)
    values = np.log(np.exp(logits).sum(-1)) - np.take_along_axis(logits, y[..., None], -1)[..., 0]
    counted = kept * (y != 2)
    right = (logits.argmax(-1) == y) * kept
    want = [(values * counted).sum() / counted.sum(), right.sum() / kept.sum()]
    np.testing.assert_allclose(net.evaluate(x, y, batch_size=ROWS, verbose=0), want, rtol=1e-12)


BETWEEN = {
    "Dense": lambda: [layers.Dense(3, activation="tanh")],
    "BatchNormalization": lambda: [layers.Dense(3), layers.BatchNormalization()],
    # Behind RMSNormalization all steps count, so that gradients reach what BatchNormalization gave for the others.
    "BatchNormalization, dropped": lambda: [layers.Dense(3), layers.BatchNormalization(), layers.RMSNormalization()],
    "LayerNormalization": lambda: [layers.Dense(3), layers.LayerNormalization(), layers.ELU()],
}


@pytest.mark.filterwarnings("ignore:Layer 'rms_normalization:UserWarning")
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("between", BETWEEN)
def test_gradients_meet_central_differences(between, weighted, float64):
    x, _ = padded(9)
    y, w = RNG.normal(size=(9, STEPS, 2)), RNG.random((9, STEPS)) if weighted else None
    net = network(*BETWEEN[between]())
    start = [RNG.normal(size=v.shape) ** 2 + 0.1 for v in net.get_weights()]

    def step(weights):
        """The loss of a training step, and the weights after it."""
        net.set_weights(weights)
        return net.train_on_batch(x, y, sample_weight=w), net.get_weights()

    after, h = step(start)[1], 1e-5
    for place in (k for k, weight in enumerate(net.weights) if weight.trainable):
        for index in np.ndindex(start[place].shape):
            losses = []
            for sign in (1, -1):
                moved = copy.deepcopy(start)
                moved[place][index] += sign * h
                losses.append(step(moved)[0])
            # A rate of 1 subtracts the gradient. Differences are off by h² f‴ / 6 and by rounding over h: 1e-10 each.
            gradient = start[place][index] - after[place][index]
            assert gradient == pytest.approx((losses[0] - losses[1]) / (2 * h), rel=1e-6, abs=1e-8)


def test_statistics_are_those_of_the_steps_that_count(float64):
    x, kept = padded()
    net = network(layers.BatchNormalization(momentum=0.0))
    net.train_on_batch(x, RNG.normal(size=(ROWS, STEPS, 2)))
    counted = x[kept > 0]
    mean, variance = (net.layers[1].moving_mean.numpy(), net.layers[1].moving_variance.numpy())
    # Keras divides by 1e-7 more than the number of steps.
    np.testing.assert_allclose(mean, counted.mean(0), rtol=1e-8)
    np.testing.assert_allclose(variance, counted.var(0), rtol=1e-8)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nothing_that_counts_is_a_loss_of_zero(dtype):
    net = network(layers.Dense(3, dtype=dtype), layers.BatchNormalization(dtype=dtype), metrics=["mae"])
    x, y = np.zeros((5, STEPS, FEATURES)), np.ones((5, STEPS, 2))
    before = [v.numpy() for v in net.trainable_weights]
    assert net.evaluate(x, y, verbose=0) == [0, 0]
    assert net.train_on_batch(x, y) == [0, 0]
    assert all(map(np.array_equal, [v.numpy() for v in net.trainable_weights], before))


def test_dtypes_may_differ():
    x, kept = padded()
    y = RNG.normal(size=(ROWS, STEPS, 2))
    net = fastnet.Sequential([layers.Masking(input_shape=(STEPS, FEATURES)), layers.Dense(2, dtype="float64")])
    net.compile("sgd", "mse", metrics=["mse"])
    values = ((net.predict(x, verbose=0) - y) ** 2).mean(-1)
    want = (values * kept).sum() / kept.sum()
    np.testing.assert_allclose(net.evaluate(x, y, batch_size=ROWS, verbose=0), [want, want], rtol=1e-12)


def evaluated(between, units=2):
    """The loss of a network with these layers behind Masking; that of the steps that count, and of all steps."""
    x, kept = padded()
    net = network(*between, units=units)
    predicted = net.predict(x, verbose=0)
    y = RNG.normal(size=predicted.shape)
    values = ((predicted - y) ** 2).mean(-1)
    counted = (values.reshape(ROWS, -1) * kept).sum() / kept.sum() if values.size == kept.size else None
    return net.evaluate(x, y, batch_size=ROWS, verbose=0), counted, values.mean()


PASSING = {
    "Activation": lambda: layers.Activation("softmax"),
    "PReLU": layers.PReLU,
    "Dropout": lambda: layers.Dropout(0.5),
    "GaussianNoise": lambda: layers.GaussianNoise(0.1),
    "Identity": layers.Identity,
    "a network": lambda: fastnet.Sequential([layers.Dense(2), fastnet.Sequential([layers.ReLU()])]),
}
DROPPING = {
    "Flatten": layers.Flatten,
    "Permute": lambda: layers.Permute((2, 1)),
    "Reshape": lambda: layers.Reshape((STEPS * FEATURES, 1)),
    "Lambda": lambda: layers.Lambda(halved),
    "RMSNormalization": layers.RMSNormalization,
}


def halved(x):
    return x / 2


@pytest.mark.parametrize("between", PASSING)
def test_who_passes_a_mask_on(between, float64):
    got, counted, every = evaluated([PASSING[between]()])
    assert got == pytest.approx(counted, rel=1e-12) and abs(counted - every) > 1e-6


@pytest.mark.parametrize("between", DROPPING)
def test_who_drops_it_says_so(between, float64):
    layer = DROPPING[between]()
    with pytest.warns(UserWarning, match=f"Layer {layer.name!r} .{between}. does not support masking and drops"):
        got, _, every = evaluated([layer])
    assert got == pytest.approx(every, rel=1e-12)


def test_layers_of_your_own_say_whether_they_pass_it_on(float64):
    class Dropping(layers.Dense):
        supports_masking = False

    class Passing(layers.Lambda):
        supports_masking = True

    class Cutting(layers.Flatten):
        supports_masking = True

    class Framed(layers.Reshape):
        """(steps, features) → (1, steps, features), with a mask of its own."""

        def compute_mask(self, plan, x, y):
            return x.mask.view(y.shape[:-1])

    with pytest.warns(UserWarning, match="Dropping"):
        got, _, every = evaluated([Dropping(2)])
    assert got == pytest.approx(every, rel=1e-12)
    got, counted, _ = evaluated([Passing(halved)])
    assert got == pytest.approx(counted, rel=1e-12)
    got, counted, _ = evaluated([Framed((1, STEPS, FEATURES)), layers.Dense(3)])
    assert got == pytest.approx(counted, rel=1e-12)
    with pytest.raises(
        ValueError, match=r"'cutting' .Cutting. supports masking and must keep the steps: .* gives \(6,"
    ):
        evaluated([Cutting()])


def test_softmax_refuses_a_mask():
    net = network(layers.Softmax(name="probabilities"))
    with pytest.raises(ValueError, match=r"'probabilities' .Softmax. .* layers.Activation\('softmax'\)"):
        net.predict(np.ones((2, STEPS, FEATURES)), verbose=0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.Masking("zero"), "mask_value must be a number that is not NaN, received 'zero'"),
        (lambda: layers.Masking(np.nan), "mask_value must be a number that is not NaN, received nan"),
        (lambda: layers.Masking(input_shape=()).build((None,)), "needs samples with at least one axis"),
        (lambda: layers.Masking(value=1.0), "has no argument 'value'"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()


def test_the_value_may_be_replaced(float64):
    net = network(mask_value=-1.0)
    x, y = np.ones((4, STEPS, FEATURES)), np.zeros((4, STEPS, 2))
    assert net.evaluate(x, y, verbose=0) > 0
    net.layers[0].mask_value = 1.0
    assert net.evaluate(x, y, verbose=0) == 0 and not net.predict(x, verbose=0).any()


def test_it_travels_with_its_model(tmp_path, float64):
    net = network(mask_value=-2.5)
    net.save(tmp_path / "model.fastnet")
    x, _ = padded(mask_value=-2.5)
    y = RNG.normal(size=(ROWS, STEPS, 2))
    want = net.evaluate(x, y, verbose=0)
    for other in (fastnet.saving.load_model(tmp_path / "model.fastnet"), copy.deepcopy(net)):
        assert other.layers[0].get_config() == net.layers[0].get_config() and other.layers[0].mask_value == -2.5
        assert other.evaluate(x, y, verbose=0) == want
    net.fit(x, y, epochs=2, verbose=0)


def test_metrics_in_python_are_given_the_mask(float64):
    seen = []

    class Plain(fastnet.metrics.Metric):
        def update_state(self, y_true, y_pred, sample_weight=None):
            seen.append(sample_weight)

        def result(self):
            return 0.0

    class Masked(Plain):
        masked = True

    def largest(y_true, y_pred):
        return np.abs(y_true - y_pred).max(axis=-1)

    x, kept = padded(5)
    y, w = RNG.normal(size=(5, STEPS, 2)), RNG.random((5, STEPS))
    net = network(metrics=[Plain(), Masked(), largest], weighted_metrics=[Plain(), Masked(), largest])
    errors = np.abs(net.predict(x, verbose=0) - y).max(-1)
    *_, unweighted, _, _, weighted = net.evaluate(x, y, sample_weight=w, verbose=0)
    assert unweighted == pytest.approx((errors * kept).sum() / kept.sum(), rel=1e-12)
    assert weighted == pytest.approx((errors * kept * w).sum() / (kept * w).sum(), rel=1e-12)
    assert seen[0] is None
    for given, want in zip(seen[1:], (kept, w, kept * w), strict=True):
        np.testing.assert_array_equal(given, want)
    net.evaluate(x, y, verbose=0)
    np.testing.assert_array_equal(seen[-1], kept)


def kernels(net, mode):
    """The names of the templates of a plan."""
    x, y = ((STEPS, FEATURES), "float32", True), ((STEPS, 2), "float32", True)
    net.optimizer.build(net.trainable_weights)
    return [launch.name for launch in lower(net, mode, 8, x, y, net.loss, (), net.optimizer).plan.launches]


def test_predictions_make_the_zeros_and_nothing_else():
    masked, bare = network(layers.BatchNormalization()), network(layers.BatchNormalization(), mask_value=None)
    wanted = kernels(bare, "predict")
    wanted.insert(1, "steps_that_count")  # behind the gather
    wanted[wanted.index("normalize")] = "zero_masked_normalize"  # the zeros cost no pass of their own
    assert kernels(masked, "predict") == wanted
    # In training the zeros are read again, by gradients; the loss and the statistics count the steps.
    more = set(kernels(masked, "train")) - set(kernels(bare, "train"))
    # Weighted rows keep the gradient of the loss from the gather of the targets, which goes before their weights.
    assert more == {"steps_that_count", "zero_masked", "total_of", "scale_by", "gradient_of_mean"}


def test_the_same_bits_on_any_number_of_threads():
    report = str(fastnet.testing.check_layer(lambda: layers.Masking(0.5), (6, 5)))
    assert "the same bits" in report
