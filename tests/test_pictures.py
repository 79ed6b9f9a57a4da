"""Pictures of images, filters and errors; the results of a model's layers."""

import numpy as np
import pytest

import fastnet
from fastnet import layers, models, pictures

RNG = np.random.default_rng(0)


@pytest.fixture
def drawn(monkeypatch):
    """The images that are drawn, in order."""
    pytest.importorskip("matplotlib")
    found, draw = [], pictures._draw
    monkeypatch.setattr(
        pictures, "_draw", lambda axes, image, low, high: (found.append(image), draw(axes, image, low, high))
    )
    return found


def is_png(path):
    return path.read_bytes().startswith(b"\x89PNG")


def test_results_of_layers():
    stack = [layers.Dense(4, "tanh", name="first"), layers.Dense(3, "relu"), layers.Dense(2)]
    model = fastnet.Sequential([layers.Input((5,)), *stack])
    x = RNG.standard_normal((7, 5)).astype("f")
    first = np.tanh(x @ stack[0].kernel.numpy())
    second = np.maximum(first @ stack[1].kernel.numpy(), 0)
    for layer in ("first", 0, stack[0], -3):
        np.testing.assert_allclose(models.feature_maps(model, x, layer), first, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(models.feature_maps(model, x, 1, batch_size=2), second, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(models.feature_maps(model, x, 2), model.predict(x, verbose=0))
    assert [one.name for one in model.layers] == [one.name for one in stack]


def test_layers_that_are_not_there():
    model = fastnet.Sequential([layers.Dense(2, name="one")])
    with pytest.raises(ValueError, match="takes a model that is built, received .*; put an Input first, or call build"):
        models.feature_maps(model, np.zeros((1, 2)), 0)
    model.build((None, 2))
    with pytest.raises(ValueError, match="has no layer .*; its layers are one"):
        models.feature_maps(model, np.zeros((1, 2)), layers.Dense(2))
    with pytest.raises(ValueError, match="two"):
        models.feature_maps(model, np.zeros((1, 2)), "two")
    with pytest.raises(ValueError, match="there is none of index=3"):
        models.feature_maps(model, np.zeros((1, 2)), 3)


def test_confusions_are_counted():
    labels = np.array([0, 0, 1, 2, 2, 2])
    predictions = np.eye(3)[[0, 1, 1, 2, 0, 2]]
    right = [[1, 1, 0], [0, 1, 0], [1, 0, 2]]
    assert pictures.confusion_counts(labels, predictions).tolist() == right
    assert pictures.confusion_counts(labels[:, None], predictions.argmax(1)).tolist() == right
    assert pictures.confusion_counts(labels, predictions, 4).sum(0).tolist() == [2, 2, 2, 0]
    assert pictures.confusion_counts([1, 0, 1], [[0.2], [0.3], [0.9]]).tolist() == [[1, 0], [1, 1]]
    assert pictures.confusion_counts([], np.zeros((0, 2))).tolist() == [[0, 0], [0, 0]]
    for wrong in ([[0.4], [2.6]], [[-3.0], [1.0]]):
        with pytest.raises(ValueError, match=r"must be probabilities; of logits, give \(predictions > 0\)"):
            pictures.confusion_counts([0, 1], wrong)
    with pytest.raises(ValueError, match="Classes must be whole numbers"):
        pictures.confusion_counts([0, 1], [0.2, 0.9])
    with pytest.raises(ValueError, match="There are 6 labels and 3 predictions"):
        pictures.confusion_counts(labels, predictions[:3])
    with pytest.raises(ValueError, match="must be classes from 0 to 1"):
        pictures.confusion_counts(labels, predictions, 2)
    with pytest.raises(ValueError, match="must be classes"):
        pictures.confusion_counts([-1], [0])


def test_a_matrix_is_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    assert is_png(pictures.confusion_matrix([0, 1, 1], np.eye(2)[[0, 1, 0]], tmp_path / "a.png", ["cat", "dog"]))


@pytest.mark.slow
def test_a_large_matrix_is_drawn(tmp_path):
    assert is_png(pictures.confusion_matrix(range(40), range(40), tmp_path / "b.png"))


@pytest.mark.parametrize("channels", [(), (1,), (3,)])
def test_the_surest_errors_come_first(drawn, tmp_path, channels):
    images = np.arange(5, dtype=np.uint8).reshape(-1, 1, 1, *np.ones_like(channels)) * np.ones(
        (2, 2, *channels), "uint8"
    )
    predictions = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.7, 0.3], [1.0, 0.0]])
    labels = [0, 1, 0, 1, 1]  # of which 1, 2, 3 and 4 are wrong
    assert is_png(pictures.misclassified(images, labels, predictions, tmp_path / "a.png", limit=3))
    assert [image.flat[0] for image in drawn] == [4, 2, 3]
    assert is_png(pictures.misclassified(images[:1], [0], predictions[:1], tmp_path / "b.png", ["cat", "dog"]))
    assert len(drawn) == 3
    with pytest.raises(ValueError, match="there are 4 images and 5 labels"):
        pictures.misclassified(images[1:], labels, predictions, tmp_path / "c.png")


def test_the_range_of_black_and_white():
    rng = np.random.default_rng(0)
    bytes_, small, standard = (
        rng.integers(0, 256, (2, 4, 4), "uint8"),
        rng.random((2, 4, 4)),
        rng.normal(size=(2, 4, 4)),
    )
    assert pictures._range(bytes_) == pictures._range(bytes_.astype(float)) == (0, 255)
    assert pictures._range(small) == pictures._range(bytes_ > 127) == (0, 1)
    digits = fastnet.datasets.digits.load_data()[0][0]
    assert pictures._range(digits) == pictures._range(digits.astype(float)) == (0, 16)
    assert pictures._range(standard) == (standard.min(), standard.max())


def test_filters_and_maps(drawn, tmp_path):
    kernel = RNG.standard_normal((3, 2, 3, 5))
    assert is_png(pictures.filters(kernel, tmp_path / "a.png"))
    assert [image.shape for image in drawn] == [(3, 2, 3)] * 5
    assert all(image.min() == 0 and image.max() == 1 for image in drawn)
    drawn.clear()
    pictures.filters(RNG.standard_normal((3, 2, 4, 5)), tmp_path / "a.png", limit=7)
    assert [image.shape for image in drawn] == [(3, 2)] * 7
    drawn.clear()
    maps = np.stack([np.zeros((4, 6)), RNG.standard_normal((4, 6))], -1)
    assert is_png(pictures.feature_maps(maps, tmp_path / "b.png"))
    np.testing.assert_allclose(drawn[1], (maps[..., 1] - maps[..., 1].min()) / np.ptp(maps[..., 1]))
    assert not drawn[0].any()
    with pytest.raises(ValueError, match=r"filters draws kernels .* received \(3, 2\)"):
        pictures.filters(np.zeros((3, 2)), tmp_path / "c.png")
    with pytest.raises(ValueError, match="received None; build its model first"):
        pictures.filters(layers.Conv2D(2, 3).kernel, tmp_path / "c.png")
    with pytest.raises(ValueError, match=r"for one image, .* received \(1, 3, 2, 2\)"):
        pictures.feature_maps(np.zeros((1, 3, 2, 2)), tmp_path / "c.png")
