"""The circle loss: numpy's formula, differences, reductions, training, threads, and wrong targets."""

import numpy as np
import pytest

import fastnet
from fastnet import layers, losses
from fastnet.testing import running

from .test_losses import run

ARGUMENTS = {"gamma": 12.0, "margin": 0.3}


def embeddings(rows, width, classes=3):
    rng = np.random.default_rng(rows)
    x = rng.standard_normal((rows, width))
    return 7 * rng.integers(0, classes, rows) - 9, x / np.linalg.norm(x, axis=1, keepdims=True)


def by_hand(labels, x, diagonal=False, gamma=12.0, margin=0.3):
    """Row by row, pair by pair."""
    found = []
    for i in range(len(x)):
        positive = negative = 0.0
        for j in range(len(x)):
            d = max(1 - x[i] @ x[j], 0)
            if labels[i] != labels[j]:
                negative += np.exp(gamma * max(1 + margin - d, 0) * (1 - margin - d))
            elif diagonal or i != j:
                positive += np.exp(gamma * max(margin + d, 0) * (d - margin))
        found.append(np.log1p(positive * negative))
    return np.array(found)


@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (2, 1), (7, 3), (64, 2), (131, 17)], ids=str)
def test_value_and_gradient(shape, diagonal):
    labels, x = embeddings(*shape)
    x = 0.9 * x  # a similarity of exactly 1 is a corner of the formula
    loss = losses.Circle(remove_diagonal=not diagonal, **ARGUMENTS)
    wanted = by_hand(labels, x, diagonal)
    values, gradient = run(loss, labels, x)
    np.testing.assert_allclose(values, wanted, rtol=1e-11)
    np.testing.assert_allclose(losses.circle(labels, x, remove_diagonal=not diagonal, **ARGUMENTS), wanted, rtol=1e-11)
    # `run` gives no weights of rows: the gradient is that of the mean of all.
    for index in [(0, 0), (shape[0] - 1, shape[1] - 1)]:
        moved = [x.copy(), x.copy()]
        for step, each in zip((1e-6, -1e-6), moved):
            each[index] += step
        slope = (by_hand(labels, moved[0], diagonal).mean() - by_hand(labels, moved[1], diagonal).mean()) / 2e-6
        assert gradient[index] == pytest.approx(slope, rel=1e-6, abs=1e-9)


def test_rows_without_both_kinds_of_pairs_do_not_count():
    labels, x = np.array([4, 4, 8, -1]), embeddings(4, 3)[1]
    each = by_hand(labels, x)
    assert each[2:].tolist() == [0.0, 0.0] and (each[:2] > 0).all()
    w = np.array([2.0, 0.5, 9.0, 9.0])
    for reduction, wanted, weighted in (
        ("sum_over_batch_size", each[:2].mean(), (w * each).sum() / 2),
        ("mean_with_sample_weight", each[:2].mean(), (w * each).sum() / 2.5),
        ("sum", each.sum(), (w * each).sum()),
    ):
        loss = losses.Circle(reduction=reduction, **ARGUMENTS)
        assert loss(labels, x) == pytest.approx(wanted) and loss(labels, x, w) == pytest.approx(weighted)
    np.testing.assert_allclose(losses.Circle(reduction=None, **ARGUMENTS)(labels, x, w), w * each)
    for alone in (np.zeros(4, int), np.arange(4)):
        assert losses.Circle()(alone, x) == 0.0
    assert losses.Circle()(np.zeros(0, int), np.zeros((0, 3))) == 0.0
    assert np.isnan(losses.circle(labels, [*x[:3], [np.nan] * 3])[:3]).all()


def test_pairs_with_given_rows():
    labels, x = embeddings(11, 3)
    among = losses.circle(labels, x, labels, x, gamma=5)
    np.testing.assert_allclose(among, losses.circle(labels, x, gamma=5), rtol=1e-12)
    few = losses.circle(labels[:2], x[:2], labels, x, remove_diagonal=False, gamma=12, margin=0.3)
    np.testing.assert_allclose(few, by_hand(labels, x, True)[:2], rtol=1e-11)
    with pytest.raises(ValueError, match=r"needs ref_embeddings of shape \(m, 3\) and a label for each"):
        losses.circle(labels, x, labels[:5], x)


def test_training_is_the_same_with_any_number_of_threads():
    rng = np.random.default_rng(2)
    x, labels = rng.standard_normal((150, 5)).astype("float32"), rng.integers(0, 4, 150) + 2**24
    weights = rng.uniform(0.5, 2, 150)
    found = []
    for threads in (1, 3):
        with running.threads(threads):
            model = fastnet.Sequential(
                [layers.Input((5,)), layers.Dense(4, kernel_initializer="identity"), layers.UnitNormalization()]
            )
            model.compile(fastnet.optimizers.Adam(0.02), losses.Circle(gamma=8.0), loss_weights=0.5)
            before = model.evaluate(x, labels, batch_size=75, verbose=0)
            model.fit(x, labels, batch_size=75, epochs=15, verbose=0, shuffle=False, sample_weight=weights)
            assert model.evaluate(x, labels[:, None], batch_size=75, verbose=0) < 0.95 * before
            found.append(b"".join(w.tobytes() for w in model.get_weights()))
    assert found[0] == found[1]


def test_wrong_targets_and_arguments():
    labels, x = embeddings(6, 2)
    for wrong, told in ((labels + 0.5, "whole numbers as labels"), (labels + 2**40, "integers of 32 bits")):
        with pytest.raises(ValueError, match=f"The loss 'circle' needs {told}"):
            losses.Circle()(wrong, x)
    model = fastnet.Sequential([layers.Input((2,)), layers.Dense(2)])
    model.compile("sgd", "circle")
    model.fit(x, labels, verbose=0)
    for wrong in (labels + 0.5, labels + 2**40):  # also where data of this shape fitted before
        with pytest.raises(ValueError, match="The loss 'circle' needs"):
            model.fit(x, wrong, verbose=0)
    with pytest.raises(ValueError, match=r"predictions must have shape \(n, units\), received \(n, 2, 2\). Flatten"):
        losses.Circle()(np.zeros((3, 2)), np.zeros((3, 2, 2)))
    for argument, wrong in (("gamma", np.inf), ("margin", "0.4"), ("remove_diagonal", 1)):
        with pytest.raises(ValueError, match=f"Circle: {argument} must be"):
            losses.Circle(**{argument: wrong})
    again = losses.deserialize(losses.serialize(losses.Circle(2.0, remove_diagonal=False)))
    assert type(again) is losses.Circle and again.gamma == 2.0 and not again.remove_diagonal
