"""Folders of image files as a data set."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastnet import checks, random
from fastnet._kernels.errors import quoted
from fastnet.engine.threads import get_num_threads
from fastnet.utils.datasets import PyDataset
from fastnet.utils.image_resizing import INTERPOLATIONS, cropped, padded, resized
from fastnet.utils.images import MODES, channels_last, opened, pillow

FORMATS = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
_CALLER = "image_dataset_from_directory"
_ENDS = {".jpg": b"\xff\xd9", ".jpeg": b"\xff\xd9", ".png": b"IEND\xaeB`\x82"}  # of files of some formats


class _Reading(NamedTuple):
    """How a file becomes an array.

    Attributes:
        color_mode: one of `MODES`.
        size: height and width; None for those of the file.
        interpolation: one of `INTERPOLATIONS`.
        fit: `resized`, `cropped` or `padded`.
    """

    color_mode: str
    size: tuple[int, int] | None
    interpolation: str
    fit: Any

    def read(self, path: str) -> np.ndarray:
        """The image (height, width, channels), float32."""
        image = _opened(path)
        if image.mode.startswith("I"):  # of 16 bits, which Pillow would cut to 255
            image = pillow(_CALLER).fromarray((np.asarray(image).astype(int) >> 8).astype(np.uint8))
        mode = MODES[self.color_mode]
        array = np.asarray(image if image.mode == mode else image.convert(mode))
        array = array[:, :, None] if array.ndim == 2 else array
        if self.size is None or (array.shape[:2] == self.size and self.fit is not padded):
            return array.astype("f")
        return self.fit(array, *self.size, self.interpolation)


def _opened(path: str, whole: bool = True) -> Any:
    """`opened`, of a file in a folder.

    Raises:
        ValueError: the file is no image, damaged, or cannot be read.
    """
    try:
        return opened(path, whole)
    except (OSError, ValueError) as error:
        what = f"{path} cannot be read: {error.strerror}." if isinstance(error, OSError) else error
        raise ValueError(f"{_CALLER}: {what} Remove it, or give on_error='skip'.") from error


class ImageFolder(PyDataset):
    """Batches of the images of a folder; see `image_dataset_from_directory`.

    Attributes:
        class_names: the classes, in the order of their labels; None without labels.
        file_paths: the files, in their order before an epoch is shuffled.
    """

    def __init__(
        self, reading: _Reading, file_paths: Sequence[str], labels: np.ndarray | None, class_names: list[str] | None,
        batch_size: int | None, seed: int | None,
    ):  # fmt: skip
        workers = get_num_threads()
        super().__init__(workers=workers, max_queue_size=workers + 1)
        self.reading, self.file_paths, self.labels, self.class_names = reading, list(file_paths), labels, class_names
        self.batch_size, self.seed = batch_size, seed
        self._epochs = 0
        self._order = np.arange(len(self.file_paths))

    def __len__(self) -> int:
        return -(-len(self.file_paths) // (self.batch_size or 1))

    def __getitem__(self, index: int) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(f"There are {len(self)} batches; there is no batch {index}.")
        size = self.batch_size or 1
        chosen = self._order[index * size : (index + 1) * size]
        images = [self.reading.read(self.file_paths[i]) for i in chosen]
        x: Any = np.stack(images) if self.batch_size is not None else images[0]
        if self.labels is None:
            return x
        return x, self.labels[chosen] if self.batch_size is not None else self.labels[chosen[0]]

    def on_epoch_begin(self) -> None:
        """Draw another order of the images, which follows from the seed and the number of epochs so far."""
        if self.seed is not None:
            self._order = np.random.default_rng([self.seed, self._epochs]).permutation(len(self.file_paths))
            self._epochs += 1


def image_dataset_from_directory(
    directory: str | os.PathLike[str],
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    color_mode: str = "rgb",
    batch_size: int | None = 32,
    image_size: Any = (256, 256),
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    interpolation: str = "bilinear",
    follow_links: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    data_format: str | None = None,
    format: str = "tf",
    verbose: bool = True,
    on_error: str = "raise",
) -> Any:
    """Make a data set of the image files in a folder, which `fit`, `evaluate` and `predict` take.

    Each folder in ``directory`` is a class. Files (.jpg, .jpeg, .png, .bmp, .gif) are read with Pillow by as many
    threads as fastnet uses, ahead of the training.

    Args:
        directory: the folder.
        labels: "inferred" from the folders; None for images alone; or a list of integers, one for each file in the
            order of their paths.
        label_mode: "int": labels (batch,) for sparse cross-entropies; "binary": (batch, 1), 0 or 1; "categorical":
            (batch, classes), one-hot; None for images alone.
        class_names: the folders to read, in the order of their labels; by default all, in alphabetical order.
        color_mode: "rgb", "rgba" or "grayscale": 3, 4 or 1 channels.
        batch_size: images in a batch; None for single images without a batch axis.
        image_size: (height, width) that images are scaled to; None keeps their size, which must then be the same.
        shuffle: whether each pass has another order of the images. For `predict` give False: row k then is the image
            ``file_paths[k]``.
        seed: of the orders, and of what is held back for validation.
        validation_split: the share of the images that is held back for validation; ``subset`` then says what to return.
        subset: "training", "validation", or "both" for a list of the two.
        interpolation: "bilinear", "nearest", "bicubic", "area", "lanczos3", "lanczos5", "gaussian" or "mitchellcubic".
        follow_links: whether to follow links to folders.
        crop_to_aspect_ratio: whether to scale only the middle of an image, of the proportions of ``image_size``.
        pad_to_aspect_ratio: whether to scale the whole image to fit into ``image_size``, with zeros on two sides.
        data_format: None or "channels_last".
        format: accepted as in Keras, without effect.
        verbose: whether to print how many files were found.
        on_error: "skip" reads all files at once, and leaves those out that are damaged or cannot be read, with a
            warning. "raise" names the first file that is cut off, or cannot be read, at once, and one that is damaged
            in the middle when its batch is read.

    Returns:
        A `PyDataset` of (x, y), or of x without labels, with the attributes ``class_names`` and ``file_paths``; x is
        float32 (batch_size, height, width, channels).

    Raises:
        ImportError: Pillow is not installed.
        FileNotFoundError: there is no such folder.
        ValueError: there are no images, labels do not fit them, images without ``image_size`` have several sizes, a
            file is damaged or cannot be read, or an argument is out of its range.

    Example:
        >>> def train(model):
        ...     images = fastnet.utils.image_dataset_from_directory("photographs", image_size=(64, 64))
        ...     model.fit(images, epochs=5)
    """
    pillow(_CALLER)
    _check_choices(label_mode, subset, format, on_error, data_format)
    reading = _reading(color_mode, image_size, interpolation, crop_to_aspect_ratio, pad_to_aspect_ratio)
    batch_size = None if batch_size is None else checks.integer(f"{_CALLER}: batch_size", batch_size)
    share = _share_of(validation_split, subset, shuffle, seed)
    seed = random.next_seed() % 10**6 if seed is None else checks.integer(f"{_CALLER}: seed", seed, 0, 2**32 - 1)
    folder = Path(checks.path_name(f"{_CALLER}: directory", directory))
    given = None if label_mode is None else labels
    paths, numbers, names = _found(folder, given, class_names, follow_links, verbose)
    if on_error == "skip":
        paths, numbers = _without_damaged(paths, numbers)
    else:
        _check_ends(paths)
    if reading.size is None:
        _check_sizes(paths)
    encoded = _encoded(numbers, names, label_mode)
    if shuffle:
        paths, encoded = _shuffled(paths, encoded, seed)
    first = len(paths) - _held_back(len(paths), share)

    def part(start: int, end: int, of_seed: int | None) -> ImageFolder:
        chosen = None if encoded is None else encoded[start:end]
        return ImageFolder(reading, paths[start:end], chosen, names, batch_size, of_seed)

    of_seed = seed if shuffle else None
    parts = [part(0, first, of_seed), part(first, len(paths), None if subset == "both" else of_seed)]
    return parts if subset == "both" else parts[subset == "validation"]


def _check_choices(label_mode: Any, subset: Any, format: Any, on_error: Any, data_format: Any) -> None:
    checks.one_of(f"{_CALLER}: label_mode", label_mode, "int", "binary", "categorical", None)
    checks.one_of(f"{_CALLER}: subset", subset, "training", "validation", "both", None)
    checks.one_of(f"{_CALLER}: format", format, "tf", "grain")
    checks.one_of(f"{_CALLER}: on_error", on_error, "raise", "skip")
    channels_last(f"{_CALLER}: data_format", data_format)


def _reading(color_mode: Any, image_size: Any, interpolation: Any, crop: Any, pad: Any) -> _Reading:
    """How files are read, from arguments that are checked."""
    size = _size_of(image_size)
    return _Reading(
        checks.one_of(f"{_CALLER}: color_mode", color_mode, *MODES),
        size,
        checks.one_of(f"{_CALLER}: interpolation", interpolation, *INTERPOLATIONS),
        _fit_of(size, crop, pad),
    )


def _size_of(image_size: Any) -> tuple[int, int] | None:
    if image_size is None:
        return None
    given = (image_size, image_size) if checks.is_integer(image_size) else image_size
    sizes = list(given) if isinstance(given, (tuple, list, np.ndarray)) else []
    if len(sizes) != 2 or not all(checks.is_integer(size) and size > 0 for size in sizes):
        raise ValueError(
            f"{_CALLER}: image_size must be (height, width), two positive integers, or None; received "
            f"{quoted(image_size)}."
        )
    return int(sizes[0]), int(sizes[1])


def _fit_of(size: Any, crop: Any, pad: Any) -> Any:
    """How images are made to fit."""
    crop = checks.flag(f"{_CALLER}: crop_to_aspect_ratio", crop)
    pad = checks.flag(f"{_CALLER}: pad_to_aspect_ratio", pad)
    if crop + pad > (size is not None):
        raise ValueError(
            f"{_CALLER}: give crop_to_aspect_ratio or pad_to_aspect_ratio, not both, and an image_size with either."
        )
    return cropped if crop else padded if pad else resized


def _share_of(validation_split: Any, subset: Any, shuffle: bool, seed: Any) -> float:
    """The share that is held back."""
    share = 0.0 if validation_split is None else checks.number(f"{_CALLER}: validation_split", validation_split,
                                                               checks.UNIT)  # fmt: skip
    if bool(share) != (subset is not None):
        raise ValueError(f"{_CALLER}: validation_split and subset go together; give both, or neither.")
    if share and shuffle and seed is None and subset != "both":
        raise ValueError(
            f"{_CALLER}: give a seed with validation_split, so that both subsets are parts of one order, or "
            "shuffle=False, or subset='both'."
        )
    return share


def _found(
    directory: Path, labels: Any, class_names: Any, follow_links: bool, verbose: bool
) -> tuple[list[str], np.ndarray | None, list[str] | None]:
    """The files in order, their labels, and the names of the classes."""
    if not directory.is_dir():
        raise FileNotFoundError(f"{_CALLER}: there is no folder {str(directory)!r}.")
    if isinstance(labels, str) and labels == "inferred":
        folders = sorted(f.name for f in directory.iterdir() if f.is_dir() and not f.name.startswith("."))
        names = folders if class_names is None else list(class_names)
        if not set(names) <= set(folders) or len(set(names)) < len(names):
            raise ValueError(
                f"{_CALLER}: class_names must be folders in {directory}, each once: {', '.join(folders)}; received "
                f"{names}."
            )
        files = [_images(directory / name, follow_links) for name in names]
        paths = [path for each in files for path in each]
        numbers: np.ndarray | None = np.repeat(np.arange(len(names), dtype=np.int32), list(map(len, files)))
    else:
        if class_names is not None:
            raise ValueError(f"{_CALLER}: class_names are those of folders; they need labels='inferred'.")
        paths = _images(directory, follow_links)
        numbers = None if labels is None else _given(labels, paths, directory)
        names = None if numbers is None else [str(label) for label in np.unique(numbers)]  # type: ignore[assignment]
    if not paths:
        raise ValueError(f"{_CALLER}: there are no images in {directory} ({', '.join(FORMATS)}).")
    if verbose:
        classes = "" if names is None else f" belonging to {len(names)} classes"
        print(f"Found {len(paths)} files{classes}.")
    return paths, numbers, names


def _images(folder: Path, follow_links: bool) -> list[str]:
    """The image files of a folder and of those in it, in order."""
    walk = sorted(os.walk(folder, followlinks=follow_links))
    return [os.path.join(root, f) for root, _, files in walk for f in sorted(files) if f.lower().endswith(FORMATS)]


def _given(labels: Any, paths: list[str], directory: Path) -> np.ndarray:
    """Labels of the user's, one for each file."""
    items = list(labels) if isinstance(labels, (list, tuple, np.ndarray)) else ["?"]
    if not all(checks.is_integer(label) and 0 <= label < 2**31 for label in items):
        raise ValueError(
            f"{_CALLER}: labels must be 'inferred', None, or a list of integers from 0, received {quoted(labels)}."
        )
    if len(items) != len(paths):
        raise ValueError(f"{_CALLER}: there are {len(items)} labels for the {len(paths)} images in {directory}.")
    return np.array(items, np.int32)


