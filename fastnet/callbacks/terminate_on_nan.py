"""The end of training at the first NaN."""

from __future__ import annotations

from fastnet import checks
from fastnet.callbacks.callback import Callback


class TerminateOnNaN(Callback):
    """Ends training when the loss of a batch is NaN or infinite, instead of raising a `NonFiniteError`.

    The model has the weights before that batch, since fastnet checks the loss before it changes the weights. The
    epoch's logs contain a loss of NaN, and `on_train_end` is called, as in Keras.

    Args:
        raise_error: raise a RuntimeError instead, with the `NonFiniteError` as its cause; `on_train_end` is not called.

    Raises:
        ValueError: ``raise_error`` is neither True nor False.

    Example:
        >>> import fastnet
        >>> callback = fastnet.callbacks.TerminateOnNaN()
    """

    def __init__(self, raise_error: bool = False):
        self.raise_error = checks.flag("TerminateOnNaN: raise_error", raise_error)

    def accepts_nonfinite(self, batch: int, error: ArithmeticError) -> bool:
        if self.raise_error:
            raise RuntimeError(f"NaN or Inf loss encountered at batch {batch}. {error}") from error
        print(f"Batch {batch}: Invalid loss, terminating training. {error}")
        self.model.stop_training = True
        return True
