"""Random arrays, sequences of seeds, initializers with them, and the settings of `fastnet.config`."""

import logging
import pickle

import numpy as np
import pytest

import fastnet
from fastnet import config, initializers, layers, random, saving


@pytest.mark.parametrize(("draw", "mean", "std"), [
    (lambda **more: random.normal((200, 500), 3.0, 2.0, **more), 3.0, 2.0),
    (lambda **more: random.uniform((200, 500), -1.0, 3.0, **more), 1.0, 4 / np.sqrt(12)),
])  # fmt: skip
def test_arrays_have_the_moments_of_their_distribution(draw, mean, std):
    x = draw(dtype="float64")
    assert x.shape == (200, 500) and x.dtype == np.float64
    # 10⁵ numbers: the mean is within 5 of its standard errors.
    np.testing.assert_allclose([x.mean(), x.std()], [mean, std], atol=5 * std / np.sqrt(x.size))
    assert draw().dtype == np.float32
    assert (draw(seed=1) == draw(seed=1)).all() and (draw(seed=1) != draw(seed=2)).mean() > 0.99
    assert (draw() != draw()).mean() > 0.99
    with pytest.raises(ValueError, match="dtype must be 'float32' or 'float64'"):
        draw(dtype="int32")
    with pytest.raises(ValueError, match="seed must be an integer >= 0"):
        draw(seed=-1)


def test_a_sequence_of_seeds():
    first, second = random.SeedGenerator(7), random.SeedGenerator(7)
    a = [random.normal((3,), seed=first) for _ in range(3)]
    assert len({x.tobytes() for x in a}) == 3
    np.testing.assert_array_equal(a, [random.normal((3,), seed=second) for _ in range(3)])
    later = pickle.loads(pickle.dumps(first))
    assert later.state.tolist() == [7, 3]
    np.testing.assert_array_equal(random.uniform((3,), seed=first), random.uniform((3,), seed=later))
    assert random.SeedGenerator().state[0] != random.SeedGenerator().state[0]
    random.set_seed(1)
    a = random.SeedGenerator().next()
    random.set_seed(1)
    np.testing.assert_array_equal(a, random.SeedGenerator().next())
    np.testing.assert_array_equal(a := random.normal((3,), seed=7), random.normal((3,), seed=random.SeedGenerator(7)))
    assert (a != random.normal((3,), seed=later)).all()
    largest = random.SeedGenerator(2**64 - 1)
    np.testing.assert_array_equal(random.normal((3,), seed=largest), random.normal((3,), seed=2**64 - 1))
    for wrong in ("1", -1, True, 2**64):
        with pytest.raises(ValueError, match="seed must be an integer >= 0 and <= 18446744073709551615"):
            random.SeedGenerator(wrong)


@pytest.mark.parametrize("draw", [random.uniform, lambda shape, *limits: initializers.RandomUniform(*limits, 1)(shape)])
@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0 + 2**-22), (0.0, 0.1), (-1.0, 0.0), (-3.0, -2.0)])
def test_the_upper_limit_is_never_drawn(draw, low, high, monkeypatch):
    class Last:
        """Draws the last number below the upper limit."""

        def uniform(self, low, high, shape):
            return np.full(shape, np.nextafter(high, low))

    assert low <= draw((500,), low, high).min() and draw((500,), low, high).max() < high
    monkeypatch.setattr("fastnet.random.arrays.generator_of", lambda seed: Last())
    x = draw((2, 3), low, high)
    assert x.dtype == np.float32 and (x < high).all() and (x >= low).all()
    assert random.uniform((), 2.0, 2.0) == 2.0


def test_an_initializer_with_a_sequence_of_seeds():
    initializer = initializers.HeNormal(seed=random.SeedGenerator(3))
    a, b = initializer((4, 5)), initializer((4, 5))
    assert (a != b).all()
    again = initializers.deserialize(initializers.serialize(initializer))
    np.testing.assert_array_equal(again((4, 5)), a)
    model = fastnet.Sequential([layers.Input((4,)), layers.Dense(5, kernel_initializer=initializer)])
    assert isinstance(saving.deserialize_keras_object(saving.serialize_keras_object(model)), fastnet.Sequential)


def test_names_of_initializers_in_lower_case():
    assert initializers.zeros is initializers.Zeros and initializers.glorot_uniform is initializers.GlorotUniform
    assert initializers.OrthogonalInitializer is initializers.orthogonal is initializers.Orthogonal


def test_limits_and_epsilon(monkeypatch):
    assert config.backend() == "fastnet"
    config.set_epsilon(config.epsilon())
    with pytest.raises(ValueError, match="compiled with 1e-07, received 1e-05"):
        config.set_epsilon(1e-5)
    model = fastnet.Sequential([layers.Input((1,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.zeros((2, 1), "float32")
    monkeypatch.setattr(config, "_max_epochs", None)
    config.set_max_epochs(2)
    assert config.max_epochs() == 2
    assert len(model.fit(x, x, epochs=2, verbose=0).epoch) == 2
    with pytest.warns(UserWarning, match=r"fit: epochs=3 is limited to 2 by fastnet.config.set_max_epochs") as caught:
        assert len(model.fit(x, x, epochs=3, verbose=0).epoch) == 2
    assert caught[0].filename == __file__
    for wrong in (0, 1.5):
        with pytest.raises(ValueError, match="set_max_epochs: max_epochs must be an integer"):
            config.set_max_epochs(wrong)


def test_progress_goes_to_a_logger(monkeypatch, caplog, capsys):
    monkeypatch.setattr(config, "_is_interactive", True)
    fastnet.utils.disable_interactive_logging()
    assert not config.is_interactive_logging_enabled()
    model = fastnet.Sequential([layers.Input((1,)), layers.Dense(1, kernel_initializer="zeros")])
    model.compile("sgd", "mse")
    x = np.zeros((2, 1), "float32")
    with caplog.at_level(logging.INFO, "fastnet"):
        for verbose in ("auto", 1, 2):
            model.fit(x, x, verbose=verbose)
        model.fit(x, x, verbose=0)
    messages = [record.getMessage() for record in caplog.records]
    assert len([m for m in messages if "loss: 0.0000" in m]) == 3
    assert capsys.readouterr().out == ""
    config.enable_interactive_logging()
    assert config.is_interactive_logging_enabled()


def test_near_names_are_offered():
    with pytest.raises(AttributeError, match="did you mean categorical"):
        fastnet.random.categoricl  # noqa: B018
