"""The list of a network's layers."""

from __future__ import annotations

from typing import Any, NoReturn

_CHANGES = (
    "append clear extend insert pop remove reverse sort __delitem__ __iadd__ __imul__ __setitem__".split()
)  # fmt: skip


class ListOfLayers(list[Any]):
    """A list that refuses changes; its slices, sums and copies are plain lists.

    Example:
        >>> model = fastnet.Sequential([layers.Dense(1)])
        >>> model.layers.append(layers.Dense(1))
        Traceback (most recent call last):
        TypeError: model.layers is a list of the model's layers, and append would not change the model. ...
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (list(self),)


def _refusal(change: str) -> Any:
    """A method that says how a network is changed."""

    def refused(self: ListOfLayers, *given: Any, **more: Any) -> NoReturn:
        raise TypeError(
            f"model.layers is a list of the model's layers, and {change.strip('_')} would not change the model. "
            "model.add(layer) and model.pop() do, before or after a training; Sequential([*model.layers[:-1], layer]) "
            "is another model of the same layers; list(model.layers) is a list for other uses."
        )

    return refused


for _change in _CHANGES:
    setattr(ListOfLayers, _change, _refusal(_change))
