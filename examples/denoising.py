"""A convolutional autoencoder that removes noise from the digits; Vincent et al. 2008, doi:10.1145/1390156.1390294.

Argument: epochs (40).
"""

import sys

import numpy as np

import fastnet
from fastnet import layers

epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 40
(x, _), (x_test, _) = fastnet.datasets.digits.load_data()
clean, clean_test = [(a[..., None] / 16).astype("float32") for a in (x, x_test)]
fastnet.utils.set_random_seed(0)
model = fastnet.Sequential(
    [
        layers.Input((8, 8, 1)),
        layers.GaussianNoise(0.3),  # in training: another noise in every epoch
        layers.Conv2D(16, 3, padding="same", activation="relu"),
        layers.Conv2D(32, 3, strides=2, padding="same", activation="relu"),
        layers.Conv2D(32, 3, padding="same", activation="relu"),
        layers.Conv2DTranspose(16, 3, strides=2, padding="same", activation="relu"),
        layers.Conv2D(1, 3, padding="same", activation="sigmoid"),
    ]
)
model.compile(optimizer=fastnet.optimizers.Adam(2e-3), loss="mse")
model.summary(costs=True)
model.fit(clean, clean, epochs=epochs)

noisy = clean_test + np.random.default_rng(0).normal(0, 0.3, clean_test.shape).astype("float32")
denoised = model.predict(noisy)
for row in zip(*(np.rint(images[0, :, :, 0] * 9).clip(0, 9).astype(int) for images in (clean_test, noisy, denoised))):
    print("    ".join("".join(f"{pixel or '.'}" for pixel in pixels) for pixels in row))
before, after = (np.square(images - clean_test).mean() for images in (noisy, denoised))
print(f"mean squared error of the test digits: {before:.4f} with noise, {after:.4f} denoised")
print(f"{1 - after / before:.1%} of the noise is removed")
