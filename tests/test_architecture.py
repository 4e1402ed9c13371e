"""The house: who may import whom, that nothing goes in a circle, and that private names stay in their package."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "src" / "radogaga"
FILES = {
    ".".join(("radogaga", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
}
# What each room may import beside itself, errors and version.
MAY_IMPORT = {
    "_utils": set(),
    "method": {"_utils"},
    "tabular": {"_utils", "method"},
    "images": {"_utils", "method"},
    "datasets": {"_utils", "method"},
    "experiments": {"_utils", "method", "tabular", "images", "datasets", "integrations"},
    "integrations": {"_utils", "tabular"},
    "cli": {"_utils", "method", "tabular", "images", "datasets", "experiments", "integrations"},
}
# Libraries that only some rooms may import.
ONLY_IN = {
    "typer": {"cli"},
    "rich": {"cli"},
    "matplotlib": {"experiments", "integrations"},
    "plotly": {"integrations"},
    "ray": {"integrations"},
    "pyod": {"experiments", "integrations"},
    "fastapi": {"integrations"},
    "starlette": {"integrations"},
    "uvicorn": {"integrations"},
    "prometheus_client": {"integrations"},
}


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def imports(path: Path) -> Iterator[tuple[str, ast.stmt]]:
    """Yield the full names of what a file imports, but for what it imports for type checkers alone."""
    tree = ast.parse(path.read_text())
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from ((f"{node.module}.{alias.name}", node) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)


def imported_modules(path: Path) -> set[str]:
    """Return our own modules that a file imports."""
    found = set()
    for name, _ in imports(path):
        while name and name not in FILES:
            name = name.rpartition(".")[0]
        found.add(name)
    return found - {""}


@pytest.mark.parametrize("module", [name for name in FILES if room(name) in MAY_IMPORT])
def test_rooms_import_what_lies_beneath_them(module):
    beneath = {"", "errors", "version", room(module)} | MAY_IMPORT[room(module)]
    if room(module) == "_utils":
        beneath |= {"radogaga"}
    others = {other for other in imported_modules(FILES[module]) if room(other) not in beneath}
    assert not others


@pytest.mark.parametrize("module", FILES)
def test_libraries_stay_in_their_rooms(module):
    foreign = {name.split(".")[0] for name, _ in imports(FILES[module])} & set(ONLY_IN)
    assert all(room(module) in ONLY_IN[library] for library in foreign), foreign


def test_the_errors_import_nothing():
    assert not [name for name, _ in imports(FILES["radogaga.errors"])]


def test_no_module_imports_itself_by_way_of_others():
    graph = {name: imported_modules(path) - {name, "radogaga"} for name, path in FILES.items()}
    TopologicalSorter(graph).prepare()  # raises CycleError


@pytest.mark.parametrize("module", FILES)
def test_private_names_stay_in_their_package(module):
    package = module.rpartition(".")[0]
    for name, _ in imports(FILES[module]):
        *parts, last = name.split(".")
        if name.startswith("radogaga.") and last.startswith("_") and last not in ("_utils", "__version__"):
            assert ".".join(parts[:-1]) == package, name
    own = {
        node.attr
        for node in ast.walk(ast.parse(FILES[module].read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
        and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))
        and not (isinstance(node.value, ast.Call) and ast.unparse(node.value) == "super()")
    }
    own -= {"_replace", "_asdict", "_fields"}  # of named tuples, which are public in spite of their names
    assert own <= defined_in(module), own - defined_in(module)


def defined_in(module: str) -> set[str]:
    """Return the private names that a module's package defines, as functions, attributes or fields."""
    package = FILES[module].parent
    names = set()
    for path in package.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                names.add(node.name)
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
                names.add(node.attr)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.add(node.id)
    return names


def test_tests_mirror_the_source():
    tests = Path(__file__).parent
    rooms = {path.name for path in ROOT.iterdir() if path.is_dir() and path.name != "__pycache__"}
    misplaced = [
        str(path.relative_to(tests))
        for path in tests.rglob("test_*.py")
        if path.parent != tests
        and path.relative_to(tests).parts[0] in rooms
        and not (ROOT / path.parent.relative_to(tests)).is_dir()
    ]
    assert not misplaced
