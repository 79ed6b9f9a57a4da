"""The tile of this machine."""

from fastnet._kernels.cpu import blocking, emit


def tile(dtype: str) -> blocking.Tile:
    """The tile of a dtype on this machine."""
    return blocking.candidates(emit.target())[0]
