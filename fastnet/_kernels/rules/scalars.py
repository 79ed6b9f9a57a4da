"""Rules of scalars that several kernels share."""

EPSILON = 1e-7  # Keras's backend.epsilon(), `fastnet.config.epsilon`: probabilities lie in [EPSILON, 1 - EPSILON]


def divided_by(total, weight):
    """weight / total, and 0 of a total of 0."""
    return weight / total if total != 0 else 0


def inverse_count(count):
    """1 / count, finite for a count of 0, as in Keras."""
    return 1 / (count + EPSILON)


def first_of_two(x, y):
    return x


def added(high, low, x):
    """high + low + x as a pair of numbers, of which the second keeps what the first one rounds away (Knuth's
    two-sum)."""
    both = high + x
    part = both - high
    return both, low + ((high - (both - part)) + (x - part))


def sum_of_pair(high, low):
    """high + low; high alone where it is not finite, since low then is NaN."""
    return high + low if low == low else high


def overlap(both, targets, predictions, scale, of_both, of_targets, of_predictions):
    """1 - scale B / D of the sums B, T, P of y_true y_pred, y_true and y_pred, D a sum of multiples of them; and its
    derivative by an element of y_pred, which is slope y_true + offset."""
    divisor = of_both * both + of_targets * targets + of_predictions * predictions + EPSILON
    ratio = scale * both / divisor
    return 1 - ratio, (ratio * of_both - scale) / divisor, ratio * of_predictions / divisor


def unchanged(total):
    return total
