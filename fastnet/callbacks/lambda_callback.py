"""Functions as hooks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastnet._kernels.errors import quoted
from fastnet.callbacks.callback import Callback


class LambdaCallback(Callback):
    """A callback made of functions.

    Args:
        on_epoch_begin, on_epoch_end: called with ``(epoch, logs)``.
        on_train_begin, on_train_end: called with ``(logs)``.
        on_train_batch_begin, on_train_batch_end: called with ``(batch, logs)``.
        **hooks: any other hook of `Callback`.

    Raises:
        TypeError: a name is not that of a hook, or a value cannot be called.

    Example:
        >>> import fastnet
        >>> seen = []
        >>> callback = fastnet.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs["loss"]))
    """

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_begin: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
        **hooks: Callable[..., Any],
    ):
        named = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
        }
        for name, hook in {**named, **hooks}.items():
            if not (name.startswith("on_") and hasattr(Callback, name)):
                known = ", ".join(hook for hook in dir(Callback) if hook.startswith("on_"))
                raise TypeError(f"LambdaCallback: {name!r} is not a hook. The hooks are {known}.")
            if hook is not None:
                if not callable(hook):
                    raise TypeError(f"LambdaCallback: {name} must be a function, received {quoted(hook)}.")
                setattr(self, name, hook)
