"""Image files: to arrays and back, folders as data sets, and files that are damaged."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest

import fastnet
from fastnet import layers, utils
from fastnet.utils.image_resizing import cropped, padded, resized

Image = pytest.importorskip("PIL.Image")


def picture(seed, height=6, width=8, channels=3):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


def save(path, array):
    Image.fromarray(array if array.shape[2] > 1 else array[:, :, 0]).save(path)


@pytest.fixture
def folder(tmp_path):
    """Two classes, cats of 5 and dogs of 3 images, of which one lies deeper; a text; a hidden folder."""
    (tmp_path / "dogs" / "old").mkdir(parents=True)
    (tmp_path / "cats").mkdir()
    (tmp_path / ".cache").mkdir()
    for k in range(5):
        save(tmp_path / "cats" / f"{k}.png", picture(k))
    save(tmp_path / "dogs" / "0.png", picture(10))
    save(tmp_path / "dogs" / "1.PNG", picture(11))
    save(tmp_path / "dogs" / "old" / "2.bmp", picture(12))
    save(tmp_path / ".cache" / "0.png", picture(13))
    (tmp_path / "cats" / "notes.txt").write_text("none")
    return tmp_path


SEEDS = [0, 1, 2, 3, 4, 10, 11, 12]  # of the pictures in order


def read(folder, **more):
    arguments = {"image_size": (6, 8), "shuffle": False, "verbose": False} | more
    return utils.image_dataset_from_directory(folder, **arguments)


# ---- one image


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_saved_and_loaded(tmp_path, channels):
    x = picture(0, channels=channels)
    mode = {1: "grayscale", 3: "rgb", 4: "rgba"}[channels]
    for path in (tmp_path / "x.png", str(tmp_path / "y.png")):
        utils.save_img(path, x, scale=False)
        found = utils.img_to_array(utils.load_img(path, mode))
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, x)
    file = io.BytesIO()
    utils.save_img(file, x.astype(float), file_format="png", scale=False)
    np.testing.assert_array_equal(utils.img_to_array(utils.load_img(file, mode), dtype="uint8"), x)


def test_arrays_are_scaled_to_all_values():
    x = np.array([-1.0, 0.0, 3.0]).reshape(1, 3, 1)
    assert np.asarray(utils.array_to_img(x)).tolist() == [[0, 63, 255]]
    assert np.asarray(utils.array_to_img(np.zeros((1, 2, 3)))).tolist() == [[[0] * 3] * 2]
    assert np.asarray(utils.array_to_img(np.full((1, 1, 1), 300.0), scale=False)).tolist() == [[300]]


def test_loaded_with_another_size(tmp_path):
    save(tmp_path / "x.png", picture(0, 6, 8))
    image = utils.load_img(tmp_path / "x.png", target_size=(3, 3), keep_aspect_ratio=True, interpolation="box")
    middle = picture(0, 6, 8)[:, 1:7].reshape(3, 2, 3, 2, 3).mean((1, 3))
    np.testing.assert_allclose(utils.img_to_array(image), middle, atol=1.01)  # rounded to bytes for each axis
    assert utils.load_img(tmp_path / "x.png", target_size=(2, 5)).size == (5, 2)
    assert utils.load_img(tmp_path / "x.png", "grayscale").mode == "L"


def test_jpeg_has_no_transparency(tmp_path):
    with pytest.warns(UserWarning, match="JPEG files have no transparency"):
        utils.save_img(tmp_path / "x.jpg", picture(0, channels=4))
    assert utils.load_img(tmp_path / "x.jpg").size == (8, 6)


@pytest.mark.parametrize(("call", "message"), [
    (lambda p: utils.load_img(p / "x.png", "cmyk"), "color_mode must be 'grayscale', 'rgb' or 'rgba'"),
    (lambda p: utils.load_img(p / "x.png", interpolation="cubic"), "interpolation must be"),
    (lambda p: utils.load_img(p / "x.png", target_size=(0, 3)), "target_size must be"),
    (lambda p: utils.load_img(p / "text.png"), r"text.png is no image, or damaged: its format is unknown"),
    (lambda p: utils.array_to_img(np.zeros((2, 3))), r"takes one image .* received \(2, 3\)"),
    (lambda p: utils.array_to_img(np.zeros((2, 3, 2))), r"1, 3 or 4 channels, received \(2, 3, 2\)"),
    (lambda p: utils.array_to_img(np.zeros((3, 2, 2)), "channels_first"), r"np.moveaxis\(x, 0, -1\)"),
    (lambda p: utils.img_to_array(np.zeros((1, 2, 3, 1))), "img_to_array takes"),
])  # fmt: skip
def test_bad_arguments_of_images_are_explained(tmp_path, call, message):
    save(tmp_path / "x.png", picture(0))
    (tmp_path / "text.png").write_text("text")
    with pytest.raises(ValueError, match=message):
        call(tmp_path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no device that is full")
@pytest.mark.parametrize("write", [
    lambda path: utils.save_img(path, np.zeros((4, 4, 3)), file_format="png"),
    lambda path: utils.plot_model(fastnet.Sequential([layers.Input((3,)), layers.Dense(1)]), to_file=path),
])  # fmt: skip
def test_a_full_disk_names_the_file(write, tmp_path):
    path = tmp_path / "picture.png"
    path.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device.*picture.png"):
        write(str(path))


def test_without_pillow(monkeypatch, folder):
    monkeypatch.setitem(sys.modules, "PIL", None)
    for call in (
        lambda: utils.load_img("x.png"),
        lambda: utils.array_to_img(np.zeros((2, 2, 3))),
        lambda: utils.save_img("x.png", np.zeros((2, 2, 3))),
        lambda: read(folder),
    ):
        with pytest.raises(ImportError, match=r'with Pillow: pip install "fastnet\[images\]"\.$'):
            call()


# ---- scaling


@pytest.mark.parametrize("size", [(6, 8), (3, 4), (12, 16), (5, 11), (1, 1)], ids=str)
def test_bilinear_scaling(size):
    """Pixels are squares, and values linear between their centres."""
    x = picture(1)
    place = [np.clip((np.arange(s) + 0.5) * n / s - 0.5, 0, n - 1) for s, n in zip(size, (6, 8), strict=True)]
    rows = np.array([[np.interp(place[0], range(6), x[:, j, c]) for c in range(3)] for j in range(8)])
    expected = np.array([[np.interp(place[1], range(8), rows[:, c, i]) for c in range(3)] for i in range(size[0])])
    np.testing.assert_allclose(resized(x, *size, "bilinear"), expected.transpose(0, 2, 1), atol=1e-3)


def test_area_is_a_mean():
    x = picture(2)
    np.testing.assert_allclose(resized(x, 3, 4, "area"), x.reshape(3, 2, 4, 2, 3).mean((1, 3)), rtol=1e-6)
    np.testing.assert_allclose(resized(x, 4, 8, "area").mean((0, 1)), x.mean((0, 1)), rtol=1e-5)  # 1.5 rows each


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "mitchellcubic", "lanczos3", "lanczos5", "gaussian"])
def test_a_constant_stays_one(interpolation):
    x = np.full((5, 7, 1), 100, np.uint8)
    np.testing.assert_allclose(resized(x, 9, 3, interpolation), 100, rtol=1e-5)


def test_proportions_are_kept():
    x = picture(3, 4, 8)
    np.testing.assert_array_equal(cropped(x, 4, 4, "bilinear"), x[:, 2:6])
    result = padded(x, 8, 8, "nearest")
    assert not result[:2].any() and not result[6:].any()
    np.testing.assert_array_equal(result[2:6], x)
    np.testing.assert_array_equal(padded(x, 4, 4, "nearest")[1:3], x[1::2, 1::2])


# ---- folders


def test_a_folder_is_read_in_order(folder):
    images = read(folder, batch_size=3)
    assert images.class_names == ["cats", "dogs"] and len(images) == 3
    assert [p.rsplit("/", 1)[-1] for p in images.file_paths[-3:]] == ["0.png", "1.PNG", "2.bmp"]
    batches = list(images)
    assert [len(x) for x, _ in batches] == [3, 3, 2]
    x, y = (np.concatenate(parts) for parts in zip(*batches))
    assert x.dtype == np.float32 and y.dtype == np.int32
    np.testing.assert_array_equal(x, [picture(seed) for seed in SEEDS])
    assert y.tolist() == [0] * 5 + [1] * 3


def test_labels_in_all_forms(folder):
    def labels(**more):
        return np.concatenate([y for _, y in read(folder, **more)])

    assert labels(label_mode="binary").tolist() == [[0.0]] * 5 + [[1.0]] * 3
    np.testing.assert_array_equal(labels(label_mode="categorical"), np.eye(2)[[0] * 5 + [1] * 3])
    assert labels(class_names=["dogs", "cats"]).tolist() == [0] * 3 + [1] * 5
    assert labels(class_names=["dogs"]).tolist() == [0] * 3
    given = [4, 0, 4, 0, 4, 0, 4, 0, 0]  # the hidden folder is read too, and first, as in Keras
    images = read(folder, labels=given)
    assert images.class_names == ["0", "4"]
    assert np.concatenate([y for _, y in images]).tolist() == given
    for none in ({"labels": None}, {"label_mode": None}):
        images = read(folder, **none)
        assert images[0].shape == (9, 6, 8, 3) and images.class_names is None


def test_single_images(folder):
    x, y = read(folder, batch_size=None)[5]
    np.testing.assert_array_equal(x, picture(10))
    assert y == 1
    with pytest.raises(IndexError, match="There are 8 batches; there is no batch 8"):
        read(folder, batch_size=None)[8]


def test_colours_and_sizes(folder):
    assert read(folder, color_mode="grayscale")[0][0].shape == (8, 6, 8, 1)
    x = read(folder, color_mode="rgba", image_size=None)[0][0]
    assert x.shape == (8, 6, 8, 4) and (x[..., 3] == 255).all()
    assert read(folder, image_size=5)[0][0].shape == (8, 5, 5, 3)
    x = read(folder, image_size=(6, 6), crop_to_aspect_ratio=True)[0][0]
    np.testing.assert_array_equal(x[0], picture(0)[:, 1:7])
    x = read(folder, image_size=(8, 8), pad_to_aspect_ratio=True)[0][0]
    np.testing.assert_array_equal(x[0, 1:7], picture(0))


def test_files_of_16_bits_and_of_palettes(tmp_path):
    grey = np.array([[0, 255, 256, 65535]], np.uint16)
    Image.fromarray(grey).save(tmp_path / "a.png")
    Image.fromarray(picture(0, 1, 4, 1)[:, :, 0]).convert("P").save(tmp_path / "b.gif")
    x = read(tmp_path, labels=None, image_size=None)[0]
    np.testing.assert_array_equal(x[0], (grey >> 8)[:, :, None].repeat(3, 2))
    np.testing.assert_array_equal(x[1], picture(0, 1, 4, 1).repeat(3, 2))


def test_the_order_is_another_in_each_epoch(folder):
    def epochs(**more):
        images, found = read(folder, shuffle=True, **more), []
        for _ in range(3):
            images.on_epoch_begin()
            x, y = images[0]
            order = [next(k for k, seed in enumerate(SEEDS) if np.array_equal(one, picture(seed))) for one in x]
            assert sorted(order) == list(range(8)) and y.tolist() == [int(k >= 5) for k in order]
            found.append(order)
        return found

    assert epochs(seed=1) == epochs(seed=1) != epochs(seed=2)
    first, second, third = epochs(seed=1)
    assert first != second and second != third


def test_a_part_is_held_back(folder):
    for shuffle in (False, True):
        parts = read(folder, validation_split=0.3, subset="both", seed=1, shuffle=shuffle)
        assert [len(part.file_paths) for part in parts] == [6, 2]
        assert sorted(p for part in parts for p in part.file_paths) == sorted(read(folder).file_paths)
        for part, subset in zip(parts, ("training", "validation"), strict=True):
            alone = read(folder, validation_split=0.3, subset=subset, seed=1, shuffle=shuffle)
            assert alone.file_paths == part.file_paths


def test_a_model_trains_on_a_folder(folder):
    images = read(folder, batch_size=3, shuffle=True, seed=0)
    model = fastnet.Sequential([layers.Input((6, 8, 3)), layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(2)])
    model.compile("sgd", fastnet.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    history = model.fit(images, epochs=2, verbose=0, validation_data=read(folder))
    assert set(history.history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert model.predict(read(folder), verbose=0).shape == (8, 2)


def test_what_is_found_is_printed(folder, capsys):
    read(folder, verbose=True)
    read(folder, verbose=True, labels=None)
    assert capsys.readouterr().out == "Found 8 files belonging to 2 classes.\nFound 9 files.\n"


def cut(path):
    """Leave half of a file."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def test_damaged_files_are_named_or_skipped(folder):
    Image.fromarray(np.tile(picture(5), (20, 20, 1))).save(folder / "cats" / "2.jpg")
    cut(folder / "cats" / "2.jpg")
    (folder / "dogs" / "1.PNG").write_bytes(b"")
    with pytest.raises(ValueError, match=r"cats.2\.jpg is no image, or damaged: .*truncated.* give on_error='skip'"):
        read(folder)
    damaged = (folder / "cats" / "2.jpg").rename(folder / "2.txt")
    with pytest.raises(ValueError, match=r"dogs.1\.PNG is no image, or damaged: its format is unknown\. Remove it"):
        read(folder)
    damaged.rename(folder / "cats" / "2.jpg")
    with pytest.warns(UserWarning, match=r"2 of 9 images cannot be read and are left out: .*2\.jpg, .*1\.PNG\."):
        images = read(folder, on_error="skip", batch_size=4)
    x, y = (np.concatenate(parts) for parts in zip(*images))
    np.testing.assert_array_equal(x, [picture(seed) for seed in SEEDS if seed != 11])
    assert y.tolist() == [0] * 5 + [1] * 2
    for path in [*(folder / "cats").iterdir(), folder / "dogs" / "0.png", folder / "dogs" / "old" / "2.bmp"]:
        path.write_bytes(b"text")
    with pytest.raises(ValueError, match="none of the 9 images can be read"):
        read(folder, on_error="skip")


