"""Process-wide settings: the default dtype of layers, limits, where progress is written, what tracebacks show."""

from __future__ import annotations

from fastnet import checks
from fastnet._kernels.errors import quoted
from fastnet._kernels.rules.scalars import EPSILON
from fastnet.engine import convolution as forms
from fastnet.engine import devices

FLOATS = ("float32", "float64")

#: Whether errors show the calls within fastnet too; by default they show the user's lines.
full_tracebacks = False

_floatx = "float32"
_max_epochs: int | None = None
_is_interactive = True


def floatx() -> str:
    """The default dtype of layers and losses: "float32", or the dtype of `set_floatx`.

    Example:
        >>> config.floatx()
        'float32'
    """
    return _floatx


def set_floatx(value: str) -> None:
    """Set the dtype of layers made from now on.

    Raises:
        ValueError: the dtype is neither "float32" nor "float64".

    Example:
        >>> import fastnet
        >>> fastnet.config.set_floatx("float32")
        >>> fastnet.config.floatx()
        'float32'
    """
    global _floatx
    _floatx = check_dtype(value, "floatx")


def check_dtype(value: object, owner: str) -> str:
    """``value`` as the name of a float dtype in which fastnet computes."""
    name = getattr(value, "name", None) or getattr(value, "__name__", None) or value
    if not isinstance(name, str) or name not in FLOATS:
        raise ValueError(f"{owner}: the dtype must be 'float32' or 'float64', received {quoted(value)}.")
    return str(name)


def epsilon() -> float:
    """The smallest probability that losses see: 1e-7, Keras's value.

    Example:
        >>> config.epsilon()
        1e-07
    """
    return EPSILON


def set_epsilon(value: float) -> None:
    """Accept 1e-7, the value that the kernels are compiled with.

    Raises:
        ValueError: any other value.

    Example:
        >>> config.set_epsilon(1e-7)
    """
    if value != EPSILON:
        raise ValueError(
            f"set_epsilon: the kernels of losses are compiled with {EPSILON}, received {quoted(value)}. A loss with "
            "another epsilon is registered by fastnet.register_loss."
        )


def backend() -> str:
    """The name of the one backend, for programs that ask for it.

    Example:
        >>> config.backend()
        'fastnet'
    """
    return "fastnet"


def image_data_format() -> str:
    """Where layers of images have their channels: "channels_last", always.

    Example:
        >>> config.image_data_format()
        'channels_last'
    """
    return "channels_last"


def set_image_data_format(data_format: str) -> None:
    """Accept the one place of the channels, for programs that set it.

    Args:
        data_format: "channels_last", which None stands for.

    Raises:
        ValueError: it is another one.

    Example:
        >>> config.set_image_data_format("channels_last")
    """
    checks.channels_last(
        "set_image_data_format: data_format", data_format,
        "np.moveaxis(x, 1, -1) puts those of data there, and layers.Permute((2, 3, 1)) those of a layer's result.",
    )  # fmt: skip


def max_epochs() -> int | None:
    """The limit of `set_max_epochs`; None without one.

    Example:
        >>> config.max_epochs() is None
        True
    """
    return _max_epochs


def set_max_epochs(max_epochs: int | None) -> None:
    """Let `fit` train for at most this number of epochs, with a warning where it is given more.

    Args:
        max_epochs: at least 1; None removes the limit.

    Raises:
        ValueError: it is not an integer of at least 1.

    Example:
        >>> config.set_max_epochs(2)
        >>> config.set_max_epochs(None)
    """
    global _max_epochs
    _max_epochs = None if max_epochs is None else checks.integer("set_max_epochs: max_epochs", max_epochs)


def device() -> str:
    """The device of models that are compiled without one: "cpu", that of `set_device`, or of ``FASTNET_DEVICE``.

    Example:
        >>> config.device()
        'cpu'
    """
    return devices.default()


def set_device(name: str | None) -> None:
    """Set the device of models that are compiled from now on.

    Args:
        name: "cpu", "cuda" for an NVIDIA GPU, or "auto" for it where there is one and a step is large enough; None for
            that of ``FASTNET_DEVICE``.

    Raises:
        ValueError: it is none of them.

    Example:
        >>> config.set_device("cpu")
        >>> config.set_device(None)
    """
    devices.set_default(name)


def matmul_precision() -> str:
    """The least precision of matrix products: "highest", or that of `set_matmul_precision`.

    Example:
        >>> config.matmul_precision()
        'highest'
    """
    return devices.matmul_precision()


def set_matmul_precision(precision: str) -> None:
    """Set the least precision of float32 matrix products on a GPU, from the next step on, as in JAX and PyTorch.

    The CPU, float64, and GPUs before sm_80 (Ampere) compute every product as with "highest".

    Args:
        precision: "highest" for float32, with the bits of the CPU; "high" allows factors that are rounded to TF32, with
            a relative error of 2^-11 each; "medium" to bfloat16, with 2^-9. Products are summed in float32.

    Raises:
        ValueError: it is none of them.

    Example:
        >>> config.set_matmul_precision("highest")
    """
    devices.set_matmul_precision(precision)


def convolution() -> str:
    """The form of convolutions: "fast", or that of `set_convolution`.

    Example:
        >>> config.convolution()
        'fast'
    """
    return forms.form()


def set_convolution(form: str) -> None:
    """Set how float32 convolutions of 3 by 3 taps with stride 1 are computed, from the next step on.

    Args:
        form: "fast" takes Winograd's form (Lavin and Gray 2015, arXiv:1509.09308) for images of at least 32 channels,
            in multiples of 16, and multiples of 32 filters, without dilation and groups, unless the images are tiny. It
            multiplies a quarter as often. Its rms error is 2e-7 to 1.5e-6 of the results' rms, about twice that of a
            sum in order; where most pixels are 0, whose sums are nearly exact, up to nine times. Exact zeros become
            numbers near 1e-7 of the largest result; and NaN or infinity may spoil all 4 by 4 results of each tile that
            reads it. On a GPU it has the precision "highest" whatever `set_matmul_precision` allows. "exact" sums each
            result in order, in blocks of 384 products; float64 always does. Blocks lose less than one long sum: of 512
            channels a third.

    Raises:
        ValueError: it is neither.

    Example:
        >>> config.set_convolution("fast")
    """
    forms.set_form(form)


def enable_interactive_logging() -> None:
    """Write progress to the terminal or the notebook: the default.

    Example:
        >>> config.enable_interactive_logging()
    """
    _set_interactive(True)


def disable_interactive_logging() -> None:
    """Send progress as lines to the logger "fastnet" of Python's `logging`, at level INFO.

    Example:
        >>> config.disable_interactive_logging()
        >>> config.is_interactive_logging_enabled()
        False
        >>> config.enable_interactive_logging()
    """
    _set_interactive(False)


def is_interactive_logging_enabled() -> bool:
    """Whether progress is written to the terminal or the notebook.

    Example:
        >>> config.is_interactive_logging_enabled()
        True
    """
    return _is_interactive


def _set_interactive(value: bool) -> None:
    global _is_interactive
    _is_interactive = value
