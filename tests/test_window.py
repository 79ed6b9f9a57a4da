"""Windows over images: their patches, and the phases of the gradient of the images, over random geometries."""

import itertools

import numpy as np
import pytest

from fastnet._kernels.window import Window, phases


def pixel_of(window, position, tap):
    """The pixel that a tap reads at a position; None outside of the image."""
    sizes = zip(position, window.strides, tap, window.dilations, window.before)
    pixel = tuple(p * s + t * d - b for p, s, t, d, b in sizes)
    return pixel if all(0 <= q < size for q, size in zip(pixel, window.image)) else None


def patches(x, window):
    """The patch matrix of one image x (depth, height, width, channels), one group."""
    rows = []
    for position in itertools.product(*map(range, window.positions)):
        pixels = [pixel_of(window, position, tap) for tap in itertools.product(*map(range, window.taps))]
        rows.append(np.concatenate([np.zeros(x.shape[-1]) if q is None else x[q] for q in pixels]))
    return np.array(rows)


def random_window(rng, channels):
    """A window with at least one position; strides and dilations together, and larger than the kernel too."""
    while True:
        image, taps, strides, dilations = (tuple(rng.integers(1, most, 3).tolist()) for most in (7, 4, 4, 4))
        before = tuple(rng.integers(0, 3, 3).tolist())
        sizes = zip(image, before, taps, dilations, strides)
        positions = tuple((n + 2 * b - (t - 1) * d - 1) // s + 1 for n, b, t, d, s in sizes)
        if min(positions) > 0:
            return Window(image, positions, taps, channels, strides, dilations, before)


@pytest.mark.parametrize("trial", range(60))
def test_phases_are_the_gradient_of_the_images(trial):
    """The sums of the phases are those of the results scattered tap by tap, and no pixel belongs to two phases."""
    channels, filters = 2, 3
    rng = np.random.default_rng(trial)
    window = random_window(rng, channels)
    kernel = rng.standard_normal((window.columns // channels, channels, filters))
    dy = rng.standard_normal((*window.positions, filters))
    wanted = np.zeros((*window.image, channels))
    for position in itertools.product(*map(range, window.positions)):
        for number, tap in enumerate(itertools.product(*map(range, window.taps))):
            if (pixel := pixel_of(window, position, tap)) is not None:
                wanted[pixel] += kernel[number] @ dy[position]
    dx, seen = np.zeros_like(wanted), np.zeros(window.image)
    for phase in phases(window, filters):
        turned = np.concatenate([kernel[tap].T for tap in phase.taps])
        assert phase.window.target == window.image
        results = iter(patches(dy, phase.window) @ turned)
        for position in itertools.product(*map(range, phase.window.positions)):
            pixel = tuple(p * s + f for p, s, f in zip(position, phase.window.spacing, phase.window.first))
            dx[pixel] = next(results)
            seen[pixel] += 1
    assert seen.max() <= 1
    np.testing.assert_allclose(dx, wanted, rtol=0, atol=1e-13)


def test_a_window_without_overlap_is_a_reshape():
    """Where it says so, the patches are the image under another shape; where it does not, they are another matrix."""
    found = 0
    for image in itertools.product((1, 2, 4), repeat=3):
        x = np.arange(1.0, 1 + 2 * np.prod(image)).reshape(*image, 2)
        for taps in itertools.product((1, 2, 4), repeat=3):
            for strides in itertools.product((1, 2), repeat=3):
                if any(t > n for t, n in zip(taps, image)):
                    continue
                positions = tuple((n - t) // s + 1 for n, t, s in zip(image, taps, strides))
                window = Window(image, positions, taps, 2, strides)
                matrix = patches(x, window)
                same = matrix.size == x.size and np.array_equal(matrix.ravel(), x.ravel())
                assert window.is_reshape == same, window
                found += same
    assert found > 50
    assert not Window((1, 1, 4), (1, 1, 4), (1, 1, 1), 2, groups=2).is_reshape
    assert not Window((1, 1, 4), (1, 1, 4), (1, 1, 1), 2, before=(0, 0, 1)).is_reshape
