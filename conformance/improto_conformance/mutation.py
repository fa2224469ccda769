"""Makes mutants of a module: its text with one small fault in it, of the kinds that programmers make.

    for mutant in mutants("improto/server.py", text):
        mutant.name         improto.server:334:comparison:1
        mutant.diff         what stands there, and what stands there instead
        mutant.text         the whole text with the fault

The same text gives the same mutants in the same order.  What no server shows to its peers is left as it is:
docstrings, annotations, decorators, `__all__` and its like, `__str__`, and prose, which is the words of errors.
"""

import ast
import builtins
import copy
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

__all__ = ["OPERATORS", "Mutant", "dotted", "mutants", "probed"]


@dataclass(frozen=True, slots=True)
class Mutant:
    """One faulty text."""

    path: str
    line: int
    operator: str
    number: int
    """Tells it from others of the same operator in the same line."""
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
    tree = ast.parse(text)
    members = _members(tree)
    lines = _Lines(text)
    numbers: dict[tuple[int, str], int] = {}
    for site in _sites(tree, ()):
        replacements = [
            (operator, replacement)
            for operator, function in OPERATORS.items()
            for replacement in function(site, members)
        ]
        context = site.context if replacements else site.node
        for operator, replacement in replacements:
            place = site.node.lineno, operator
            numbers[place] = numbers.get(place, 0) + 1
            new = copy.deepcopy(context, {id(site.node): replacement})
            yield Mutant(
                path,
                *place,
                numbers[place],
                site.function,
                _shown(context),
                _shown(new),
                site.statement,
                lines.spliced(site.node, replacement),
            )


def probed(text: str) -> str:
    """Give a module's text that does the same and keeps the lines of all statements that it executes in `_reached`."""
    tree = ast.parse(text)
    for node in list(ast.walk(tree)):
        for field in ("body", "orelse", "finalbody"):
            statements = getattr(node, field, None)
            if isinstance(statements, list):
                setattr(node, field, [each for statement in statements for each in _with_probe(statement)])
    return f"_reached = set()\n{ast.unparse(tree)}"


def _with_probe(statement: ast.stmt) -> list[ast.stmt]:
    return [*ast.parse(f"_reached.add({statement.lineno})").body, statement]


# ---- Where faults can be.

_WIDTH: Final = 100  # characters of what is shown around a fault
_Node = ast.expr | ast.stmt
_Members = Mapping[str, Sequence[str]]
"""Enumeration → those of its members that the module names."""


class _Site(NamedTuple):
    """A node that may be replaced, and the nodes around it from the outside in."""

    node: _Node
    around: tuple[ast.AST, ...]

    @property
    def parent(self) -> ast.AST:
        return self.around[-1]

    @property
    def function(self) -> str:
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


def _sites(node: ast.AST, around: tuple[ast.AST, ...]) -> Iterator[_Site]:
    if _is_out(node, around):
        return
    if isinstance(node, ast.expr | ast.stmt):
        yield _Site(node, around)
    if isinstance(node, ast.JoinedStr):  # what is in it has no places of its own
        return
    children = [
        child
        for field, value in ast.iter_fields(node)
        if field not in _LEFT_OUT or isinstance(node, ast.Call)
        for child in (value if isinstance(value, list) else [value])
        if isinstance(child, ast.AST)
    ]
    if _calls(node, "cast"):
        children = children[-1:]
    for child in children:
        yield from _sites(child, (*around, node))


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


# ---- What may stand there instead.


def _comparison(site: _Site, members: _Members) -> Iterator[_Node]:
    if isinstance(site.node, ast.Compare):
        for index, operator in enumerate(site.node.ops):
            others = _COMPARED[type(operator)]
            # Of a whole condition the opposite is found wherever one of always and never is.
            for other in others[:-1] if site.node in _tests(site.parent) else others:
                ops = [*site.node.ops[:index], other(), *site.node.ops[index + 1 :]]
                yield ast.Compare(site.node.left, ops, site.node.comparators)


