"""Tests of mutants: what the operators make of small sources."""

import ast

import pytest

from improto.messages import Delivery
from improto_conformance.zoo.automatic import MODULES
from improto_conformance.zoo.copies import load, source
from improto_conformance.zoo.mutation import Mutant, mutants, probed
from improto_conformance.zoo.mutation.operators import OPERATORS

STATEMENTS = "def f(self, x: int, y: bytes) -> list[str]:\n    "

CASES: dict[str, list[tuple[str, list[str]]]] = {
    "comparison": [
        ("a < b", ["a <= b", "a >= b"]),
        ("a >= b", ["a > b", "a < b"]),
        ("a == b", ["a != b"]),
        ("a is b", ["a is not b"]),
        ("a not in b", ["a in b"]),
        ("a < b < c", ["a <= b < c", "a >= b < c", "a < b <= c", "a < b >= c"]),
        ("a if b < c else d", ["a if b <= c else d"]),
        ("a if b == c else d", []),
    ],
    "boolean": [
        ("a and b", ["a or b", "b", "a"]),
        ("a or b or c", ["a and b and c", "b or c", "a or c", "a or b"]),
        ("not a", ["a"]),
    ],
    "arithmetic": [
        ("a + b", ["a - b"]),
        ("a * b", ["a / b"]),
        ("-a", ["a"]),
        ("a | b", ["a", "b"]),
        ("a + b'x'", ["a"]),
        ("a += b", ["a -= b"]),
    ],
    "constant": [
        ("g(7)", ["g(8)", "g(6)"]),
        ("g(0.5)", ["g(1.5)", "g(-0.5)"]),
        ("g(True)", ["g(False)"]),
        ("g('a')", ["g('')"]),
        ("g('')", ["g('x')"]),
        ("g(b'a')", ["g(b'')"]),
        ("g(f'{a}')", ["g('')"]),
        ("g(None)", []),
        (
            "g(Code.A, Code.B, Code.C)",
            ["g(Code.C, Code.B, Code.C)", "g(Code.A, Code.A, Code.C)", "g(Code.A, Code.B, Code.B)"],
        ),
        ("g(Code.A)", []),
    ],
    "return": [
        ("return x", ["return []"]),
        ("return []", []),
    ],
    "statement": [
        ("call()", ["pass"]),
        ("x.a = b", ["pass"]),
        ("x[a] = b", ["pass"]),
        ("x += b", ["pass"]),
        ("del x[a]", ["pass"]),
        ("raise x", ["pass"]),
        ("x = a", []),
        ("import x", []),
    ],
    "condition": [
        ("a if b else c", ["a if True else c", "a if False else c"]),
        ("[x for x in a if b]", ["[x for x in a if True]", "[x for x in a if False]"]),
        ("while True: x", []),
    ],
    "swap": [("a if b else c", ["a if not b else c"])],
    "slice": [
        ("x[a:b]", ["x[:b]", "x[a:]"]),
        ("x[::a]", ["x[:]"]),
        ("x[a]", []),
    ],
    "argument": [
        ("f(a, b=c)", ["f(a)"]),
        ("max(a, b)", ["max(a)"]),
        ("x.find(a, b)", ["x.find(a)"]),
        ("x.strip(a)", ["x.strip()"]),
        ("f(a)", []),
        ("zip(a, strict=b)", []),
    ],
    "function": [("min(a)", ["max(a)"]), ("any(a)", ["all(a)"]), ("min", [])],
    "element": [
        ("[a, b]", ["[b]", "[a]"]),
        ("f((a,))", ["f(())"]),
        ("{a: b, **c}", ["{**c}", "{a: b}"]),
        ("{a, b}", ["{b}", "{a}"]),
        ("a, b = b, a", []),
    ],
}


def made(text: str, operator: str | None = None) -> list[Mutant]:
    """Give the mutants of a text, or those of one operator."""
    return [mutant for mutant in mutants("a/b.py", text) if operator in (None, mutant.operator)]


