"""Rules of scalars that several kernels share."""

EPSILON = 1e-7  # Keras's


def divided_by(total, weight):
    """weight / total, and 0 of a total of 0."""
    return weight / total if total != 0 else 0


def inverse_count(count):
    """1 / count, finite for a count of 0, as in Keras."""
    return 1 / (count + EPSILON)
