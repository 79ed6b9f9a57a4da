"""The methods of a model that write it to files, read its weights, and copy it."""

from __future__ import annotations

from typing import Any

from fastnet.saving import model_files, weight_files


class Saveable:
    """The methods of `Sequential` for files, pickles and copies."""

    def save(self, filepath: Any, overwrite: bool = True, zipped: bool | None = None) -> None:
        """Write the whole model to a file; see `fastnet.saving.save_model`."""
        model_files.save_model(self, filepath, overwrite, zipped)

    def save_weights(
        self, filepath: Any, overwrite: bool = True, max_shard_size: None = None, objects_to_skip: None = None
    ) -> None:
        """Write the weights to a file; see `fastnet.saving.save_weights`."""
        weight_files.save_weights(self, filepath, overwrite, max_shard_size, objects_to_skip)

    def load_weights(self, filepath: Any, skip_mismatch: bool = False, objects_to_skip: None = None) -> None:
        """Set the weights from a file; see `fastnet.saving.load_weights`."""
        weight_files.load_weights(self, filepath, skip_mismatch, objects_to_skip)

    def __reduce__(self) -> tuple:
        """For pickle, copy and deepcopy: the bytes of the model's file. Each makes an independent model, as in Keras.

        The copy has the weights, the arguments of `compile`, the optimizer's state and the random counters, and trains
        on to the same bits. It lacks `history` and attributes of your own.
        """
        return model_files.from_bytes, model_files.to_bytes(self)
