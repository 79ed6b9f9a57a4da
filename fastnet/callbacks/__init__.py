"""Callbacks: hooks that `fit`, `evaluate` and `predict` call, with Keras's names and log keys."""

from fastnet.callbacks.backup_and_restore import BackupAndRestore as BackupAndRestore
from fastnet.callbacks.callback import Callback as Callback
from fastnet.callbacks.callback_list import CallbackList as CallbackList
from fastnet.callbacks.csv_logger import CSVLogger as CSVLogger
from fastnet.callbacks.early_stopping import EarlyStopping as EarlyStopping
from fastnet.callbacks.history import History as History
from fastnet.callbacks.lambda_callback import LambdaCallback as LambdaCallback
from fastnet.callbacks.learning_rate_scheduler import LearningRateScheduler as LearningRateScheduler
from fastnet.callbacks.model_checkpoint import ModelCheckpoint as ModelCheckpoint
from fastnet.callbacks.progbar_logger import ProgbarLogger as ProgbarLogger
from fastnet.callbacks.reduce_lr_on_plateau import ReduceLROnPlateau as ReduceLROnPlateau
from fastnet.callbacks.swap_ema_weights import SwapEMAWeights as SwapEMAWeights
from fastnet.callbacks.terminate_on_nan import TerminateOnNaN as TerminateOnNaN
