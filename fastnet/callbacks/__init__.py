"""Callbacks: hooks that `fit`, `evaluate` and `predict` call, with Keras's names and log keys."""

from fastnet.callbacks.backup import BackupAndRestore as BackupAndRestore
from fastnet.callbacks.base import Callback as Callback
from fastnet.callbacks.base import History as History
from fastnet.callbacks.container import CallbackList as CallbackList
from fastnet.callbacks.early_stopping import EarlyStopping as EarlyStopping
from fastnet.callbacks.learning_rate import LearningRateScheduler as LearningRateScheduler
from fastnet.callbacks.learning_rate import ReduceLROnPlateau as ReduceLROnPlateau
from fastnet.callbacks.model_checkpoint import ModelCheckpoint as ModelCheckpoint
from fastnet.callbacks.progbar import ProgbarLogger as ProgbarLogger
from fastnet.callbacks.small import CSVLogger as CSVLogger
from fastnet.callbacks.small import LambdaCallback as LambdaCallback
from fastnet.callbacks.small import TerminateOnNaN as TerminateOnNaN
from fastnet.callbacks.swap_ema import SwapEMAWeights as SwapEMAWeights
