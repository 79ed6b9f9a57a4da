"""Samples of any length: sizes of Input that are None, in fit, evaluate, predict, files and summaries."""

import copy

import numpy as np
import pytest

import fastnet
from fastnet import extend, layers, losses, saving
from fastnet.training import plan_cache

RNG = np.random.default_rng(0)
LENGTHS = (2, 7, 7, 1, 2, 13)


def batches(*lengths, rows=5, seed=1):
    rng = np.random.default_rng(seed)
    return [
        (rng.standard_normal((rows, n, 3)).astype("f"), rng.standard_normal((rows, n, 2)).astype("f")) for n in lengths
    ]


def network(**options):
    stack = [layers.Input((None, 3)), layers.Dense(4, "tanh"), layers.LayerNormalization(), layers.Dense(2)]
    model = fastnet.Sequential(stack, seed=3)
    model.compile(fastnet.optimizers.SGD(0.1), "mse", metrics=["mae"], **options)
    return model


def numpy_step(weights, x, y, rate=0.1):
    """One step of `network` by differences, in float64: the loss, and the weights after it."""

    def loss(weights):
        kernel, bias, gamma, beta, last, last_bias = weights
        h = np.tanh(x @ kernel + bias)
        h = (h - h.mean(-1, keepdims=True)) / np.sqrt(h.var(-1, keepdims=True) + 1e-3) * gamma + beta
        return ((h @ last + last_bias - y) ** 2).mean()

    moved = [w.copy() for w in weights]
    for k, w in enumerate(weights):
        for i in np.ndindex(w.shape):
            ends = []
            for step in (1e-5, -1e-5):
                changed = [v.copy() for v in weights]
                changed[k][i] += step
                ends.append(loss(changed))
            moved[k][i] -= rate * (ends[0] - ends[1]) / 2e-5
    return loss(weights), moved


@pytest.mark.parametrize("form", ["list", "generator", "on_batch"])
def test_each_length_trains_by_its_own_plan(form):
    model, data = network(), batches(*LENGTHS)
    weights, wanted = [w.astype(float) for w in model.get_weights()], []
    for x, y in data:
        loss, weights = numpy_step(weights, x.astype(float), y.astype(float))
        wanted.append(loss)
    if form == "on_batch":
        got = [model.train_on_batch(x, y)[0] for x, y in data]
        np.testing.assert_allclose(got, wanted, rtol=1e-5)
    else:
        given = data if form == "list" else (pair for pair in data)
        history = model.fit(given, verbose=0, shuffle=False).history
        assert history["loss"] == [pytest.approx(np.mean(wanted), rel=1e-5)]
    for got, want in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(got, want, rtol=2e-4, atol=2e-6)  # float32 against differences of float64


def test_evaluate_predict_and_calls():
    model, data = network(), batches(*LENGTHS, rows=3)
    x = RNG.standard_normal((4, 9, 3)).astype("f")
    np.testing.assert_array_equal(model.predict(x, verbose=0)[:, :2], model.predict(x[:, :2], verbose=0))
    np.testing.assert_array_equal(model(x), model.predict_on_batch(x))
    parts = [model.evaluate(*pair, verbose=0) for pair in data]
    loss, mae = model.evaluate(data, verbose=0)
    assert loss == pytest.approx(np.mean([part[0] for part in parts]))  # of rows, as Keras counts the loss
    assert mae == pytest.approx(np.mean([part[1] for part in parts]))  # and metrics
    assert [metric.name for metric in model.metrics] == ["mae"]
    with pytest.raises(ValueError, match=r"predict joins .* first batch are \(2, 2\) .* later one \(7, 2\)"):
        model.predict(data, verbose=0)
    alike = [pair for pair in data if pair[0].shape[1] == 7]
    assert model.predict(alike, verbose=0).shape == (6, 7, 2)
    assert model.predict(x[:0], verbose=0).shape == (0, 9, 2)


def test_a_callback_sees_each_batch_and_arrays_of_other_lengths_may_follow():
    model, data, seen = network(), batches(*LENGTHS), []
    watch = fastnet.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(logs["loss"]))
    model.fit(data, epochs=2, verbose=0, callbacks=[watch], validation_data=batches(4, 5))
    assert len(seen) == 2 * len(LENGTHS) and np.isfinite(seen).all()
    model.fit(*batches(6)[0], batch_size=2, verbose=0)
    model.fit(*batches(3)[0], batch_size=2, verbose=0, validation_split=0.4)


def test_shapes_are_shown_and_saved_with_none(tmp_path, capsys):
    model = fastnet.Sequential(
        [
            layers.Input((None, 3)),
            fastnet.Sequential([layers.Dense(4), layers.Residual([layers.Dense(4), layers.Permute((1, 2))])]),
            layers.Flatten(),
            layers.Reshape((-1, 4)),
            layers.Softmax(),
        ]
    )
    model.add(layers.Dense(2))
    model.summary(expand_nested=True)
    text = capsys.readouterr().out
    assert text.count("(None, None, 4)") == 8 and "(None, None, 2)" in text and "420" not in text
    assert (model.input_shape, model.output_shape) == ((None, None, 3), (None, None, 2))
    assert model.layers[0].output_shape == (None, None, 4) and model.layers[1].output_shape == (None,)
    assert model.layers[0].layers[1].branch.layers[0].input_shape == (None, 4)
    x = RNG.standard_normal((2, 5, 3)).astype("f")
    model.save(tmp_path / "open.fastnet")
    made = [saving.load_model(tmp_path / "open.fastnet"), copy.deepcopy(model)]
    again = fastnet.Sequential.from_config(model.get_config())
    again.set_weights(model.get_weights())
    for other in (*made, again):
        assert other.input_shape == (None, None, 3)
        np.testing.assert_array_equal(other.predict(x, verbose=0), model.predict(x, verbose=0))
    built = fastnet.Sequential([layers.Dense(2)])
    built.build((None, None, 3))
    assert built.output_shape == (None, None, 2) and built.predict(x, verbose=0).shape == (2, 5, 2)
    dense = layers.Dense(5)
    dense.build((None, None, 3))
    assert dense.compute_output_shape((None, None, 7, 3)) == (None, None, 7, 5) and dense(x).shape == (2, 5, 5)
    assert dense.output_shape == (None, 5)


