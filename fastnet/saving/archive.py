"""The one file format: a zip of plain arrays (numpy's .npz, read without pickle) and a description in JSON.

A file holds a tree of dictionaries, lists, strings, numbers and arrays. The member ``about`` is that tree in JSON, with
the index of a member in place of each array: member 0000 is the first array. The zip keeps a checksum of every member.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from fastnet import checks
from fastnet._kernels.errors import cut, quoted
from fastnet._kernels.registry import nearest

FORMAT, VERSION = "fastnet", 1
_ARRAY = "__array__"
_PARTIAL, _STALE = ".fastnet-part", 3600  # the suffix of a file that is being written; seconds until it is a leftover
#: The first bytes of other formats, and what an error says of them.
_FOREIGN = {
    b"\x89HDF": "it is an HDF5 file, as Keras writes them: load it with Keras, and give get_weights() to set_weights",
    b"\x80": "it is a pickle, which fastnet never reads, since it may contain code",
    b"\x93NUMPY": "it is one numpy array",
}


class SavedFileError(ValueError):
    """A file is damaged, was not written by fastnet, or does not fit the model it is loaded into."""


class Packed:
    """A tree that is ready to be written: later changes of the tree do not change the file.

    Args:
        kind: "weights", "model" or "checkpoint".
        tree: dictionaries, lists, strings, numbers and arrays.
        copy: whether to copy the arrays, which is necessary where they change before `write` has ended.

    Raises:
        TypeError: the tree holds something that a file cannot.
    """

    def __init__(self, kind: str, tree: dict[str, Any], copy: bool = False):
        self.arrays: list[np.ndarray] = []
        self._copy = copy
        about = {"format": FORMAT, "version": VERSION, "kind": kind, "content": self._pack(tree)}
        self.about = np.frombuffer(json.dumps(about).encode(), np.uint8)

    def _pack(self, item: Any) -> Any:
        if isinstance(item, np.ndarray):
            if item.dtype.kind not in "fiub":
                raise TypeError(f"An array of {item.dtype} cannot be saved; only numbers can.")
            self.arrays.append(item.copy() if self._copy else item)
            return {_ARRAY: len(self.arrays) - 1}
        if isinstance(item, dict):
            return {str(key): self._pack(value) for key, value in item.items()}
        if isinstance(item, (list, tuple)):
            return [self._pack(value) for value in item]
        if isinstance(item, np.generic):
            return item.item()
        if item is None or isinstance(item, (bool, int, float, str)):
            return item
        raise TypeError(f"{quoted(item)} ({type(item).__name__}) cannot be saved; numbers, strings and arrays can.")

    def write(self, path: Path) -> None:
        """Write a temporary file beside ``path``, wait for the disk, then rename it: readers see a whole file or none.

        Raises:
            OSError: the file cannot be written, or ``path`` is a device or a pipe; the error names ``path``, not the
                temporary file.
        """
        path = path.resolve()  # a symbolic link stays a link
        if path.is_dir():
            raise IsADirectoryError(f"{path} is a folder: give the name of a file in it.")
        _check_folder(path)
        there = path.exists()
        if there and not path.is_file():
            raise OSError(errno.EINVAL, "a device or a pipe, which would be replaced by a file", str(path))
        if there and not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, "the file may not be written", str(path))
        # Not by tempfile, which makes files that their owner alone can read.
        # The name is cut, since it may already be as long as the file system allows.
        _remove_stale(path.parent)
        temporary = path.with_name(f".{path.name[:50]}.{os.urandom(8).hex()}{_PARTIAL}")
        try:
            with open(temporary, "xb") as file:
                self.write_to(file)
                file.flush()
                os.fsync(file.fileno())
            if there:
                temporary.chmod(path.stat().st_mode & 0o7777)
            os.replace(temporary, path)
        except BaseException as error:
            temporary.unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise naming(error, path) from error
            raise

    def to_bytes(self) -> bytes:
        """The bytes that `write` writes."""
        stream = io.BytesIO()
        self.write_to(stream)
        return stream.getvalue()

    def write_to(self, file: IO[bytes]) -> None:
        """Write the same bytes into an open file."""
        members: Any = {f"{i:04d}": array for i, array in enumerate(self.arrays)}
        np.savez(file, about=self.about, **members)


def naming(error: OSError, path: Path) -> OSError:
    """The error of a file, with its path: a full disk, for instance, is an error without one."""
    if error.errno is None:
        return OSError(f"{path} could not be written: {error}")
    return type(error)(error.errno, error.strerror, str(path))


@contextlib.contextmanager
def named_errors(path: Any) -> Iterator[None]:
    """Name the file in errors of another library that writes it; ``path`` may be an open file too."""
    try:
        yield
    except OSError as error:
        if error.filename is None and isinstance(path, (str, os.PathLike)):
            raise naming(error, Path(path)) from error
        raise


def warn_of_other_format(path: Path) -> None:
    """Warn where a file has a suffix of Keras's formats, which are others."""
    if path.suffix in (".keras", ".h5", ".hdf5"):
        checks.warn(
            f"{path.name} is written in fastnet's format, which Keras does not read. Another suffix, such as "
            "'.fastnet', says so; for Keras write to_json() and get_weights()."
        )


def _remove_stale(folder: Path) -> None:
    """Remove the partial files of processes that were killed; one that is being written is younger."""
    for partial in folder.glob(f".*{_PARTIAL}"):
        with contextlib.suppress(OSError):  # another process removed it, or (Windows) still has it open
            if time.time() - partial.stat().st_mtime > _STALE:
                partial.unlink()


