"""Your own callback: it stops when the validation loss has not fallen for some epochs, and keeps the best weights."""

import fastnet
from fastnet import layers


class KeepBest(fastnet.callbacks.Callback):
    """Ends training after ``patience`` epochs without a new best loss, and restores the best weights."""

    def __init__(self, patience: int = 5):
        self.patience = patience

    def on_train_begin(self, logs=None):
        self.best, self.since, self.weights = float("inf"), 0, None

    def on_epoch_end(self, epoch, logs=None):
        if logs["val_loss"] < self.best:
            self.best, self.since, self.weights = logs["val_loss"], 0, self.model.get_weights()
        else:
            self.since += 1
        self.model.stop_training = self.since >= self.patience

    def on_train_end(self, logs=None):
        self.model.set_weights(self.weights)


(x, y), (x_test, y_test) = fastnet.datasets.digits.load_data()
model = fastnet.Sequential(
    [layers.Rescaling(1 / 16), layers.Flatten(), layers.Dense(128, activation="relu"), layers.Dense(10)]
)
loss = fastnet.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(optimizer=fastnet.optimizers.Adam(3e-3), loss=loss, metrics=["accuracy"])
keep = KeepBest()
history = model.fit(x, y, epochs=200, validation_split=0.15, callbacks=[keep])
print(f"stopped after {len(history.epoch)} epochs, best validation loss {keep.best:.4f}")
print(model.evaluate(x_test, y_test, return_dict=True))