def test_files_that_go_on_behind_the_image(folder):
    """Or that are damaged in the middle, which is seen when they are read."""
    path = folder / "cats" / "2.png"
    whole = path.read_bytes()
    path.write_bytes(whole + b"by a camera")
    x = np.concatenate([x for x, _ in read(folder)])
    np.testing.assert_array_equal(x, [picture(seed) for seed in SEEDS])
    path.write_bytes(whole[:41] + b"damaged" + whole[48:])
    images = read(folder, batch_size=None)
    with pytest.raises(ValueError, match=r"cats.2\.png is no image, or damaged"):
        list(images)


def test_files_that_cannot_be_read_are_named_or_skipped(folder):
    """A link to nothing, as far as the system has links; a file that is deleted after the folder was read."""
    images = read(folder, batch_size=None)
    (folder / "cats" / "2.png").unlink()
    told = r"cats.2\.png cannot be read: No such file or directory\. Remove it, or give on_error='skip'"
    with pytest.raises(ValueError, match=told):
        for _ in images:
            pass
    try:
        (folder / "cats" / "2.png").symlink_to("nowhere.jpg")
    except OSError:
        return
    with pytest.raises(ValueError, match=told):
        read(folder, image_size=None)
    with pytest.warns(UserWarning, match=r"1 of 8 images .* left out: .*2\.png\."):
        images = read(folder, on_error="skip", batch_size=None)
    assert len(images.file_paths) == len(list(images)) == 7


