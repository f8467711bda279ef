"""An import goes only upwards in the list of layers, in Python and in Cython."""

import ast
import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent.parent / "src" / "ranvier"

# Lowest first. What stands in one line may import each other.
LAYERS = [
    {"limits", "errors", "clock", "values"},
    {"engine"},
    {"keyspace"},
    {"modes"},
    {"commands"},
    {"config"},
    {"persistence", "replication"},
    {"acl", "scripting", "observe"},
    {"server"},
    {"shells"},
    {"embed", "cli", "testing", "process"},
]
LEVELS = {name: level for level, names in enumerate(LAYERS) for name in names}

# Helpers without knowledge of the server, which stand in the folder of their first user, each with its reason.
FOUNDATIONS = {
    "keyspace.glob": "patterns match keys, options and commands alike",
}

CYTHON_IMPORT = re.compile(r"^\s*(?:from\s+(ranvier[\w.]*)\s+c?import|c?import\s+(ranvier[\w.]*))", re.MULTILINE)


def modules() -> list[Path]:
    return sorted(path for kind in ("*.py", "*.pyx", "*.pxd") for path in SOURCE.rglob(kind))


def layer_of(module: str) -> str | None:
    """The layer of a dotted name below `ranvier`; None for the package itself."""
    return module.split(".")[1] if "." in module else None


def imports(path: Path) -> list[str]:
    """Dotted names that the module imports when it runs; imports for type checkers alone do not count."""
    text = path.read_text()
    if path.suffix != ".py":
        return [one or other for one, other in CYTHON_IMPORT.findall(text)]
    tree = ast.parse(text)
    skipped = [
        node
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
        for node in ast.walk(block)
    ]
    found = []
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            package = node.module == "ranvier"
            found += [f"ranvier.{name.name}" for name in node.names] if package else [node.module]
        elif isinstance(node, ast.Import):
            found += [name.name for name in node.names]
    return [name for name in found if name.split(".")[0] == "ranvier"]


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_go_upwards(path: Path) -> None:
    own = path.relative_to(SOURCE).with_suffix("").parts[0]
    if own == "__init__":
        return
    assert own in LEVELS, f"{own} has no layer: add it to design and list"
    for name in imports(path):
        layer = layer_of(name)
        if layer is None or layer == "__version__" or name.removeprefix("ranvier.") in FOUNDATIONS:
            continue
        assert LEVELS[layer] <= LEVELS[own], f"{path.name} imports {name} from above"


def test_a_pyx_stands_only_in_the_engine() -> None:
    assert {path.relative_to(SOURCE).parts[0] for path in SOURCE.rglob("*.pyx")} == {"engine"}
