"""Imports point one way: no circles among modules or rooms, and each room imports from its own floor or below."""

import ast
from pathlib import Path

import pytest

import fastnet

ROOT = Path(fastnet.__file__).parent

#: The floors of the house; what is not named here stands where its imports put it, since circles are forbidden.
FLOORS = {
    "_kernels": 0,
    "engine": 1,
    "layers": 2,
    "losses": 2,
    "metrics": 2,
    "optimizers": 2,
    "training": 3,
    "sequential": 4,
}


def modules():
    """Name → file of every module."""
    found = {}
    for file in ROOT.rglob("*.py"):
        parts = ("fastnet", *file.relative_to(ROOT).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def statements(node):
    """The import statements that run: within functions too, but not those for annotations alone."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.Import, ast.ImportFrom)):
            yield child
        elif not (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)):
            yield from statements(child)


def imported(name, file):
    """What a module imports, by its full name."""
    for node in statements(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
            continue
        package = name if file.name == "__init__.py" else name.rpartition(".")[0]
        for _ in range(node.level - 1):
            package = package.rpartition(".")[0]
        start = ".".join(filter(None, (package if node.level else "", node.module)))
        for alias in node.names:
            yield f"{start}.{alias.name}"


def graph(found):
    """Module → the modules of fastnet that it imports, with the packages they lie in."""
    edges = {name: set() for name in found}
    for name, file in found.items():
        for target in imported(name, file):
            while target and target not in found:
                target = target.rpartition(".")[0]
            while target.count("."):  # a package runs before its modules do
                if target != name and not name.startswith(f"{target}."):
                    edges[name].add(target)
                target = target.rpartition(".")[0]
    return edges


def room(name):
    """The first part of a name below ``fastnet``."""
    return name.split(".")[1] if "." in name else name


def circle(edges):
    """The nodes of a circle, in order, or None."""
    done, path = set(), []

    def visit(node):
        if node in path:
            return [*path[path.index(node) :], node]
        if node in done:
            return None
        path.append(node)
        for target in sorted(edges.get(node, ())):
            if found := visit(target):
                return found
        done.add(path.pop())
        return None

    return next(filter(None, map(visit, sorted(edges))), None)


@pytest.fixture(scope="module")
def edges():
    return graph(modules())


def test_no_circle_of_modules(edges):
    assert circle(edges) is None


def test_no_circle_of_rooms(edges):
    rooms = {}
    for name, targets in edges.items():
        rooms.setdefault(room(name), set()).update({room(target) for target in targets} - {room(name)})
    assert circle(rooms) is None


def test_no_import_from_a_higher_floor(edges):
    assert {name for name in FLOORS if not any(room(module) == name for module in edges)} == set()
    upwards = [
        f"{name} imports {target}"
        for name, targets in edges.items()
        for target in targets
        if FLOORS.get(room(name), 99) < FLOORS.get(room(target), -1)
    ]
    assert upwards == []


def test_only_the_kernels_know_numba():
    for name, file in modules().items():
        others = {target.split(".")[0] for target in imported(name, file)}
        assert room(name) == "_kernels" or others.isdisjoint({"numba", "llvmlite"}), name


def test_a_circle_is_found(tmp_path):
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle({"a": {"b", "c"}, "b": {"c"}}) is None
    file = tmp_path / "module.py"
    file.write_text(
        "import fastnet.engine.plan\nfrom . import sister\nfrom .. import config\n"
        "def call():\n    from fastnet.layers import layer\n"
        "if TYPE_CHECKING:\n    import fastnet.sequential\n"
    )
    assert [*imported("fastnet.room.module", file)] == [
        "fastnet.engine.plan",
        "fastnet.room.sister",
        "fastnet.config",
        "fastnet.layers.layer",
    ]