@pytest.mark.parametrize(
    ("operator", "statement", "wanted"),
    [(operator, *case) for operator, cases in CASES.items() for case in cases],
)
def test_operators(operator: str, statement: str, wanted: list[str]) -> None:
    """Each operator makes of a statement what it is named after, and nothing else."""
    assert [mutant.new for mutant in made(STATEMENTS + statement, operator)] == wanted


def test_cases() -> None:
    """There is a case for each operator."""
    assert CASES.keys() == OPERATORS.keys()


@pytest.mark.parametrize(
    ("annotation", "wanted"),
    [
        ("bool", ["return True", "return False"]),
        ("bytes", ["return b''"]),
        ("int | None", ["return None"]),
        ("tuple[int, ...]", ["return ()"]),
        ("Thing", ["return None"]),
    ],
)
def test_returned(annotation: str, wanted: list[str]) -> None:
    """What is returned instead fits the annotation as far as it can."""
    found = made(f"def f(x) -> {annotation}:\n    return x", "return")
    assert [mutant.new for mutant in found] == wanted


@pytest.mark.parametrize(
    "text",
    [
        '"""A module."""',
        "__all__ = ['a', 'b']",
        "class A(B, metaclass=C):\n    '''A class.'''\n    __slots__ = ('a',)\n    a: 'int'\n    '''A field.'''",
        "@dataclass(frozen=True)\nclass A: pass",
        "def f(a: list[1], *, b: 'x') -> tuple[2, 3]: ...",
        "def __repr__(self): return 'a'",
        "raise X('a name is too long')",
        "raise X(f'{a} is too long')",
        "Value = str | int | None",
        "a = cast('x', b)",
        "a: Final = dict[str, int]",
        "import a",
        "assert a > 1",
    ],
)
def test_left_out(text: str) -> None:
    """What means nothing to peers has no mutants, but for the one without the whole `raise`."""
    assert [mutant for mutant in made(text) if mutant.operator != "statement"] == []


def test_places() -> None:
    """A mutant has the text with one edit, a name with its place, and an edit that says what is done, without it."""
    text = "class A:\n    # ü\n    def f(self):\n        'ü'\n        g('ü', a >  # why\n          b)\n"
    [first, second] = made(text, "comparison")
    assert first.text == text.replace("a >  # why\n          b", "(a >= b)")
    assert [first.name, second.name] == ["a.b:5:comparison:1", "a.b:5:comparison:2"]
    assert first.function == "A.f"
    assert first.statement == 5
    assert first.diff == "- g('ü', a > b)\n+ g('ü', a >= b)"
    [moved, _] = made(f"\n\n{text}", "comparison")
    assert moved.edit == first.edit == "g('ü', a > b) -> g('ü', a >= b)"


def test_same() -> None:
    """The same text gives the same mutants, each with a name of its own, each another text."""
    text = source("improto/outbox.py")
    found = made(text)
    assert found == made(text)
    assert len(found) == len({mutant.name for mutant in found}) == len({mutant.text for mutant in found})
    assert text not in {mutant.text for mutant in found}


@pytest.mark.parametrize("path", ["improto/outbox.py", "improto/states.py", "improto_codecs/json_codec.py"])
def test_code(path: str) -> None:
    """Each mutant is code."""
    assert path in MODULES.values()
    for mutant in mutants(path, source(path)):
        ast.parse(mutant.text)


def test_probed() -> None:
    """A probed text does the same, and tells the lines of the statements that were executed."""
    path = "improto/outbox.py"
    lines: list[str] = source(path).splitlines()
    module = load({path: probed(source(path))}).module("improto.outbox")
    outbox = module.Outbox()
    outbox.put(b"ab", Delivery.REPLY)
    assert outbox.take() == [b"ab"]
    reached: set[int] = module._reached
    executed = {lines[number - 1].strip() for number in reached}
    assert {"class Outbox:", "self.pieces.append(data)", "return pieces"} <= executed
    assert "self._snapshot = len(self.pieces)" not in executed
