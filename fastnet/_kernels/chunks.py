"""Sizes of the chunks of sums. They decide the bits: kernels, plans and devices share them."""

CHUNK_ROWS = 256  # rows whose sums a fold keeps apart: 1e6 rows of float32 come within 1e-6 of float64
CHUNK_ELEMENTS = 4096  # elements of a sum over everything
COUNT_ROWS = 1024  # rows that a metric counts apart: adding 402 counts of an AUC costs a tenth of counting 1024 rows
LANES = 64  # columns, or elements of a sum over everything, that are added side by side
KC = 384  # steps of k that a product sums from zero. 256 is 1.5 % slower on Zen 3, 320 as slow


def k_blocks(k: int) -> int:
    """The number of K-blocks of a product: KC steps each; the last one has KC/2 + 1 to 3 KC/2."""
    return max(1, (k + KC // 2 - 1) // KC)
