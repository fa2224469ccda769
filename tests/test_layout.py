"""Tests of how the conformance suite is laid out, which CONTRIBUTING.md describes."""

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from importlib.metadata import entry_points
from pathlib import Path

import improto_conformance

SUITE = Path(improto_conformance.__file__).parent
PARTS = {
    path.stem: path for path in SUITE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
}
PUBLIC = "__init__"  # which only says where the public names are


def imported(part: Path) -> Iterator[str]:
    """Yield the other parts of the suite that the modules of one import, be it at once, late, or for types only."""
    for path in part.rglob("*.py") if part.is_dir() else [part]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    package, *names = f"{node.module}.{alias.name}".split(".")
                    if package == "improto_conformance" and names[0] != part.stem:
                        yield names[0]


IMPORTS = {name: set(imported(path)) for name, path in PARTS.items() if name != PUBLIC}


def test_one_way() -> None:
    """Imports go one way: from a line of the table in CONTRIBUTING.md to those above it, and in circles nowhere."""
    page = Path("CONTRIBUTING.md").read_text(encoding="utf-8")
    _, _, table = page.partition("| in `improto_conformance` |")
    rows = [line.split("|")[1] for line in table.partition("\n\n")[0].splitlines()[2:]]
    lines = {name: number for number, row in enumerate(rows) for name in re.findall(r"`(\w+)`", row)}
    assert lines.keys() == IMPORTS.keys()
    assert [
        (name, other) for name, others in IMPORTS.items() for other in others if lines[name] < lines[other]
    ] == []
    TopologicalSorter(IMPORTS).prepare()


def test_commands() -> None:
    """Each command of the suite is in the module with its name, and nothing else needs the commands."""
    points = [
        point for point in entry_points(group="improto.commands") if point.value.startswith("improto_conf")
    ]
    assert {point.value for point in points} == {
        f"improto_conformance.commands.{point.name}" for point in points
    }
    files = {path.stem for path in PARTS["commands"].glob("*.py")}
    assert files - {point.name for point in points} == {"__init__", "check_pair", "checking"}
    assert [name for name, others in IMPORTS.items() if "commands" in others] == []


def test_purposes() -> None:
    """Each package says what it is for."""
    for path in SUITE.rglob("__init__.py"):
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
