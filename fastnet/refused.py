"""What a Keras model has and a `Sequential` has not, each with the sentence that says what to do instead.

`docs/keras.md` lists the same; a test compares them.
"""

from __future__ import annotations

_STEP = "a step is compiled from the layers, the loss and the optimizer; register an activation, a loss or an optimizer"
_GRAPH = "a Sequential is a list of layers, not a graph of tensors; use model.layers"

REFUSED: dict[str, str] = {
    "add_loss": "penalties come from the layers' regularizers and activity_regularizer, or from a registered loss",
    "add_metric": "metrics are given to compile(metrics=[...])",
    "add_weight": "weights belong to layers; write a layer (docs/extending.md)",
    "call": "a model is called as model(x), or model.predict(x)",
    "compute_metrics": "metrics are given to compile(metrics=[...])",
    "export": "there is no other runtime to export to; model.save writes a file that fastnet reads",
    "get_metrics_result": "metrics are in what fit, evaluate and train_on_batch return",
    "input": _GRAPH,
    "inputs": _GRAPH,
    "make_predict_function": "predictions are compiled when they are first asked for",
    "make_test_function": "evaluation is compiled when it is first asked for",
    "make_train_function": "training is compiled when it is first asked for",
    "output": _GRAPH,
    "outputs": _GRAPH,
    "predict_step": f"{_STEP} (docs/extending.md)",
    "quantize": "weights are float32 or float64",
    "reset_metrics": "metrics begin anew with each epoch, evaluate and train_on_batch",
    "stateless_call": "weights belong to the model; use model(x)",
    "test_step": f"{_STEP} (docs/extending.md)",
    "train_step": f"{_STEP} (docs/extending.md)",
}


def attribute_error(owner: str, name: str) -> AttributeError:
    """The error for an attribute that is not there."""
    if name in REFUSED:
        return AttributeError(f"fastnet's {owner} has no {name}: {REFUSED[name]}.")
    return AttributeError(f"{owner!r} object has no attribute {name!r}")