def as_path(filepath: Any) -> Path:
    """Check a path that a user gave.

    Raises:
        TypeError: ``filepath`` is not a path.
        ValueError: ``filepath`` is empty.
    """
    return Path(checks.path_name("filepath", filepath))


def save(packed: Packed, target: Path | IO[bytes], overwrite: bool) -> None:
    """Write a file that `target` gave, or into an open one."""
    if not isinstance(target, Path):
        packed.write_to(target)
        return
    check_overwrite(target, overwrite)
    warn_of_other_format(target)
    packed.write(target)


def target(filepath: Any) -> Path | IO[bytes]:
    """Check where a user wants to write: a path, or a file that is open for writing bytes."""
    return filepath if hasattr(filepath, "write") else as_path(filepath)


def load(filepath: Any, kinds: Collection[str]) -> tuple[Path, dict[str, Any]]:
    """Read a file, or what an open one still holds; its name for errors, and its tree. Errors as of `read`."""
    if not hasattr(filepath, "read"):
        path = as_path(filepath)
        return path, read(path, kinds)[1]
    path = Path(str(getattr(filepath, "name", "the open file")))
    content = filepath.read()
    if not isinstance(content, bytes):
        raise TypeError(f"{path} must be open for reading bytes, mode 'rb', and gave {type(content).__name__}.")
    return path, parse(io.BytesIO(content), path, kinds)[1]


def read(path: Path, kinds: Collection[str]) -> tuple[str, dict[str, Any]]:
    """Read a file of one of these kinds.

    Returns:
        The kind and the tree.

    Raises:
        SavedFileError: the file is damaged, of another program, version or kind, or a folder.
        FileNotFoundError: the file does not exist.
    """
    wanted = " or ".join(kinds)
    if path.is_dir():
        raise SavedFileError(f"{path} is a folder, not a file of fastnet {wanted}: give the name of a file in it.")
    if not path.exists():
        _check_folder(path)
        near = nearest(path.name, [other.name for other in path.parent.iterdir()])
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise FileNotFoundError(f"{path} does not exist.{hint}")
    # numpy would not close a damaged zip that it opened itself.
    with open(path, "rb") as stream:
        return parse(stream, path, kinds)


def parse(stream: IO[bytes], path: Path, kinds: Collection[str]) -> tuple[str, dict[str, Any]]:
    """Read an open file, or the bytes of `Packed.to_bytes`, like `read`; errors call it ``path``."""
    wanted = " or ".join(kinds)
    with explained(path, f"is not a file of fastnet {wanted}, or is damaged"):
        _must_be_zip(stream)
        with np.load(stream, allow_pickle=False) as file:
            _must_be_ours(file.files)
            about = json.loads(bytes(file["about"]).decode())
            if about["format"] != FORMAT:
                raise _Foreign(f"its format is {quoted(about['format'])}")
            if about["version"] != VERSION:
                raise SavedFileError(
                    f"{path} has version {quoted(about['version'])} of the format, this fastnet reads version "
                    f"{VERSION}: load it with the fastnet that wrote it."
                )
            if about["kind"] not in kinds:
                raise SavedFileError(f"{path} is a file of fastnet {cut(str(about['kind']))}, not of fastnet {wanted}.")
            return about["kind"], _unpack(about["content"], file)


class _Foreign(ValueError):
    """Says what a file is, in words that stand without the name of an exception."""


def _must_be_zip(stream: IO[bytes]) -> None:
    import zipfile  # here, with its decompressors: 2 ms, for processes that load a file

    is_zip = zipfile.is_zipfile(stream)
    stream.seek(0)
    if is_zip:
        return
    start = stream.read(12)
    if start.startswith(b"PK"):
        raise _Foreign("the zip archive has no end")
    known = (what for magic, what in _FOREIGN.items() if start.startswith(magic))
    raise _Foreign(next(known, f"it begins with {start!r}, and is not a zip archive" if start else "it is empty"))


def _must_be_ours(members: list[str]) -> None:
    if "about" in members:
        return
    if "config.json" in members:
        raise _Foreign(
            "it is Keras's: give model.to_json() to fastnet.models.model_from_json, and get_weights() to set_weights"
        )
    raise _Foreign(f"it is an archive of {cut(', '.join(map(repr, members[:5])))}")


def _check_folder(path: Path) -> None:
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path} cannot be found, since the folder {path.parent} does not exist.")


def _unpack(item: Any, file: Any) -> Any:
    if isinstance(item, list):
        return [_unpack(value, file) for value in item]
    if not isinstance(item, dict):
        return item
    if _ARRAY not in item:
        return {key: _unpack(value, file) for key, value in item.items()}
    array = file[f"{item[_ARRAY]:04d}"]
    if array.dtype.kind not in "fiub":
        raise ValueError(f"member {item[_ARRAY]} holds {array.dtype}, not numbers")
    return array


_MOST_CHARACTERS = 600  # characters of an error about a file's contents, which may quote them all


@contextlib.contextmanager
def explained(path: Path, what: str) -> Iterator[None]:
    """Turn any error while the contents of a file are read into one that names the file."""
    try:
        yield
    except (SavedFileError, FileNotFoundError):
        raise
    except _Foreign as error:
        raise SavedFileError(f"{path} {what}: {error}.") from None
    except Exception as error:  # damaged bytes make zipfile, its decompressors, numpy and json raise a dozen kinds
        message = cut(str(error), _MOST_CHARACTERS)
        raise SavedFileError(f"{path} {what}: {type(error).__name__}: {message}") from error


def check_overwrite(path: Path, overwrite: bool) -> None:
    """Check that a file may be written to ``path``.

    Raises:
        FileExistsError: the file exists, and ``overwrite`` is False.
    """
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists already; give another name, or overwrite=True.")
