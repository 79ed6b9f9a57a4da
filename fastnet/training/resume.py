"""The position of a training, from which the rest of it follows, as plain data and arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastnet.saving import state
from fastnet.saving.archive import SavedFileError
from fastnet.training.samples import Samples
from fastnet.training.session import Session


class Position:
    """The position of a `fit`, between two chunks of steps or two epochs.

    Args:
        model: the model that is trained.
        calls: its callbacks.
        session: trains it.
        samples: its data.
        held_out: the validation data, or None.
        epoch: the first epoch's number.

    Attributes:
        epoch: number of the current epoch, or of the next one.
        step: the steps of the epoch that are done; 0 between epochs.
        logs: of the last complete epoch.
        is_over: whether the restored training had stopped after its last epoch.
    """

    def __init__(
        self, model: Any, calls: Any, session: Session, samples: Samples, held_out: Samples | None, epoch: int
    ):
        self.model, self.calls, self.session = model, calls, session
        self.samples, self.held_out = samples, held_out
        self.epoch, self.step, self.is_over = epoch, 0, False
        self.logs: dict[str, Any] = {}
        self._is_restored = False

    def reach(self, step: int) -> None:
        """Record that so many steps of the epoch are done, after all callbacks were called."""
        self.step = step
        self.calls.safe_point(self)

    def next_epoch(self, logs: dict[str, Any]) -> None:
        """Record that the epoch is over, after all callbacks were called."""
        self.epoch, self.step, self.logs = self.epoch + 1, 0, logs
        self.calls.safe_point(self)

    def state(self) -> dict[str, Any]:
        """The data that `restore` needs; the arrays are the model's own, which training changes."""
        return {
            **state.model_state(self.model),
            "epoch": self.epoch,
            "step": self.step,
            "logged": self._logged(),
            "totals": self.session.totals(),
            "feed": self.samples.position(self.step),
            "held_out": self.held_out and self.held_out.position(0),
            "ordered": self.model._trainer.ordered_epoch,
            "stop": self.model.stop_training,
            "logs": self.logs,
            "callbacks": self.calls.get_state(),
        }

    def restore(self, tree: dict[str, Any], path: Path) -> None:
        """Restore a saved training: the model, its data and its callbacks. A second call does not move the data again.

        Raises:
            SavedFileError: the training is that of another model, of other data or callbacks.
        """
        given, saved = self.samples.position(0), tree["feed"]
        if tree["step"] and (given["batch"], given["rows"]) != (saved["batch"], saved["rows"]):
            raise SavedFileError(
                f"{path} was saved in the middle of an epoch of {saved['rows']} rows in batches of {saved['batch']}; "
                f"fit was given {given['rows']} rows in batches of {given['batch']}. Give the same, or delete the file."
            )
        if tree["logged"] != self._logged():
            raise SavedFileError(
                f"{path} was saved by a training that logged {tree['logged']}; this one logs {self._logged()}."
            )
        trainer = self.model._trainer
        self.calls.set_state(tree["callbacks"])
        state.restore(self.model, tree, path)
        if not self._is_restored:
            # The order of the rows may be that of an earlier epoch, if steps_per_epoch does not divide them.
            trainer.epochs_done = tree["ordered"]
            self.samples.resume(saved)
            if self.held_out is not None and tree["held_out"] is not None:
                self.held_out.resume(tree["held_out"])
            trainer.epochs_done, self._is_restored = tree["epochs_done"], True
        self.session.set_totals(tree["totals"])
        self.epoch, self.step, self.logs = tree["epoch"], tree["step"], tree["logs"]
        self.model.stop_training = tree["stop"]
        self.is_over = tree["stop"] and not self.step

    def _logged(self) -> list[str]:
        return [total.name for total in self.session.step.totals]
