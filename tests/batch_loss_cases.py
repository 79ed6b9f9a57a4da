"""Losses in array code that read the whole batch, as people write them: of a library, its operations, targets of 0 and
1, and predictions between them."""


def crossentropy_and_dice(k, o, t, p):
    return k.losses.BinaryCrossentropy()(t, p) + 0.5 * k.losses.Dice()(t, p)


def errors_and_dice(k, o, t, p):
    """Functions: numbers of rows, and one of the batch."""
    return k.losses.mean_squared_error(t, p) + k.losses.dice(t, p)


def focal_tversky(k, o, t, p):
    return k.losses.tversky(t, p, alpha=0.7, beta=0.3) ** 0.75


def hinges(k, o, t, p):
    return k.losses.Hinge()(t, 3.0 * p - 1.0) + 2.0 * k.losses.squared_hinge(t, p)


def hinges_of_numbers(k, o, t, p):
    return k.losses.hinge(t - 0.5, 3.0 * p - 1.0)


def circle(k, o, t, p):
    x = o.normalize(p - 0.3)
    return 0.2 * k.losses.Circle(gamma=2.0)(t[..., 0], x) + o.mean(o.square(t - p), axis=-1)


def circles_of_rows(k, o, t, p):
    return o.sqrt(1.0 + k.losses.circle(t[..., :1], o.normalize(p - 0.3), gamma=2.0, remove_diagonal=False))


def product(k, o, t, p):
    return k.losses.MeanSquaredError()(t, p) * k.losses.Dice()(t, p)


def root_of_a_loss(k, o, t, p):
    return o.sqrt(k.losses.MeanSquaredError()(t, p))


def root_of_mean(k, o, t, p):
    return o.sqrt(o.mean(o.square(t - p)))


def correlation(k, o, t, p):
    t, p = t - o.mean(t), p - o.mean(p)
    return 1.0 - o.sum(t * p) / o.sqrt(o.sum(o.square(t)) * o.sum(o.square(p)) + 1e-3)


def concordance(k, o, t, p):
    both = o.mean((t - o.mean(t)) * (p - o.mean(p)))
    return 1.0 - 2.0 * both / (o.var(t) + o.var(p) + o.square(o.mean(t) - o.mean(p)) + 1e-3)


def jaccard(k, o, t, p):
    both = o.sum(t * p, keepdims=True)
    return 1.0 - (both + 1.0) / (o.sum(t) + o.sum(p) - both + 1.0)


def dice_of_elements(k, o, t, p):
    """As segmentation has it: all elements in a row."""
    t, p = o.reshape(t, (-1,)), o.reshape(p, [-1])
    return 1.0 - (2.0 * o.sum(t * p) + 1.0) / (o.sum(t) + o.sum(p) + 1.0)


def elements_in_a_row(k, o, t, p):
    t, p = o.ravel(t), o.ravel(p)
    both = o.dot(t, p) / (o.sum(t, axis=0) + 3.0 * o.mean(p, axis=-1) + 1.0)
    return o.mean(o.square(t - o.mean(t, keepdims=True) - p)) - both + o.sqrt(o.var(p) + 0.1)


def dice_of_columns(k, o, t, p):
    """Numbers of columns, whose mean is the loss."""
    axes = tuple(range(len(t.shape) - 1))
    return 1.0 - (2.0 * o.sum(t * p, axis=axes) + 1.0) / (o.sum(t, axis=axes) + o.sum(p, axis=axes) + 1.0)


def errors_of_places(k, o, t, p):
    """Numbers of places: the batch and the last axis are folded."""
    return o.sqrt(o.mean(o.square(t - p), axis=(0, len(t.shape) - 1)))


def errors_from_means(k, o, t, p):
    """Means of the batch and every second axis, which meet all others."""
    axes = tuple(range(0, len(t.shape) - 1, 2))
    return o.mean(o.square(t - p + o.mean(p, axis=axes, keepdims=True)), axis=-1)


def errors_by_variance(k, o, t, p):
    """Numbers of rows that follow from all."""
    return o.mean(o.square(t - p), axis=-1) / (o.mean(o.square(t - o.mean(t, axis=0))) + 0.1)


def balanced(k, o, t, p):
    """Numbers of elements that follow from all."""
    share = o.mean(t)
    return -(1.0 - share) * t * o.log(p + 1e-3) - share * (1.0 - t) * o.log(1.001 - p)


def largest_errors(k, o, t, p):
    """Of all elements, and of columns; several are the largest one."""
    return o.max(o.abs(t - p)) + o.mean(o.max(t * p, axis=0)) - 0.5 * o.min(o.maximum(p, 0.4))


