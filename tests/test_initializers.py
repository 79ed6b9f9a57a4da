"""Start values: moments, bounds, fans, seeds."""

import numpy as np
import pytest

from fastnet import initializers

SHAPE = (300, 200)
FANS = {"fan_in": 300, "fan_out": 200, "fan_avg": 250}
MOMENTS = {  # name: standard deviation
    "glorot_uniform": np.sqrt(2 / 500),
    "glorot_normal": np.sqrt(2 / 500),
    "he_uniform": np.sqrt(2 / 300),
    "he_normal": np.sqrt(2 / 300),
    "random_uniform": 0.1 / np.sqrt(12),
    "random_normal": 0.05,
    "truncated_normal": 0.05 * 0.87962566103423978,
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", MOMENTS)
def test_moments(name, dtype):
    values = initializers.get(name)(SHAPE, dtype)
    assert values.dtype == dtype
    assert values.shape == SHAPE
    std = MOMENTS[name]
    # Five standard errors of 60,000 draws.
    assert abs(values.mean()) < 5 * std / np.sqrt(values.size)
    assert abs(values.std() / std - 1) < 5 / np.sqrt(values.size)


@pytest.mark.parametrize(("name", "limit"), [
    ("glorot_uniform", np.sqrt(6 / 500)),
    ("he_uniform", np.sqrt(6 / 300)),
    ("random_uniform", 0.05),
    ("truncated_normal", 0.1),
    ("glorot_normal", 2 * np.sqrt(2 / 500) / 0.87962566103423978),
])  # fmt: skip
def test_bounds_are_kept_and_reached(name, limit):
    values = np.abs(initializers.get(name)(SHAPE, "float64"))
    assert 0.99 * limit < values.max() <= limit


@pytest.mark.parametrize("distribution", ["truncated_normal", "untruncated_normal", "uniform"])
@pytest.mark.parametrize("mode", FANS)
def test_variance_scaling(mode, distribution):
    values = initializers.VarianceScaling(3.0, mode, distribution)(SHAPE, "float64")
    assert values.std() == pytest.approx(np.sqrt(3.0 / FANS[mode]), rel=0.02)


def test_constants():
    assert initializers.get("zeros")((2, 3)).tolist() == [[0, 0, 0], [0, 0, 0]]
    assert initializers.Ones()((2,), "float64").dtype == np.float64
    assert initializers.Constant(2.5)((1,)).tolist() == [2.5]


def test_a_seed_repeats_and_no_seed_does_not():
    seeded = initializers.GlorotUniform(seed=3)
    np.testing.assert_array_equal(seeded((4, 5)), seeded((4, 5)))
    free = initializers.GlorotUniform()
    assert not np.array_equal(free((4, 5)), free((4, 5)))


def test_fans():
    assert initializers.fans((3, 3, 5, 7)) == (45, 63)
    assert initializers.fans((7,)) == (7, 7)
    assert initializers.fans(()) == (1, 1)


def test_bad_arguments_are_explained():
    with pytest.raises(ValueError, match="Unknown initializer 'glorot'.*glorot_"):
        initializers.get("glorot")
    with pytest.raises(ValueError, match="scale must be positive"):
        initializers.VarianceScaling(0)
    with pytest.raises(ValueError, match="Unknown mode"):
        initializers.VarianceScaling(mode="fan")
    with pytest.raises(ValueError, match="Unknown distribution"):
        initializers.VarianceScaling(distribution="cauchy")
    with pytest.raises(ValueError, match="An initializer is"):
        initializers.get(3)
