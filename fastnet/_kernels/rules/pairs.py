"""Losses of pairs of rows, by the similarity of the two."""

from __future__ import annotations


def circle(similarity, same, gamma, margin):
    """The term that a pair adds to the exponents of the circle loss, and its derivative by the similarity.

    With the distance d = max(1 - similarity, 0), a pair of one class adds gamma (margin + d) (d - margin), another pair
    gamma max(1 + margin - d, 0) (1 - margin - d); Sun et al. 2020, eq. 6, arXiv:2002.10857. As in Keras, the factors in
    front are differentiated too.
    """
    d = 1.0 - similarity
    if d != d:
        return d, d
    inside = 0.0 if d < 0.0 else 0.5 if d == 0.0 else 1.0  # as the gradient of a maximum of equal numbers
    d = 0.0 if d < 0.0 else d
    if same != 0.0:
        if margin + d < 0.0:
            return 0.0, 0.0
        return gamma * (margin + d) * (d - margin), -inside * gamma * 2.0 * d
    if 1.0 + margin - d < 0.0:
        return 0.0, 0.0
    return gamma * (1.0 + margin - d) * (1.0 - margin - d), inside * gamma * 2.0 * (1.0 - d)