def scaled_to_extremes(k, o, t, p):
    low, high = o.min(p, axis=0, keepdims=True), o.max(p, axis=0, keepdims=True)
    return o.mean(o.square((p - low) / (high - low + 0.1) - t), axis=-1)


def softmax_of_rows(k, o, t, p):
    """Probabilities of the samples of a batch, by column."""
    return o.logsumexp(p) - o.sum(t * o.log_softmax(3.0 * p, axis=0)) / 50.0 + o.mean(o.softmax(p, axis=0) * t)


def products_of_the_batch(k, o, t, p):
    present = o.any(t > 0.5, axis=0) if len(t.shape) < 3 else o.any(t > 0.5, axis=(0, 1))
    factors = o.where(t > 0.5, p, 1.0) * o.where(present, 1.0, 0.5) + 0.2
    return o.mean(o.prod(factors, axis=0)) + o.where(o.all(p > 0.0), 1.0, 3.0) * o.mean(p)


def stacked_losses(k, o, t, p):
    """Losses weighted by their softmax."""
    found = o.stack([k.losses.MeanSquaredError()(t, p), 0.3 * k.losses.Dice()(t, p), o.max(o.abs(t - p))])
    return o.sum(found * o.softmax(found))


def stacked_columns(k, o, t, p):
    columns = o.stack([o.mean(p, axis=0), o.max(t * p, axis=0)])
    return o.mean(o.min(columns, axis=0)) + o.mean(columns**2) + o.logsumexp(o.stack([o.mean(p), o.mean(t)]))


def cross_correlation(k, o, t, p):
    """Zbontar et al. 2021, arXiv:2103.03230."""
    rows, eye = o.cast(o.shape(p)[0], "float64"), o.eye(3)
    p, t = (p - o.mean(p, axis=0)) / (o.std(p, axis=0) + 0.1), (t - o.mean(t, axis=0)) / (o.std(t, axis=0) + 0.1)
    correlations = o.einsum("bi,bj->ij", p, t) / rows
    return o.sum(o.square(correlations - eye) * (0.05 + 0.95 * eye))


def products_over_the_batch(k, o, t, p):
    sums = o.einsum("bi,bj,b->ji", p, t, p[:, 0]) if len(t.shape) < 3 else o.einsum("b...i,bj...->ij", p, t)
    return o.sqrt(o.sum(o.square(sums))) + o.mean(p)


def weighted_dice(k, o, t, p):
    return k.losses.Dice()(t, p, sample_weight=0.5 + t[..., 0])


def weighted_mean(k, o, t, p):
    return k.losses.MeanSquaredError(reduction="mean_with_sample_weight")(t, p, sample_weight=0.5 + t[..., 0])


def weighted_errors(k, o, t, p):
    return k.losses.MeanSquaredError()(t, p, sample_weight=t[..., 0])


def weighted_sum(k, o, t, p):
    weights = (0.5 + t[..., 0])[..., None]
    return 0.1 * k.losses.MeanAbsoluteError(reduction="sum")(t, p, sample_weight=weights) + k.losses.huber(t, p)


def weighted_rows(k, o, t, p):
    return o.square(k.losses.Huber(reduction=None)(t, p, sample_weight=0.5 + t[..., 0]))


def overlap_of_rows(k, o, t, p):
    return k.losses.binary_crossentropy(t, p) + k.losses.Dice(axis=-1)(t, p)


#: of the whole batch: Keras multiplies their number by the mean of the samples' weights, or weighs their rows
OF_BATCH = [
    crossentropy_and_dice, errors_and_dice, focal_tversky, hinges, hinges_of_numbers, product, root_of_a_loss,
    root_of_mean, correlation, concordance, jaccard, errors_by_variance, weighted_mean, dice_of_elements,
]  # fmt: skip
OF_ROWS = [weighted_errors, weighted_rows, overlap_of_rows]
CIRCLES = [circle, circles_of_rows]
ALL = [
    *OF_BATCH,
    *OF_ROWS,
    *CIRCLES,
    balanced,
    largest_errors,
    scaled_to_extremes,
    softmax_of_rows,
    products_of_the_batch,
    products_over_the_batch,
    stacked_losses,
    stacked_columns,
    cross_correlation,
    dice_of_columns,
    elements_in_a_row,
    errors_of_places,
    errors_from_means,
    weighted_dice,
    weighted_sum,
]
#: for predictions of several axes
OF_IMAGES = [
    crossentropy_and_dice,
    focal_tversky,
    correlation,
    hinges,
    jaccard,
    dice_of_columns,
    dice_of_elements,
    elements_in_a_row,
    errors_and_dice,
    errors_of_places,
    errors_from_means,
    largest_errors,
    scaled_to_extremes,
    products_of_the_batch,
]
