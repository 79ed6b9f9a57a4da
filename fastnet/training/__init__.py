"""What `Sequential.fit`, `evaluate` and `predict` do: data to samples, loops over them, callbacks, resuming, NaN."""