def _encoded(numbers: np.ndarray | None, names: list[str] | None, label_mode: str | None) -> np.ndarray | None:
    """Labels as batches hold them."""
    if numbers is None or names is None or label_mode == "int":
        return numbers
    if label_mode == "binary" and len(names) != 2:
        raise ValueError(f"{_CALLER}: label_mode='binary' needs two classes; there are {len(names)}: {names}.")
    if numbers.max() >= len(names):
        raise ValueError(
            f"{_CALLER}: label_mode={label_mode!r} needs labels from 0 to {len(names) - 1}, the number of different "
            f"ones; received {numbers.max()}."
        )
    return numbers[:, None].astype("f") if label_mode == "binary" else np.eye(len(names), dtype="f")[numbers]


def _shuffled(paths: list[str], encoded: np.ndarray | None, seed: int) -> tuple[list[str], np.ndarray | None]:
    """Files and labels in the order of Keras's generator: the same files are held back."""
    order = np.arange(len(paths))
    np.random.RandomState(seed).shuffle(order)
    return [paths[i] for i in order], None if encoded is None else encoded[order]


def _held_back(images: int, share: float) -> int:
    """The number of images for validation.

    Raises:
        ValueError: one of the subsets would have none.
    """
    count = int(share * images)
    if share and not 0 < count < images:
        raise ValueError(
            f"{_CALLER}: validation_split={share} of {images} images leaves {images - count} to train on and {count} "
            "to validate on; both must be at least 1."
        )
    return count


