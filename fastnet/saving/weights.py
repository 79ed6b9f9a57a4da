"""Weights in one safe file: a zip of plain arrays (numpy's .npz, read without pickle) and a description in JSON."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any

import numpy as np

from fastnet.layers.base import assign_all

_FORMAT = "fastnet weights 1"


class WeightsFileError(ValueError):
    """A file that holds no weights, or other ones than the model's."""


def save_weights(model: Any, filepath: Any, overwrite: bool = True) -> None:
    """Write a model's weights to a file, whole or not at all.

    Args:
        model: a built `Sequential`.
        filepath: where to; the name is taken as it is.
        overwrite: whether a file that is there may be replaced.

    Raises:
        ValueError: the model has no weights yet.
        FileExistsError: the file is there and ``overwrite`` is False.
    """
    path = Path(filepath)
    if not model.built:
        raise ValueError(f"The model {model.name!r} has no weights yet: build it, or give it an Input layer, first.")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists already; give another name, or overwrite=True.")
    names = [f"{layer.name}/{v.name}" for layer in model.layers for v in layer.weights]
    arrays = {f"{i:04d}": v.array for i, v in enumerate(v for layer in model.layers for v in layer.weights)}
    about = np.frombuffer(json.dumps({"format": _FORMAT, "names": names}).encode(), np.uint8)
    # Not tempfile: its files can be read by their owner alone, and so could the weights.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with open(temporary, "xb") as file:
            np.savez(file, about=about, **arrays)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def load_weights(model: Any, filepath: Any) -> None:
    """Set a model's weights from a file of `save_weights`; the layers are matched in order.

    Raises:
        WeightsFileError: the file is damaged, is no such file, or fits another model; nothing has changed then.
        FileNotFoundError: there is no such file.
    """
    path = Path(filepath)
    names, arrays = _read(path)
    if not model.built:
        raise WeightsFileError(f"The model {model.name!r} is not built yet: build it, then load {path}.")
    variables = [v for layer in model.layers for v in layer.weights]
    shapes = [v.shape for v in variables]
    if [a.shape for a in arrays] != shapes:
        held = ", ".join(f"{n} {a.shape}" for n, a in zip(names, arrays, strict=True))
        wanted = ", ".join(f"{v.name} {v.shape}" for v in variables)
        raise WeightsFileError(f"{path} holds the weights of another model: {held}. This model has: {wanted}.")
    assign_all(variables, arrays, f"model {model.name!r}")


def _read(path: Path) -> tuple[list[str], list[np.ndarray]]:
    try:
        # Opened here: of a damaged zip numpy leaves its own handle open.
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            about = json.loads(bytes(file["about"]).decode())
            if about.get("format") != _FORMAT:
                raise WeightsFileError(f"{path} has the format {about.get('format')!r}, not {_FORMAT!r}.")
            arrays = [file[f"{i:04d}"] for i in range(len(about["names"]))]
            if any(a.dtype.kind != "f" for a in arrays):
                raise WeightsFileError(f"{path} holds arrays that are no weights.")
            return about["names"], arrays
    except (WeightsFileError, FileNotFoundError):
        raise
    except Exception as error:  # damaged bytes make zipfile, its decompressors and numpy raise a dozen kinds
        raise WeightsFileError(f"{path} is no file of fastnet weights, or it is damaged: {error}.") from error