@pytest.mark.parametrize(("arguments", "message"), [
    ({"label_mode": "float"}, "label_mode must be 'int', 'binary', 'categorical' or None"),
    ({"color_mode": "cmyk"}, "color_mode"),
    ({"interpolation": "cubic"}, "interpolation must be"),
    ({"image_size": (3, 4, 5)}, r"image_size must be \(height, width\)"),
    ({"image_size": (3, 0)}, r"image_size must be .*, two positive integers, or None; received \(3, 0\)"),
    ({"image_size": "3"}, r"image_size must be \(height, width\)"),
    ({"batch_size": 0}, "batch_size"),
    ({"data_format": "channels_first"}, "moveaxis"),
    ({"subset": "training"}, "validation_split and subset go together"),
    ({"validation_split": 0.5}, "validation_split and subset go together"),
    ({"validation_split": 1.5, "subset": "both"}, "validation_split must be a number"),
    ({"validation_split": 0.01, "subset": "both"}, "leaves 8 to train on and 0 to validate on"),
    ({"validation_split": 0.5, "subset": "training", "shuffle": True}, "give a seed with validation_split"),
    ({"crop_to_aspect_ratio": True, "pad_to_aspect_ratio": True}, "not both"),
    ({"crop_to_aspect_ratio": True, "image_size": None}, "an image_size with either"),
    ({"labels": [0, 1]}, "there are 2 labels for the 9 images"),
    ({"labels": ["a", "b"]}, "labels must be 'inferred', None, or a list of integers"),
    ({"labels": "cats"}, "labels must be 'inferred'"),
    ({"labels": [0] * 8 + [3], "label_mode": "categorical"}, "needs labels from 0 to 1, .* received 3"),
    ({"labels": [0, 1, 2] * 3, "label_mode": "binary"}, "needs two classes; there are 3"),
    ({"class_names": ["cats", "birds"]}, r"class_names must be folders in .*: cats, dogs; received"),
    ({"class_names": ["cats", "cats"]}, "each once: cats, dogs; received"),
    ({"class_names": ["cats"], "labels": None}, "they need labels='inferred'"),
    ({"on_error": "ignore"}, "on_error must be 'raise' or 'skip'"),
])  # fmt: skip
def test_bad_arguments_of_folders_are_explained(folder, arguments, message):
    with pytest.raises(ValueError, match=message):
        read(folder, **arguments)


def test_folders_without_images_or_with_several_sizes(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        read(tmp_path / "none")
    (tmp_path / "empty" / "a").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"there are no images in .*empty \(\.bmp"):
        read(tmp_path / "empty")
    save(folder / "dogs" / "3.png", picture(0, 5, 8))
    with pytest.raises(
        ValueError, match=r"different sizes: .*cats.0\.png is 6x8, and .*dogs.3\.png 5x8 .*Give image_size"
    ):
        read(folder, image_size=None, class_names=["cats", "dogs"])


def test_images_of_several_sizes_in_a_list():
    model = fastnet.Sequential([layers.Flatten(), layers.Dense(1)])
    model.compile("sgd", "mse")
    images = [picture(0), picture(1), picture(2, 5, 8)]
    with pytest.raises(ValueError, match=r"x\[0\] has the shape \(6, 8, 3\), and x\[2\] \(5, 8, 3\)"):
        model.fit(images, np.zeros(3), verbose=0)
