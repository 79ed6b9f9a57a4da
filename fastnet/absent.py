"""Names of Keras's modules that fastnet lacks, each with a sentence; those that are planned say so.

`docs/keras.md` lists them; `tests/keras_names.py` writes the list, and tests compare it with Keras and with fastnet.
"""

from __future__ import annotations

import functools
import sys
from types import ModuleType
from typing import Any

from fastnet._kernels.registry import nearest

PLANNED = "planned"
_IMAGES = f"{PLANNED}: further augmentation of images, and boxes in them"
_SEQUENCES = f"{PLANNED}: sequences (recurrent layers, Embedding, attention)"
_ARRAYS = f"{PLANNED}: further operations of formulas; write it with those there are, or as a rule (fastnet.extend)"
_OPS = "those of its functions that fastnet has are in fastnet.ops itself"
_FILES = f"{PLANNED}: files of Keras"

_ROW = "a Sequential is the one kind of model: layers in a row; layers.Parallel and layers.Residual branch and join"
_SYMBOLIC = "there are no symbolic tensors"
_DTYPE = "weights are float32 or float64: fastnet.config.set_floatx(...), or a layer's dtype=..."
_BACKEND = "there is one backend, which compiles each step"
_ONE_MACHINE = "a model is trained on one machine"
_QUANTIZED = "weights are float32 or float64, and are not quantized"
_TRACEBACKS = "errors name the argument and the remedy"
_LEGACY = "names of earlier versions of Keras; the module without legacy has them"
_TEXT = "texts and categories become numbers before training: numpy, pandas or scikit-learn do it"
_SOUND = "sounds become arrays before training, with scipy or librosa"
_FOLDERS = "files are read by other libraries; fit takes arrays and any iterable of batches"
_PICTURES = "pictures are read and drawn by other libraries, such as Pillow and matplotlib"
_PRETRAINED = "fastnet has no trained models to download"
_FOREIGN = "layers of other libraries cannot be compiled"
_JOIN = "layers.Parallel(branches, merge={!r}) joins branches"
_TREES = "a model has one input and one output, which are arrays"
_TRACE = "model.profile and print(plan) show the launches of a step"
_DRAWING = "utils.plot_model draws a model with matplotlib, and model.summary() prints it: no graph of pydot is made"


def _each(sentence: str, names: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), sentence)


