"""Where in a module a fault can be: all nodes except those that mean nothing to peers."""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple, cast

__all__ = ["Node", "Place", "places"]

_WIDTH: Final = 100  # characters of what is shown around a fault
Node = ast.expr | ast.stmt
_Members = Mapping[str, Sequence[str]]


class Place(NamedTuple):
    """A node that may be replaced, and the nodes around it from the outside in."""

    node: Node
    around: tuple[ast.AST, ...]
    members: _Members
    """Enumeration → those of its members that the module names."""

    @property
    def parent(self) -> ast.AST:
        """The innermost node around."""
        return self.around[-1]

    @property
    def function(self) -> str:
        """The names of the classes and functions around, with dots."""
        return ".".join(node.name for node in self.around if isinstance(node, _NAMED))

    @property
    def returns(self) -> str:
        """The annotation of what the function around it returns."""
        functions = [node for node in self.around if isinstance(node, _FUNCTIONS)]
        found = functions[-1].returns if functions else None
        return "" if found is None else ast.unparse(found)

    @property
    def statement(self) -> int:
        """The line where the statement begins that is executed."""
        return [node for node in (*self.around, self.node) if isinstance(node, ast.stmt)][-1].lineno

    @property
    def context(self) -> ast.AST:
        """The widest node around that fits a line and is not more than a statement."""
        found: ast.AST = self.node
        for node in reversed(self.around):
            if not isinstance(self.node, ast.expr) or not isinstance(node, _SHOWN):
                break
            if _holds_others(node) or len(ast.unparse(node)) > _WIDTH:
                break
            found = node
        return found


def _holds_others(node: ast.AST) -> bool:
    """Tell whether a node is a statement with statements in it."""
    return isinstance(node, ast.stmt) and (hasattr(node, "body") or isinstance(node, ast.Match))


_SHOWN: Final = (ast.expr, ast.keyword, ast.comprehension, ast.stmt)
_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)
_NAMED: Final = (ast.ClassDef, *_FUNCTIONS)
_LEFT_OUT: Final = ("annotation", "returns", "decorator_list", "bases", "keywords")  # of definitions
_GENERICS: Final = {
    "Annotated",
    "Callable",
    "ClassVar",
    "Final",
    "Mapping",
    "deque",
    "dict",
    "list",
    "set",
    "tuple",
    "type",
}


def places(tree: ast.Module) -> Iterator[Place]:
    """Give all places of a module where a fault means something."""
    return _within(tree, (), _members(tree))


def _within(node: ast.AST, around: tuple[ast.AST, ...], members: _Members) -> Iterator[Place]:
    if _is_out(node, around):
        return
    if isinstance(node, ast.expr | ast.stmt):
        yield Place(node, around, members)
    if isinstance(node, ast.JoinedStr):  # what is in it has no places of its own
        return
    children = _children(node)
    if _calls(node, "cast"):
        children = children[-1:]
    for child in children:
        yield from _within(child, (*around, node), members)


def _children(node: ast.AST) -> list[ast.AST]:
    left_out: list[object] = []
    for field in () if isinstance(node, ast.Call) else _LEFT_OUT:
        value: object = getattr(node, field, None)
        left_out += cast("list[object]", value) if isinstance(value, list) else [value]
    return [child for child in ast.iter_child_nodes(node) if child not in left_out]


def _is_out(node: ast.AST, around: Sequence[ast.AST]) -> bool:
    """Tell whether nothing in a node means anything to peers."""
    match node:
        case ast.Import() | ast.ImportFrom() | ast.Assert() | ast.Expr(value=ast.Constant()):
            return True
        case ast.FunctionDef(name="__str__" | "__repr__"):
            return True
        case ast.Assign(targets=[ast.Name(id)], value=value):
            return id.startswith("__") or (len(around) == 1 and _is_type(value))
        case ast.AnnAssign(target=ast.Name(id)):
            return id.startswith("__")
        case ast.Subscript(value=ast.Name(id)):
            return id in _GENERICS
        case ast.keyword(arg="strict"):
            return True
        case ast.Constant(value=str(text)):
            return _is_prose(text)
        case ast.JoinedStr(values=values):
            return _is_prose("".join(ast.unparse(v) if isinstance(v, ast.Constant) else "X" for v in values))
        case _:
            return False


def _is_type(node: ast.expr) -> bool:
    """Tell whether an expression is a union of types."""
    return (
        isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.BitOr)
        and not any(isinstance(each, ast.Call | ast.Dict) for each in ast.walk(node))
    )


def _is_prose(text: str) -> bool:
    return re.search(r"[a-z]{2},? [A-Za-z]|X [a-z]{2}", text) is not None


def _calls(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name


_OF_MESSAGES: Final = ("COMMAND", "FIELDS", "FROM", "DELIVERY")  # which look like members


def _members(tree: ast.AST) -> _Members:
    found: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(owner), attr=name) if (
                name.isupper() and owner.lstrip("_").istitle() and name not in _OF_MESSAGES
            ):
                found.setdefault(owner, set()).add(name)
            case _:
                pass
    return {owner: sorted(names) for owner, names in found.items()}
