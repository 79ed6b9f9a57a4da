"""The sign of a number, which several families of rules use."""


def sign(x):
    """−1, 0 or 1; NaN stays."""
    return 1 if x > 0 else (-1 if x < 0 else x)