def _for_each(paths: list[str], function: Callable[[str], Any]) -> list[Any]:
    """The results of a function of each path, in threads."""
    from concurrent.futures import ThreadPoolExecutor  # here: the import takes 4 ms

    with ThreadPoolExecutor(get_num_threads(), "fastnet-images") as pool:
        return list(pool.map(function, paths))


def _check_ends(paths: list[str]) -> None:
    """Read the files that do not end as their format does. Most damaged ones are cut off; a camera may also append to
    an image, which is then read in vain.

    Raises:
        ValueError: a file is damaged, or cannot be read.
    """

    def check(path: str) -> None:
        end = _ENDS.get(Path(path).suffix.lower(), b"")
        try:
            with open(path, "rb") as file:
                file.seek(-min(len(end), file.seek(0, 2)), 2)
                is_whole = file.read() == end
        except OSError:
            is_whole = False
        if not is_whole:
            _opened(path)

    _for_each(paths, check)


def _without_damaged(paths: list[str], numbers: np.ndarray | None) -> tuple[list[str], np.ndarray | None]:
    """The files that can be read, and their labels; a warning for the others."""

    def is_damaged(path: str) -> bool:
        try:
            _opened(path)
        except ValueError:
            return True
        return False

    damaged = _for_each(paths, is_damaged)
    bad = [path for path, is_bad in zip(paths, damaged, strict=True) if is_bad]
    if not bad:
        return paths, numbers
    if len(bad) == len(paths):
        raise ValueError(f"{_CALLER}: none of the {len(paths)} images can be read; the first is {bad[0]}.")
    checks.warn(f"{_CALLER}: {len(bad)} of {len(paths)} images cannot be read and are left out: {', '.join(bad[:5])}.")
    kept = [path for path, is_bad in zip(paths, damaged, strict=True) if not is_bad]
    return kept, None if numbers is None else numbers[~np.array(damaged)]


def _check_sizes(paths: list[str]) -> None:
    """Check that all images have one size; only the beginning of each file is read.

    Raises:
        ValueError: two have not.
    """
    first = None
    for path in paths:
        width, height = _opened(path, whole=False).size
        first = first or (height, width)
        if (height, width) != first:
            raise ValueError(
                f"{_CALLER}: images have different sizes: {paths[0]} is {first[0]}x{first[1]}, and {path} "
                f"{height}x{width} (height x width). Give image_size=(height, width) to scale them."
            )
