"""The kinds of faults: each is a function that gives, for a place in the code, the nodes that can replace it."""

import ast
import builtins
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, TypeVar

from improto_conformance.zoo.mutation.places import Node, Place

__all__ = ["OPERATORS"]


def _comparison(place: Place) -> Iterator[Node]:
    if isinstance(place.node, ast.Compare):
        for index, operator in enumerate(place.node.ops):
            others = _COMPARED[type(operator)]
            # Of a whole condition the opposite is found wherever one of always and never is.
            for other in others[:-1] if place.node in _tests(place.parent) else others:
                ops = [*place.node.ops[:index], other(), *place.node.ops[index + 1 :]]
                yield ast.Compare(place.node.left, ops, place.node.comparators)


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


def _boolean(place: Place) -> Iterator[Node]:
    match place.node:
        case ast.BoolOp(op, values):
            yield ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
            for index in range(len(values)):
                rest = _without(values, index)
                yield ast.BoolOp(op, rest) if len(rest) > 1 else rest[0]
        case ast.UnaryOp(ast.Not(), operand):
            yield operand
        case _:
            pass


def _arithmetic(place: Place) -> Iterator[Node]:
    match place.node:
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


def _constant(place: Place) -> Iterator[Node]:
    match place.node:
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
        case ast.Attribute(ast.Name(owner) as name, attr) if attr in place.members.get(owner, ()):
            others = place.members[owner]
            if len(others) > 1:
                yield ast.Attribute(name, others[others.index(attr) - 1], ast.Load())
        case _:
            pass


def _return(place: Place) -> Iterator[Node]:
    match place.node:
        case ast.Return(ast.expr() as value):
            kind = re.match(r"\w*", place.returns)
            empty = _EMPTY.get(kind[0] if kind else "", ["None"])
            for text in ["None"] if "None" in place.returns else empty:
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


def _statement(place: Place) -> Iterator[Node]:
    """Leave a statement out."""
    match place.node:
        case ast.Expr() | ast.AugAssign() | ast.Delete() | ast.Raise() | ast.Continue() | ast.Break():
            yield ast.Pass()
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript(), *_]):
            yield ast.Pass()
        case _:
            pass


def _condition(place: Place) -> Iterator[Node]:
    """Make a condition always true, or always false."""
    if place.node in _tests(place.parent) and not isinstance(place.node, ast.Constant):
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


def _swap(place: Place) -> Iterator[Node]:
    """Exchange the branches."""
    match place.parent, place.node:
        case ast.If(_, _, [_, *_]) | ast.IfExp(), ast.expr() as test if test in _tests(place.parent):
            yield ast.UnaryOp(ast.Not(), test)
        case _:
            pass


def _slice(place: Place) -> Iterator[Node]:
    match place.node:
        case ast.Subscript(value, ast.Slice(lower, upper, step), ctx):
            if lower is not None:
                yield ast.Subscript(value, ast.Slice(None, upper, step), ctx)
            if upper is not None:
                yield ast.Subscript(value, ast.Slice(lower, None, step), ctx)
            if step is not None:
                yield ast.Subscript(value, ast.Slice(lower, upper, None), ctx)
        case _:
            pass


def _argument(place: Place) -> Iterator[Node]:
    """Leave an argument out, if it may be optional."""
    match place.node:
        case ast.Call(ast.Name("field" | "isinstance" | "cast")):
            pass
        case ast.Call(function, arguments, keywords):
            for index in range(len(keywords)):
                if keywords[index].arg != "strict":  # which would only raise an exception
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


def _function(place: Place) -> Iterator[Node]:
    """Replace a function by its opposite."""
    match place.parent, place.node:
        case ast.Call(function), ast.Name(name) if function is place.node and name in _OPPOSITES:
            yield ast.Name(_OPPOSITES[name], ast.Load())
        case _:
            pass


_OPPOSITES: Final = {"all": "any", "any": "all", "max": "min", "min": "max"}


def _element(place: Place) -> Iterator[Node]:
    """Leave an element out of a display."""
    several = isinstance(place.parent, ast.Return | ast.Assign | ast.Match | ast.Subscript)
    if several and isinstance(place.node, ast.Tuple):  # each value has its place
        return
    match place.node:
        case ast.Tuple(elements, ast.Load()) | ast.List(elements, ast.Load()):
            for index in range(len(elements)):
                yield type(place.node)(_without(elements, index), ast.Load())
        case ast.Set([_, _, *_] as elements):
            for index in range(len(elements)):
                yield ast.Set(_without(elements, index))
        case ast.Dict(keys, values):
            for index in range(len(keys)):
                yield ast.Dict(_without(keys, index), _without(values, index))
        case _:
            pass


_Operator = Callable[[Place], Iterator[Node]]

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
