"""Attributes that Keras's models and layers have and fastnet's lack, each with the sentence that names the remedy.

`docs/keras.md` lists the same names; a test compares them.
"""

from __future__ import annotations

from typing import Any

_STEP = (
    "a step is compiled from the layers, the loss and the optimizer; register one of these, or train with "
    "model.gradients, optimizer.apply and model.train_on_gradient"
)
_PART = "there are no symbolic tensors; Sequential(model.layers[:k]) is the model of the first k layers"
_GRAPH = "a Sequential is a list of layers, not a graph of tensors; use model.layers"
_QUANTIZED = "weights are float32 or float64"
_CONFIG = "get_config() holds the shape that the model was built for"
_DTYPE = "each layer has one dtype, for its weights and its data; use layer.dtype"
_STATE = "use get_weights and set_weights, or save_weights and load_weights"
_BACKEND = "there is one backend, and weights belong to the model"
_COMPILED = "every step is compiled, and as many are executed in one call as callbacks allow"
_FILES = "use save_weights and load_weights"

REFUSED: dict[str, str] = {
    "add_metric": "metrics are given to compile(metrics=[...])",
    "add_variable": "weights belong to layers; write a layer (docs/extending.md)",
    "autocast": "data become the dtype of the layer that reads them",
    "build_from_config": _CONFIG,
    "call_signature_parameters": _GRAPH,
    "compute_dtype": _DTYPE,
    "compute_loss_and_updates": f"{_STEP} (docs/extending.md)",
    "compute_metrics": "metrics are given to compile(metrics=[...])",
    "compute_output_spec": "there are no symbolic tensors; use compute_output_shape",
    "dtype_policy": _DTYPE,
    "export": "there is no other runtime to export to; model.save writes a file that fastnet reads",
    "get_build_config": _CONFIG,
    "get_metrics_result": "metrics are in what fit, evaluate and train_on_batch return",
    "get_quantization_layer_structure": _QUANTIZED,
    "get_state_tree": _STATE,
    "input": _PART,
    "input_dtype": _DTYPE,
    "input_spec": "every layer checks the shape it is given; use model.input_shape",
    "inputs": _PART,
    "jax_state_sync": _BACKEND,
    "jit_compile": _COMPILED,
    "load_own_variables": _FILES,
    "make_predict_function": "predictions are compiled when they are first needed",
    "make_test_function": "evaluation is compiled when it is first needed",
    "make_train_function": "training is compiled when it is first needed",
    "metrics_variables": "metrics count in the compiled step; their numbers are in what fit and evaluate return",
    "output": _PART,
    "outputs": _PART,
    "path": "a model has a name",
    "predict_function": "predictions are compiled when they are first needed",
    "predict_step": f"{_STEP} (docs/extending.md)",
    "quantization_mode": _QUANTIZED,
    "quantize": _QUANTIZED,
    "quantized_build": _QUANTIZED,
    "quantized_call": _QUANTIZED,
    "rematerialized_call": _BACKEND,
    "reset_metrics": "metrics start again at each epoch, evaluate and train_on_batch",
    "run_eagerly": _COMPILED,
    "save_own_variables": _FILES,
    "set_state_tree": _STATE,
    "stateless_call": "weights belong to the model; use model(x)",
    "stateless_compute_loss": _BACKEND,
    "steps_per_execution": _COMPILED,
    "supports_jit": _COMPILED,
    "symbolic_call": _GRAPH,
    "test_function": "evaluation is compiled when it is first needed",
    "train_function": "training is compiled when it is first needed",
    "variable_dtype": _DTYPE,
}

#: Of layers.
REFUSED_OF_LAYERS: dict[str, str] = dict.fromkeys(("input", "output"), _PART)


class NotAnEstimator:
    """Tells scikit-learn at its first question that a model is not an estimator, and how it becomes one.

    A Pipeline would train the model, and then take its outputs for labels: scores would be NaN. The error is a
    RuntimeError, since a Pipeline that asks for tags hides others; `score` is there, since its absence would have
    `cross_val_score` raise an error without a remedy.
    """

    name: str

    def __sklearn_tags__(self) -> Any:
        raise self._as_estimator()

    def score(self, *arguments: Any, **more: Any) -> Any:
        """Raise: scikit-learn takes the model only in a wrapper. `Sequential.evaluate` gives the loss and metrics."""
        raise self._as_estimator()

    def _as_estimator(self) -> RuntimeError:
        return RuntimeError(
            f"The model {self.name!r} is not an estimator of scikit-learn: wrap it, as "
            "fastnet.wrappers.SKLearnClassifier(model) or SKLearnRegressor(model)."
        )


def attribute_error(owner: str, name: str, refused: dict[str, str] = REFUSED) -> AttributeError:
    """The error for an attribute that an object lacks."""
    if name in refused:
        return AttributeError(f"fastnet's {owner} has no {name}: {refused[name]}.")
    return AttributeError(f"{owner!r} object has no attribute {name!r}")