_COMPARED: Final[Mapping[type[ast.cmpop], Sequence[type[ast.cmpop]]]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}


def _boolean(site: _Site, members: _Members) -> Iterator[_Node]:
    match site.node:
        case ast.BoolOp(op, values):
            yield ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
            for index in range(len(values)):
                rest = _without(values, index)
                yield ast.BoolOp(op, rest) if len(rest) > 1 else rest[0]
        case ast.UnaryOp(ast.Not(), operand):
            yield operand
        case _:
            pass


def _arithmetic(site: _Site, members: _Members) -> Iterator[_Node]:
    match site.node:
        case ast.UnaryOp(ast.USub(), operand):
            yield operand
        case ast.BinOp(left, ast.BitOr(), right):
            yield from (left, right)
        case ast.BinOp(left, ast.Add() | ast.Mod(), right) if _is_text(left) or _is_text(right):
            yield left
        case ast.BinOp(left, op, right) if type(op) in _COMPUTED:
            yield ast.BinOp(left, _COMPUTED[type(op)](), right)
        case ast.AugAssign(target, op, value) if type(op) in _COMPUTED:
            yield ast.AugAssign(target, _COMPUTED[type(op)](), value)
        case _:
            pass


_COMPUTED: Final[Mapping[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
}


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
    )


def _constant(site: _Site, members: _Members) -> Iterator[_Node]:
    match site.node:
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value) | float(value)):
            yield from (ast.Constant(value + 1), ast.Constant(value - 1))
        case ast.Constant(value=str(text)):
            yield ast.Constant("" if text else "x")
        case ast.Constant(value=bytes(data)):
            yield ast.Constant(b"" if data else b"x")
        case ast.JoinedStr():
            yield ast.Constant("")
        case ast.Attribute(ast.Name(owner) as name, attr) if attr in members.get(owner, ()):
            others = members[owner]
            if len(others) > 1:
                yield ast.Attribute(name, others[others.index(attr) - 1], ast.Load())
        case _:
            pass


def _return(site: _Site, members: _Members) -> Iterator[_Node]:
    match site.node:
        case ast.Return(ast.expr() as value):
            kind = re.match(r"\w*", site.returns)
            empty = _EMPTY.get(kind[0] if kind else "", ["None"])
            for text in ["None"] if "None" in site.returns else empty:
                if ast.unparse(value) != text:
                    yield ast.Return(ast.parse(text, mode="eval").body)
        case _:
            pass


_EMPTY: Final[Mapping[str, Sequence[str]]] = {
    "bool": ("True", "False"),
    "bytes": ('b""',),
    "dict": ("{}",),
    "float": ("0.0",),
    "int": ("0",),
    "list": ("[]",),
    "Mapping": ("{}",),
    "Sequence": ("[]",),
    "str": ('""',),
    "tuple": ("()",),
}


def _statement(site: _Site, members: _Members) -> Iterator[_Node]:
    """Leave a statement out."""
    match site.node:
        case ast.Expr() | ast.AugAssign() | ast.Delete() | ast.Raise() | ast.Continue() | ast.Break():
            yield ast.Pass()
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript(), *_]):
            yield ast.Pass()
        case _:
            pass


def _condition(site: _Site, members: _Members) -> Iterator[_Node]:
    """Make a condition hold always, or never."""
    if site.node in _tests(site.parent) and not isinstance(site.node, ast.Constant):
        yield from (ast.Constant(True), ast.Constant(False))


def _tests(node: ast.AST) -> Sequence[ast.AST]:
    """Give the conditions of a node itself."""
    match node:
        case ast.If(test) | ast.While(test) | ast.IfExp(test):
            return [test]
        case ast.comprehension(ifs=ifs):
            return ifs
        case ast.match_case(guard=ast.expr() as guard):
            return [guard]
        case _:
            return []


