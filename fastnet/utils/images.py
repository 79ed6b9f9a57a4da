"""Image files and arrays, with Pillow."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnet import checks, config
from fastnet._kernels.errors import quoted
from fastnet.saving.archive import named_errors

if TYPE_CHECKING:
    from PIL.Image import Image

MODES = {"grayscale": "L", "rgb": "RGB", "rgba": "RGBA"}
_FILTERS = ("nearest", "bilinear", "bicubic", "hamming", "box", "lanczos")


def pillow(caller: str) -> Any:
    """Pillow's module ``Image``.

    Raises:
        ImportError: Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError:
        raise ImportError(f'{caller} reads and writes images with Pillow: pip install "fastnet[images]".') from None
    return Image


def channels_last(what: str, value: Any) -> None:
    """Check the argument ``data_format`` of a function of one image: None or "channels_last".

    Raises:
        ValueError: it has another value.
    """
    checks.channels_last(what, value, "np.moveaxis(x, 0, -1) puts those of an image there.")


def load_img(
    path: Any,
    color_mode: str = "rgb",
    target_size: tuple[int, int] | None = None,
    interpolation: str = "nearest",
    keep_aspect_ratio: bool = False,
) -> Image:
    """Load an image file as an image of Pillow.

    Args:
        path: the file, or an ``io.BytesIO`` of its contents.
        color_mode: "rgb", "rgba" or "grayscale".
        target_size: (height, width) to scale it to.
        interpolation: Pillow's filter for that: "nearest", "bilinear", "bicubic", "hamming", "box" or "lanczos".
        keep_aspect_ratio: whether only the middle of the image, of the proportions of ``target_size``, is scaled.

    Raises:
        ImportError: Pillow is not installed.
        FileNotFoundError: there is no such file.
        ValueError: the file is no image or damaged, or an argument is unknown.

    Example:
        >>> import io
        >>> file = io.BytesIO()
        >>> fastnet.utils.save_img(file, np.zeros((4, 6, 3)), file_format="png")
        >>> fastnet.utils.load_img(file, target_size=(2, 3)).size
        (3, 2)
    """
    image_module = pillow("load_img")
    checks.one_of("load_img: color_mode", color_mode, *MODES)
    checks.one_of("load_img: interpolation", interpolation, *_FILTERS)
    image = opened(path if isinstance(path, io.BytesIO) else checks.path_name("load_img: path", path))
    if image.mode != MODES[color_mode] and not (color_mode == "grayscale" and image.mode.startswith("I")):
        image = image.convert(MODES[color_mode])
    if target_size is None:
        return image
    height, width = checks.sample_shape("load_img: target_size", target_size)
    if image.size == (width, height):
        return image
    box = None
    if keep_aspect_ratio:
        top, left, rows, columns = middle(image.height, image.width, height, width)
        box = (left, top, left + columns, top + rows)
    return image.resize((width, height), getattr(image_module.Resampling, interpolation.upper()), box)


def opened(file: io.BytesIO | str, whole: bool = True) -> Image:
    """An image file, read to its end.

    Args:
        file: its path, or its contents.
        whole: whether the pixels are read; otherwise the size is known.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no image, or damaged.
    """
    image_module = pillow("fastnet.utils")
    # Read here: Pillow leaves a file open that is damaged.
    contents, name = (file, "the file") if isinstance(file, io.BytesIO) else (io.BytesIO(Path(file).read_bytes()), file)
    try:
        image = image_module.open(contents)
        if whole:
            image.load()
    except image_module.UnidentifiedImageError:  # Pillow names an object in memory
        raise ValueError(f"{name} is no image, or damaged: its format is unknown.") from None
    except (OSError, SyntaxError, ValueError, EOFError, image_module.DecompressionBombError) as error:
        raise ValueError(f"{name} is no image, or damaged: {str(error).strip('.')}.") from error
    return image


def middle(height: int, width: int, of_height: int, of_width: int) -> tuple[int, int, int, int]:
    """The first row and column, the height and the width of the largest rectangle of some proportions in the middle."""
    rows = max(1, min(height, width * of_height // of_width))
    columns = max(1, min(width, height * of_width // of_height))
    return (height - rows) // 2, (width - columns) // 2, rows, columns


def img_to_array(img: Any, data_format: str | None = None, dtype: Any = None) -> np.ndarray:
    """An image of Pillow as an array (height, width, channels).

    Args:
        img: the image, or an array (height, width) or (height, width, channels).
        data_format: None or "channels_last".
        dtype: of the result; by default `fastnet.config.floatx()`.

    Raises:
        ValueError: it has another number of axes.

    Example:
        >>> fastnet.utils.img_to_array(np.zeros((4, 6))).shape
        (4, 6, 1)
    """
    channels_last("img_to_array: data_format", data_format)
    array = np.asarray(img, dtype or config.floatx())
    if array.ndim not in (2, 3):
        raise ValueError(f"img_to_array takes (height, width) or (height, width, channels), received {array.shape}.")
    return array if array.ndim == 3 else array[:, :, None]


def array_to_img(x: Any, data_format: str | None = None, scale: bool = True, dtype: Any = None) -> Image:
    """An array (height, width, channels) as an image of Pillow.

    Args:
        x: of 1, 3 or 4 channels.
        data_format: None or "channels_last".
        scale: whether the smallest number becomes 0 and the largest 255; otherwise fractions are cut off.
        dtype: in which it is scaled; by default `fastnet.config.floatx()`.

    Raises:
        ImportError: Pillow is not installed.
        ValueError: it has another shape.

    Example:
        >>> fastnet.utils.array_to_img(np.zeros((4, 6, 3))).mode
        'RGB'
    """
    image_module = pillow("array_to_img")
    channels_last("array_to_img: data_format", data_format)
    array = np.asarray(x, dtype or config.floatx())
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        raise ValueError(
            f"array_to_img takes one image (height, width, channels) of 1, 3 or 4 channels, received {array.shape}."
        )
    if scale:
        array = array - array.min()
        largest = array.max()
        array = array / (largest if largest != 0 else 1) * 255
    if array.shape[2] > 1:
        return image_module.fromarray(array.astype("uint8"))
    return image_module.fromarray(array[:, :, 0].astype("int32" if array.max() > 255 else "uint8"))


def save_img(
    path: Any, x: Any, data_format: str | None = None, file_format: str | None = None, scale: bool = True, **more: Any
) -> None:
    """Save an array (height, width, channels) as an image file.

    Args:
        path: the file, or a file object that is open.
        x: of 1, 3 or 4 channels.
        data_format: None or "channels_last".
        file_format: "png", "jpeg" ...; by default that of the file's name.
        scale: see `array_to_img`.
        **more: passed to ``PIL.Image.save``.

    Raises:
        ImportError: Pillow is not installed.
        ValueError: the array has another shape, or the format is unknown.

    Example:
        >>> import io
        >>> file = io.BytesIO()
        >>> fastnet.utils.save_img(file, np.zeros((4, 6, 3)), file_format="png")
    """
    if file_format is None and isinstance(path, (str, os.PathLike)):
        file_format = Path(path).suffix[1:].lower() or None
    file_format = "jpeg" if file_format is not None and file_format.lower() == "jpg" else file_format
    image = array_to_img(x, data_format, scale)
    if image.mode == "RGBA" and file_format == "jpeg":
        checks.warn(f"save_img: JPEG files have no transparency: {quoted(path)} is saved without it.")
        image = image.convert("RGB")
    with named_errors(path):
        image.save(path, format=file_format, **more)
