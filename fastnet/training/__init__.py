"""`Sequential.fit`, `evaluate` and `predict`: data as samples, loops over them, callbacks, resuming, NaN."""
