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
    "lecun_uniform": np.sqrt(1 / 300),
    "lecun_normal": np.sqrt(1 / 300),
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


@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (3, 5), (2, 3, 4), (7, 7)])
def test_orthogonal(shape):
    values = initializers.Orthogonal(gain=2.0, seed=1)(shape, "float64").reshape(-1, shape[-1])
    product = values.T @ values if values.shape[0] >= values.shape[1] else values @ values.T
    np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-13)


def test_orthogonal_matrices_are_uniform():
    """The entries of a 2x2 one are cosines of a uniform angle: no sign is preferred."""
    entries = np.array([initializers.Orthogonal(seed=s)((2, 2), "float64").ravel() for s in range(2000)])
    assert np.abs(entries.mean(axis=0)).max() < 5 * np.sqrt(0.5 / 2000)
    assert abs((np.linalg.det(entries.reshape(-1, 2, 2)) > 0).mean() - 0.5) < 5 * 0.5 / np.sqrt(2000)


def test_identity_and_arrays():
    np.testing.assert_array_equal(initializers.Identity(3.0)((2, 3), "float64"), [[3, 0, 0], [0, 3, 0]])
    np.testing.assert_array_equal(initializers.get(np.array([1, 2]))((2,), "float32"), [1, 2])
    for wrong in (lambda: initializers.Identity()((2,)), lambda: initializers.Orthogonal()((3,))):
        with pytest.raises(ValueError, match="fills"):
            wrong()


def test_axes_of_inputs_and_outputs():
    assert initializers.fans((2, 3, 4), (0, 1), (2,)) == (6, 4)
    values = initializers.GlorotUniform(seed=1, input_axes=(0,), output_axes=(1, 2))((50, 30, 20), "float64")
    assert values.std() == pytest.approx(np.sqrt(2 / 650), rel=0.02)


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
    with pytest.raises(ValueError, match="scale must be a number that is positive"):
        initializers.VarianceScaling(0)
    with pytest.raises(
        ValueError, match="VarianceScaling: mode must be 'fan_in', 'fan_out' or 'fan_avg', received 'fan'"
    ):
        initializers.VarianceScaling(mode="fan")
    with pytest.raises(ValueError, match="VarianceScaling: distribution must be"):
        initializers.VarianceScaling(distribution="cauchy")
    with pytest.raises(ValueError, match="An initializer is"):
        initializers.get(3)


def test_an_array_fills_its_own_shape_only():
    """Another shape was filled with the array as it is."""
    values = np.arange(6.0).reshape(2, 3)
    assert (initializers.get(values)((2, 3), "float64") == values).all()
    assert initializers.get(np.array(4.0))((), "float32") == 4
    with pytest.raises(ValueError, match=r"an array of shape \(2, 3\) received the shape \(3, 2\)"):
        initializers.get(values)((3, 2))
