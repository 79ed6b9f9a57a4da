"""Image files: scaling, orders, labels and arrays are Keras's."""

import numpy as np
import pytest

import fastnet
from fastnet.utils.image_resizing import cropped, resized

keras = pytest.importorskip("keras")


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"])
@pytest.mark.parametrize("size", [(5, 7), (20, 11), (13, 9), (1, 1)], ids=str)
def test_scaling(size, interpolation):
    x = np.random.default_rng(0).integers(0, 256, (13, 9, 3), "uint8")
    for ours, more in ((resized, {}), (cropped, {"crop_to_aspect_ratio": True})):
        theirs = np.asarray(keras.ops.image.resize(x.astype("f"), size, interpolation, **more))
        np.testing.assert_allclose(ours(x, *size, interpolation), theirs, rtol=1e-3, atol=2e-2)


def test_orders_and_labels(tmp_path):
    """The files, their order by a seed, their labels, and which are held back."""
    from keras.src.utils import dataset_utils

    for name in ("b", "a/deep", "c"):
        (tmp_path / name).mkdir(parents=True)
        for k in range(7):
            fastnet.utils.save_img(tmp_path / name / f"{k}.png", np.zeros((1, 1, 1)))
    formats = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
    for shuffle in (False, True):
        paths, labels, names = dataset_utils.index_directory(
            str(tmp_path), "inferred", formats, shuffle=shuffle, seed=5, verbose=False
        )
        for subset in ("training", "validation"):
            kept, of_kept = dataset_utils.get_training_or_validation_split(paths, labels, 0.25, subset)
            ours = fastnet.utils.image_dataset_from_directory(
                tmp_path,
                image_size=(1, 1),
                shuffle=shuffle,
                seed=5,
                validation_split=0.25,
                subset=subset,
                verbose=False,
            )
            assert ours.class_names == names
            assert ours.file_paths == kept
            assert ours.labels.tolist() == list(of_kept)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("scale", [True, False])
def test_arrays_and_files(tmp_path, channels, scale):
    x = np.random.default_rng(0).uniform(-50, 200, (9, 7, channels)) * (scale * 3 + 1) + 50
    one, other = (lib.utils.array_to_img(x, scale=scale) for lib in (fastnet, keras))
    assert one.mode == other.mode
    np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
    fastnet.utils.save_img(tmp_path / "x.png", x, scale=scale)
    for mode in ("rgb", "rgba", "grayscale"):
        for options in ({}, {"target_size": (4, 4), "interpolation": "bilinear", "keep_aspect_ratio": True}):
            one, other = (lib.utils.load_img(tmp_path / "x.png", mode, **options) for lib in (fastnet, keras))
            np.testing.assert_array_equal(fastnet.utils.img_to_array(one), keras.utils.img_to_array(other))