NEEDING = {
    "dense": lambda: [layers.Flatten(), layers.Dense(2)],
    "p_re_lu": lambda: [layers.PReLU()],
    "layer_normalization": lambda: [layers.LayerNormalization([1, 2])],
    "batch_normalization": lambda: [layers.BatchNormalization(1)],
    "parallel": lambda: [layers.Parallel([[layers.Flatten(), layers.Dense(2)], [layers.Flatten(), layers.Dense(3)]])],
}


@pytest.mark.parametrize("name", NEEDING)
def test_a_layer_that_needs_the_size_says_so(name):
    stack = NEEDING[name]()
    with pytest.raises(ValueError, match=rf"Layer '{name}\w*' .* needs to know .*\(None.*Give Input a number"):
        fastnet.Sequential([layers.Input((None, 3)), *stack])
    assert not any(layer.weights for layer in stack)  # nothing stays half built
    fastnet.Sequential([layers.Input((4, 3)), *stack])


class Scale(layers.Layer):
    """A layer of one's own, which does not compare shapes."""

    def __init__(self, axis, **more):
        super().__init__(**more)
        self.axis = axis

    def make_weights(self, input_shape):
        self.factor = self.add_weight("factor", (input_shape[self.axis],), "ones")

    def forward(self, plan, x):
        y = plan.like(x)
        plan.call(extend.copy, x=x, y=y)
        return y

    def backward(self, plan, dy, x, y):
        return dy


def test_weights_of_a_layer_of_ones_own_tell_whether_it_needs_the_size():
    model = fastnet.Sequential([layers.Input((None, 3)), Scale(1, name="s")], seed=1)
    assert model.output_shape == (None, None, 3)
    with pytest.raises(ValueError, match=r"Layer 's' \(Scale\) needs to know .* shape \(None, 3\)"):
        fastnet.Sequential([layers.Input((None, 3)), Scale(0, name="s")])
    fixed = fastnet.Sequential([layers.Input((5, 3)), layers.Dense(3)], seed=1)
    again = fastnet.Sequential([layers.Input((None, 3)), layers.Dense(3)], seed=1)
    np.testing.assert_array_equal(fixed.get_weights()[0], again.get_weights()[0])  # trials draw no numbers


def test_errors_name_the_unknown_size():
    with pytest.raises(ValueError, match=r"Layer 'cut' .* samples of shape \(None, 3\)"):
        fastnet.Sequential([layers.Input((None, 3)), layers.GroupNormalization(2, name="cut")])
    model = network()
    with pytest.raises(ValueError, match=r"takes samples of shape \(None, 3\).*received data of shape \(2, 4, 5\)"):
        model.predict(np.ones((2, 4, 5)), verbose=0)
    with pytest.raises(ValueError, match=r"targets of shape \(n, 4, 2\)"):
        model.fit(np.ones((2, 4, 3)), np.ones((2, 5, 2)), verbose=0)
    with pytest.raises(
        ValueError, match=r"Batch 2 of the list: .*received .*Input\(\(None, 3\)\) takes samples of other"
    ):
        fixed = fastnet.Sequential([layers.Dense(2)])
        fixed.compile("sgd", "mse")
        fixed.fit(batches(4, 5), verbose=0)
    with pytest.raises(ValueError, match="positive sizes, None for any"):
        layers.Input((None, 0))
    model.train_on_batch(*batches(4)[0])


def test_plans_of_the_last_shapes_are_kept():
    model = network()
    for length in range(1, 40):
        model.predict_on_batch(np.ones((1, length, 3)))
    free = model._trainer.plans.free
    assert len(free) == plan_cache._MOST_SHAPES and sum(len(plans) for plans in free.values()) == len(free)
    assert [key[2][0][0][0] for key in free] == list(range(40 - len(free), 40))
    assert len(model._trainer.plans.recent) == len(free)
    fixed = fastnet.Sequential([layers.Input((3,)), layers.Dense(2)])
    for rows in range(1, 20):
        fixed.predict_on_batch(np.ones((rows, 3)))
    assert len(fixed._trainer.plans.free) == plan_cache._MOST


def test_weights_labels_and_masks_of_other_lengths():
    model = fastnet.Sequential([layers.Input((None, 3)), layers.Masking(), layers.Dense(4)], seed=1)
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, weighted_metrics=["accuracy"])
    data = [(x, RNG.integers(0, 4, x.shape[:2]), RNG.uniform(0, 2, x.shape[:2])) for x, _ in batches(*LENGTHS)]
    for x, *_ in data:
        x[:, -1:] = 0.0 if x.shape[1] > 1 else x[:, -1:]
    found = [model.evaluate(x, y, sample_weight=w, verbose=0) for x, y, w in data]
    together = model.evaluate(data, verbose=0)
    assert together[0] == pytest.approx(np.mean([each[0] for each in found]), rel=1e-6)
    shares = [(w * (x != 0).any(-1)).mean() for x, _, w in data]
    assert together[1] == pytest.approx(np.average([each[1] for each in found], weights=shares), rel=1e-6)
    before = model.get_weights()[0]
    model.fit(data, verbose=0)
    assert not np.array_equal(model.get_weights()[0], before)
