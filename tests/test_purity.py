"""Tests of what the core refuses to know: I/O, clocks, chance, and everything that is built on the core."""

import ast
import importlib
import inspect
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import improto

FOLDER = Path(improto.__file__).parent
CORE = {
    path.stem: path for path in sorted(FOLDER.glob("*.py")) if path.stem != "__main__"
}  # the command line
MODULES = sorted(CORE.keys() - {"__init__"})

ALLOWED = {
    "abc", "bisect", "collections", "collections.abc", "dataclasses", "enum", "functools", "hashlib", "heapq",
    "ipaddress", "itertools", "json", "math", "operator", "re", "string", "struct", "types", "typing", "unicodedata",
    "urllib.parse",
}  # fmt: skip
"""The standard library's modules that do nothing but compute."""

IMPURE = {
    "socket",
    "ssl",
    "asyncio",
    "selectors",
    "threading",
    "random",
    "secrets",
    "subprocess",
    "logging",
    "uuid",
}
"""What must not be loaded in consequence of importing the core either."""


def imports(tree: ast.AST, inside: bool = False) -> Iterator[tuple[str, bool]]:
    """Yield each imported module's name, and whether the import stands inside a function."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module
            # `from improto import x` may import a module too.
            names = (
                [f"improto.{alias.name}" for alias in node.names]
                if node.module == "improto"
                else [node.module]
            )
            yield from ((name, inside) for name in names)
        yield from imports(node, inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def is_pure(module: str, name: str, inside: bool) -> bool:
    """Tell whether the core module `module` may import `name`."""
    if name.split(".")[0] == "improto":
        return name.removeprefix("improto.") in MODULES
    return name in ALLOWED or ((module, name) == ("codec", "importlib.metadata") and inside)


@pytest.mark.parametrize("module", CORE)
def test_imports_are_pure(module: str) -> None:
    """A core module imports the core itself and what only computes, and codec discovery inside functions."""
    tree = ast.parse(CORE[module].read_text(encoding="utf-8"))
    assert [name for name, inside in imports(tree) if not is_pure(module, name, inside)] == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import socket", [("socket", False)]),
        ("def f():\n  if x:\n    from os import path", [("os", True)]),
        ("from improto import bindings", [("improto.bindings", False)]),
        ("class C:\n  import time", [("time", False)]),
    ],
)
def test_imports_are_found(source: str, found: list[tuple[str, bool]]) -> None:
    """The check finds imports wherever they stand, and holds none of these for pure."""
    assert list(imports(ast.parse(source))) == found
    assert not any(is_pure("server", *each) for each in found)


@pytest.mark.parametrize("module", ["improto", *(f"improto.{name}" for name in MODULES)])
def test_loads_nothing_impure(module: str) -> None:
    """Importing a core module in a bare interpreter loads nothing that does I/O or takes chances."""
    script = (
        "import sys, json; before = set(sys.modules); sys.path.insert(0, sys.argv[1]); __import__(sys.argv[2]); "
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    command = [sys.executable, "-I", "-S", "-c", script, str(FOLDER.parent), module]
    loaded: list[str] = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    assert module in loaded
    assert IMPURE.isdisjoint(loaded)
    above = ("improto.bindings.", "improto.cli.", "improto_codecs.", "improto_conformance.", "improto_spec.")
    assert not [name for name in loaded if f"{name}.".startswith(above)]


@pytest.mark.parametrize("name", MODULES)
def test_all_is_what_is_public(name: str) -> None:
    """`__all__` lists each public name once, all of them exist, and no public class or function is missing."""
    module = importlib.import_module(f"improto.{name}")
    listed: list[str] = module.__all__
    assert len(set(listed)) == len(listed)
    assert all(hasattr(module, each) and not each.startswith("_") for each in listed)
    defined = {
        each
        for each, value in vars(module).items()
        if (inspect.isclass(value) or inspect.isfunction(value)) and value.__module__ == module.__name__
    }
    assert {each for each in defined if not each.startswith("_")} <= set(listed)


def test_names_are_unique() -> None:
    """No public name stands for two things in two modules of the core."""
    names: list[str] = []
    for module in MODULES:
        names += importlib.import_module(f"improto.{module}").__all__
    assert sorted(set(names)) == sorted(names)
