"""Weights in files."""

from fastnet.saving.weights import load_weights as load_weights
from fastnet.saving.weights import save_weights as save_weights