#: By module: name → the reason.
ABSENT: dict[str, dict[str, str]] = {
    "fastnet": {
        **_each(_ROW, "Model Function"),
        **_each(_SYMBOLIC, "KerasTensor InputSpec Operation SymbolicScope StatelessScope RematScope name_scope remat"),
        **_each(_DTYPE, "DTypePolicy FloatDTypePolicy dtype_policies mixed_precision"),
        **_each(_QUANTIZED, "Quantizer quantizers"),
        **_each(_BACKEND, "backend device"),
        "applications": _PRETRAINED,
        "distillation": "a distilled loss is a loss of the teacher's predictions: fit(x, teacher.predict(x))",
        "distribution": _ONE_MACHINE,
        "export": "there is no other runtime to export to; model.save writes a file that fastnet reads",
        "legacy": _LEGACY,
        "preprocessing": "fastnet.utils has what reads images, and pad_sequences; other libraries read texts",
        "tree": _TREES,
        "visualization": _PICTURES,
    },
    "fastnet.callbacks": {
        "OrbaxCheckpoint": "ModelCheckpoint and BackupAndRestore write files of fastnet",
        "RemoteMonitor": "a LambdaCallback with urllib or requests sends logs",
        "TensorBoard": "CSVLogger and History have the logs, and model.profile the times",
    },
    "fastnet.config": {
        **_each(_TRACEBACKS, "disable_traceback_filtering enable_traceback_filtering is_traceback_filtering_enabled"),
        **_each(_DTYPE, "dtype_policy set_dtype_policy"),
        **_each(_SEQUENCES, "disable_flash_attention enable_flash_attention is_flash_attention_enabled"),
        **_each(_BACKEND, "set_backend is_nnx_enabled"),
        **_each("fit and evaluate take the number of steps", "max_steps_per_epoch set_max_steps_per_epoch"),
        "enable_unsafe_deserialization": "a model's file holds JSON and never code",
    },
    "fastnet.datasets": {
        **_each(_SEQUENCES, "imdb reuters"),
    },
    "fastnet.initializers": _each(_SOUND, "STFT STFTInitializer stft"),
    "fastnet.layers": {
        **_each("layers.Residual adds a branch to its input; " + _JOIN.format("add"), "Add add"),
        **_each(_JOIN.format("average"), "Average average"),
        **_each(_JOIN.format("concat"), "Concatenate concatenate"),
        **_each(_JOIN.format("maximum"), "Maximum maximum"),
        **_each(_JOIN.format("multiply"), "Multiply multiply"),
        **_each("layers.Parallel joins branches, by other operations", "Dot dot Minimum minimum Subtract subtract"),
        **_each(_SYMBOLIC, "InputSpec"),
        **_each(_FOREIGN, "FlaxLayer JaxLayer TFSMLayer TorchModuleWrapper"),
        **_each(_TEXT, "Discretization HashedCrossing Hashing IntegerLookup StringLookup TextVectorization"),
        **_each(_SOUND, "MelSpectrogram STFTSpectrogram"),
        "Pipeline": "a Sequential within a Sequential is a layer",
        **_each(
            _SEQUENCES,
            "AdditiveAttention Attention Bidirectional Embedding GRU GRUCell GroupQueryAttention LSTM LSTMCell "
            "MultiHeadAttention RNN ReversibleEmbedding SimpleRNN SimpleRNNCell StackedRNNCells TimeDistributed "
            "ConvLSTM1D ConvLSTM2D ConvLSTM3D",
        ),
        **_each(
            _IMAGES,
            "AugMix AutoContrast ContrastLimitedAdaptiveHistogramEqualization CutMix Equalization "
            "MaxNumBoundingBoxes MixUp RandAugment RandomColorDegeneration RandomColorJitter "
            "RandomElasticTransform RandomErasing RandomGrayscale RandomHue RandomInvert RandomPerspective "
            "RandomPosterization RandomSaturation RandomSharpness Solarization",
        ),
    },
    "fastnet.losses": {
        **_each("it aligns sequences of labels; no layer here gives them", "CTC ctc"),
    },
    "fastnet.models": {"Model": _ROW},
    "fastnet.ops": {
        **_each(_OPS, "image linalg nn numpy"),
        **_each(
            _ARRAYS,
            "adaptive_average_pool adaptive_max_pool allclose angle append argpartition argsort array "
            "array_split associative_scan average bartlett batch_normalization bincount bitwise_and bitwise_invert "
            "bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor blackman cbrt cdist cholesky "
            "cholesky_inverse cond conj conjugate conv_transpose convert_to_numpy corrcoef correlate cross "
            "ctc_decode ctc_loss cumprod deg2rad depth_to_space det diag diagflat diagonal digitize divide_no_nan "
            "dot_product_attention dsplit dstack dtype eig eigh empty empty_like erfc erfinv extract_sequences fabs "
            "fft fft2 fliplr flipud fmax fmin fmod fold fori_loop gcd geomspace hamming hanning heaviside histogram "
            "hsplit hstack hypot i0 identity ifft2 imag in_top_k inner inv irfft is_tensor isclose isin isneginf "
            "isposinf isreal istft jvp kaiser kron layer_normalization lcm ldexp left_shift logaddexp2 logdet "
            "logspace lstsq lu_factor map matrix_rank median meshgrid multi_hot nan_to_num nanargmax "
            "nanargmin nancumprod nancumsum nanmax nanmean nanmedian nanmin nanpercentile nanprod nanquantile nanstd "
            "nansum nanvar nextafter nonzero outer percentile pinv polar psnr ptp qr quantile rad2deg real rearrange "
            "rfft right_shift rms_normalization rot90 saturate_cast scan scatter scatter_update searchsorted "
            "segment_max segment_min segment_prod segment_sum select signbit sinc slogdet solve solve_triangular "
            "sort space_to_depth sparsemax stft svd switch tensordot top_k trace trapezoid tri unfold unique "
            "unravel_index vander vdot vectorize vectorized_map view view_as_complex view_as_real vsplit vstack "
            "while_loop",
        ),
    },
    "fastnet.optimizers": {
        "legacy": _LEGACY,
    },
    "fastnet.saving": {"KerasFileEditor": _FILES},
    "fastnet.utils": {
        **_each(_FOLDERS, "audio_dataset_from_directory text_dataset_from_directory"),
        "model_to_dot": _DRAWING,
        **_each(_SYMBOLIC, "get_source_inputs is_keras_tensor"),
        "Config": "a dictionary has the same items",
        "FeatureSpace": _TEXT,
        "bounding_boxes": _IMAGES,
        "legacy": _LEGACY,
        "standardize_dtype": _DTYPE,
    },
}


def _sentence(module: str, name: str) -> str:
    return f"{module} has no {name}: {ABSENT[module][name]}."


def module_error(module: str, name: str) -> AttributeError:
    """The error for a name that a module lacks."""
    known = [
        each for each, value in vars(sys.modules[module]).items()
        if each[0] != "_" and (module == "fastnet" or not isinstance(value, ModuleType))
    ]  # fmt: skip
    offered = "" if name[0] == "_" else " or ".join(nearest(name, known)[:3])
    if (sentence := ABSENT.get(module, {}).get(name)) is not None:
        is_near = sentence is _ARRAYS and offered
        return AttributeError(_sentence(module, name) + (f" Near are {offered}." if is_near else ""))
    others = "; others can be added (fastnet.extend)" if module == "fastnet.ops" and name[0] != "_" else ""
    offered = f"; did you mean {offered}?" if offered else ""
    return AttributeError(f"module {module!r} has no attribute {name!r}{others}{offered}")


class _Finder:
    """Lets ``from fastnet import Model`` and ``import fastnet.legacy`` raise the sentence, which Python's error lacks.

    It is asked last, for modules that no other finder has. (Without `importlib.abc`, which takes 4 ms to import.)
    """

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:
        module, _, name = fullname.rpartition(".")
        if name in ABSENT.get(module, {}):
            raise ImportError(_sentence(module, name), name=fullname)


def explain(*modules: str) -> None:
    """Give these modules a ``__getattr__`` that raises the sentences; Python asks the finder for their names."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())  # type: ignore[arg-type]
    for name in modules:
        module: Any = sys.modules[name]
        if "__getattr__" not in vars(module):
            module.__getattr__ = functools.partial(_raise, name)
        if not hasattr(module, "__path__"):
            module.__path__ = []  # else Python asks no finder in `from module import name`


def _raise(module: str, name: str) -> Any:
    raise module_error(module, name)
