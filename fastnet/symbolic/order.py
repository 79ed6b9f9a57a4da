"""The order in which operations are computed."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence

from fastnet.symbolic.array import SymbolicArray


def ordered(
    roots: Iterable[SymbolicArray], known: Container[int] = (), leaves: Container[int] = ()
) -> list[SymbolicArray]:
    """What roots depend on, operands first, and the roots; each once.

    Args:
        roots: where to begin.
        known: ids of those that are left out, with what only they depend on.
        leaves: ids of those whose operands are left out.
    """
    found: list[SymbolicArray] = []
    seen: set[int] = set()
    stack = [(root, False) for root in reversed(list(roots))]
    while stack:
        node, ready = stack.pop()
        if ready:
            found.append(node)
        elif id(node) not in seen and id(node) not in known:
            seen.add(id(node))
            stack.append((node, True))
            if id(node) not in leaves:
                stack += [(x, False) for x in reversed(node.inputs)]
    return found


def signature(arguments: Sequence[SymbolicArray], result: SymbolicArray) -> list[tuple]:
    """What a formula is, equal for equal ones."""
    numbers = {id(x): i for i, x in enumerate(arguments)}
    found = []
    for x in ordered([result]):
        numbers.setdefault(id(x), len(numbers))
        name = "" if x.operation is None else x.operation.name
        value = None if x.value is None else x.value.tobytes()
        inputs = tuple(numbers[id(y)] for y in x.inputs)
        found.append((name, inputs, x.shape, x.is_bool, x.settings, value, numbers[id(x)]))
    return found
