"""The errors that the machine raises."""

from __future__ import annotations


class Fault(Exception):
    """A kernel did what it must not do, or what the machine does not know.

    Attributes:
        reason: what happened, in one sentence.
        kernel: name of the entry, or None where no kernel ran.
        line: line of the PTX text, counted from 1, or None.
        instruction: the text of that line.
        thread, block: three numbers each (x, y, z) of the first thread concerned, or None.

    Example:
        >>> from fastnet.testing.ptx import Fault, Machine
        >>> try:
        ...     Machine().read(256, np.zeros(1))
        ... except Fault as fault:
        ...     print(fault.reason)
        a read of 8 bytes at 0x100 lies in no allocation
    """

    def __init__(
        self,
        reason: str,
        kernel: str | None = None,
        line: int | None = None,
        instruction: str = "",
        thread: tuple[int, ...] | None = None,
        block: tuple[int, ...] | None = None,
    ):
        self.reason, self.kernel, self.line, self.instruction = reason, kernel, line, instruction
        self.thread, self.block = thread, block
        where = []
        if thread is not None:
            where.append(f"thread {thread} of block {block}")
        if kernel is not None:
            where.append(f"kernel {kernel!r}")
        if line is not None:
            where.append(f"line {line}: {instruction}")
        super().__init__("\n  ".join([reason + ".", *where]) if where else reason + ".")