def _swap(site: _Site, members: _Members) -> Iterator[_Node]:
    """Take each branch for the other."""
    match site.parent, site.node:
        case ast.If(_, _, [_, *_]) | ast.IfExp(), ast.expr() as test if test in _tests(site.parent):
            yield ast.UnaryOp(ast.Not(), test)
        case _:
            pass


def _slice(site: _Site, members: _Members) -> Iterator[_Node]:
    match site.node:
        case ast.Subscript(value, ast.Slice(lower, upper, step), ctx):
            if lower is not None:
                yield ast.Subscript(value, ast.Slice(None, upper, step), ctx)
            if upper is not None:
                yield ast.Subscript(value, ast.Slice(lower, None, step), ctx)
            if step is not None:
                yield ast.Subscript(value, ast.Slice(lower, upper, None), ctx)
        case _:
            pass


def _argument(site: _Site, members: _Members) -> Iterator[_Node]:
    """Leave an argument out, if that may be allowed."""
    match site.node:
        case ast.Call(ast.Name("field" | "isinstance" | "cast")):
            pass
        case ast.Call(function, arguments, keywords):
            for index in range(len(keywords)):
                if keywords[index].arg != "strict":  # which only makes a mistake of ours raise
                    yield ast.Call(function, arguments, _without(keywords, index))
            if arguments and _takes_fewer(function, len(arguments)):
                yield ast.Call(function, arguments[:-1], keywords)
        case _:
            pass


def _takes_fewer(function: ast.expr, count: int) -> bool:
    match function:
        case ast.Name(name):
            return count > 1 and hasattr(builtins, name)
        case ast.Attribute(ast.Name("self")):
            return False
        case ast.Attribute(_, attr):
            return count > 1 or attr in ("decode", "encode", "lstrip", "rstrip", "split", "strip")
        case _:
            return False


def _function(site: _Site, members: _Members) -> Iterator[_Node]:
    """Take a function for its opposite."""
    match site.parent, site.node:
        case ast.Call(function), ast.Name(name) if function is site.node and name in _OPPOSITES:
            yield ast.Name(_OPPOSITES[name], ast.Load())
        case _:
            pass


_OPPOSITES: Final = {"all": "any", "any": "all", "max": "min", "min": "max"}


def _element(site: _Site, members: _Members) -> Iterator[_Node]:
    """Leave an element out of a display."""
    several = isinstance(site.parent, ast.Return | ast.Assign | ast.Match | ast.Subscript)
    if several and isinstance(site.node, ast.Tuple):  # each value has its place
        return
    match site.node:
        case ast.Tuple(elements, ast.Load()) | ast.List(elements, ast.Load()):
            for index in range(len(elements)):
                yield type(site.node)(_without(elements, index), ast.Load())
        case ast.Set([_, _, *_] as elements):
            for index in range(len(elements)):
                yield ast.Set(_without(elements, index))
        case ast.Dict(keys, values):
            for index in range(len(keys)):
                yield ast.Dict(_without(keys, index), _without(values, index))
        case _:
            pass


_Operator = Callable[[_Site, _Members], Iterator[_Node]]

OPERATORS: Final[Mapping[str, _Operator]] = {
    "comparison": _comparison,
    "boolean": _boolean,
    "arithmetic": _arithmetic,
    "constant": _constant,
    "return": _return,
    "statement": _statement,
    "condition": _condition,
    "swap": _swap,
    "slice": _slice,
    "argument": _argument,
    "function": _function,
    "element": _element,
}
"""The kinds of faults, by name."""

_Item = TypeVar("_Item")


def _without(items: Sequence[_Item], index: int) -> list[_Item]:
    return [*items[:index], *items[index + 1 :]]


# ---- Text.


class _Lines:
    """A text by lines of bytes, as the places of nodes are counted."""

    def __init__(self, text: str) -> None:
        self._lines = text.encode().splitlines(keepends=True)
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line))
        self._data = text.encode()

    def spliced(self, node: _Node, replacement: _Node) -> str:
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
    return text if len(text) <= 2 * _WIDTH else f"{text[: 2 * _WIDTH]}…"
