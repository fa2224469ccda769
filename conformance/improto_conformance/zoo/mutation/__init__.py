"""Makes mutants of a module: its text with one small fault in it, of a kind that programmers make.

    for mutant in mutants("improto/server.py", text):
        mutant.name         improto.server:334:comparison:1
        mutant.diff         the old code, and the code that replaces it
        mutant.text         the whole text with the fault

The same text gives the same mutants in the same order.  Whatever a server never shows to its peers is left unchanged:
docstrings, annotations, decorators, `__all__` and similar names, `__str__`, and the words of errors.
"""

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, cast

from improto_conformance.zoo.mutation.operators import OPERATORS
from improto_conformance.zoo.mutation.places import Node, places

__all__ = ["Mutant", "dotted", "mutants", "probed"]


@dataclass(frozen=True, slots=True)
class Mutant:
    """One faulty text."""

    path: str
    line: int
    operator: str
    number: int
    """Distinguishes it from others of the same operator in the same line."""
    function: str
    """The function or class around it, such as `Hub.tick`; empty if there is none."""
    old: str
    """The faulty place and what is around it, as far as that fits a line, in a plain form."""
    new: str
    statement: int
    """The line of the statement: if that is not executed, the fault is not."""
    text: str

    @property
    def module(self) -> str:
        """The dotted name."""
        return dotted(self.path)

    @property
    def name(self) -> str:
        """The place: it moves with the text around it."""
        return f"{self.module}:{self.line}:{self.operator}:{self.number}"

    @property
    def edit(self) -> str:
        """The fault itself: it stays the same when the text around it changes."""
        return f"{self.old} -> {self.new}"

    @property
    def diff(self) -> str:
        """The fault in two lines."""
        return f"- {self.old}\n+ {self.new}"


def dotted(path: str) -> str:
    """Give the name of the module in a file."""
    return path.removesuffix(".py").replace("/", ".")


def mutants(path: str, text: str) -> Iterator[Mutant]:
    """Give all mutants of a module, in the order of their places."""
    lines = _Lines(text)
    numbers: dict[tuple[int, str], int] = {}
    for place in places(ast.parse(text)):
        replacements = [
            (operator, replacement)
            for operator, function in OPERATORS.items()
            for replacement in function(place)
        ]
        context = place.context if replacements else place.node
        for operator, replacement in replacements:
            where = place.node.lineno, operator
            numbers[where] = numbers.get(where, 0) + 1
            new = copy.deepcopy(context, {id(place.node): replacement})
            yield Mutant(
                path,
                *where,
                numbers[where],
                place.function,
                _shown(context),
                _shown(new),
                place.statement,
                lines.spliced(place.node, replacement),
            )


def probed(text: str) -> str:
    """Give a module's text that does the same, and also collects the lines of all executed statements in `_reached`."""
    tree = ast.parse(text)
    for node in list(ast.walk(tree)):
        for field in ("body", "orelse", "finalbody"):
            held: object = getattr(node, field, None)
            if isinstance(held, list):
                statements = cast("list[ast.stmt]", held)
                setattr(node, field, [each for statement in statements for each in _with_probe(statement)])
    return f"_reached = set()\n{ast.unparse(tree)}"


def _with_probe(statement: ast.stmt) -> list[ast.stmt]:
    return [*ast.parse(f"_reached.add({statement.lineno})").body, statement]


_LONG: Final = 200  # characters of what is shown


class _Lines:
    """A text by lines of bytes, as the places of nodes are counted."""

    def __init__(self, text: str) -> None:
        self._lines = text.encode().splitlines(keepends=True)
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line))
        self._data = text.encode()

    def spliced(self, node: Node, replacement: Node) -> str:
        """Give the whole text with a replacement in the place of a node."""
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = self._starts[node.lineno - 1] + node.col_offset
        end = self._starts[node.end_lineno - 1] + node.end_col_offset
        written = ast.unparse(replacement)
        if isinstance(replacement, ast.BinOp | ast.BoolOp | ast.Compare | ast.IfExp | ast.UnaryOp):
            written = f"({written})"
        return (self._data[:start] + written.encode() + self._data[end:]).decode()


def _shown(node: ast.AST) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= _LONG else f"{text[:_LONG]}…"
