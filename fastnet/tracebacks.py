"""Tracebacks that show the user's lines: fastnet's calls among themselves are left out of them."""

from __future__ import annotations

from types import TracebackType

from fastnet import config

#: Packages whose frames are left out.
_HIDDEN = frozenset(("fastnet", "numba", "llvmlite", "numpy", "ast", "contextlib", "concurrent", "threading"))
#: Errors that fastnet raises on purpose. Any other one raised in fastnet is a bug, and keeps its traceback.
_RAISED = (ValueError, TypeError, RuntimeError, ArithmeticError, AttributeError, OSError, KeyboardInterrupt)


class _Trimmed:
    """A context whose errors lose the frames of fastnet's calls within it; see `config.full_tracebacks`.

    A class, since a generator's context takes microseconds.
    """

    __slots__ = ()

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(self, kind: object, error: BaseException | None, frames: TracebackType | None) -> None:
        if error is None or frames is None or config.full_tracebacks:
            return
        last = frames
        while last.tb_next is not None:
            last = last.tb_next
        if isinstance(error, _RAISED) or not _is_hidden(last):
            frames.tb_next = _shown(frames.tb_next)
            for reason in (error.__cause__, error.__context__):
                if reason is not None:
                    reason.__traceback__ = _shown(reason.__traceback__)


def _shown(frames: TracebackType | None) -> TracebackType | None:
    """The frames that are not hidden."""
    while frames is not None and _is_hidden(frames):
        frames = frames.tb_next
    if frames is not None:
        frames.tb_next = _shown(frames.tb_next)
    return frames


def _is_hidden(frames: TracebackType) -> bool:
    return frames.tb_frame.f_globals.get("__name__", "").partition(".")[0] in _HIDDEN


trimmed = _Trimmed()
