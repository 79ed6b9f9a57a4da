"""How sums are cut into chunks: the same for the kernels that add them and the plans that keep room for them."""

CHUNK_ROWS = 256  # rows whose sums a fold keeps apart: 1e6 rows of float32 come within 1e-6 of float64
CHUNK_ELEMENTS = 4096  # elements of a sum over everything
LANES = 64  # columns, or elements of a sum over everything, that are added side by side
