"""Tests of the specification as a document."""

import re

from improto.codec import load
from improto.limits import DEPTH, Limits
from improto.messages import COMMANDS, ERROR_TEXT, Code
from improto.service import Bounds
from improto.states import TRANSITIONS
from improto_codecs import opcodes
from improto_spec import clauses
from improto_spec.render.document import EXAMPLES, render

TEXT = render()
CODE = re.compile(r"```.*?```", re.DOTALL)


def rows(heading: str) -> list[list[str]]:
    """Give the cells of the table whose head begins with `heading`."""
    table = TEXT.split(f"\n| {heading} |", 1)[1].split("\n\n", 1)[0]
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in table.splitlines()[2:]]


def test_each_clause_once() -> None:
    """Each clause stands in the document once, word for word, with whose duty it is."""
    found = re.findall(r"^- \*\*([A-Z]+-[0-9]+)\*\* \((\w+)\): (.*)$", TEXT, re.MULTILINE)
    assert sorted(found) == sorted((clause.id, clause.role, clause.text) for clause in clauses().values())


def test_each_origin_once() -> None:
    """The origin and reason of each clause stand in a table, once."""
    found = re.findall(r"^\| ([A-Z]+-[0-9]+) \| (lecture|decision) \| (.*?) \|", TEXT, re.MULTILINE)
    assert sorted(id for id, _, _ in found) == sorted(clauses())
    assert {id: origin for id, origin, _ in found} == {id: clause.origin for id, clause in clauses().items()}


def test_normative_words_stand_in_clauses() -> None:
    """No sentence outside of a clause uses MUST, SHOULD or MAY, but for the one that explains them."""
    for line in CODE.sub("", TEXT).splitlines():
        if re.search(r"\b(MUST|SHOULD|MAY)\b", line) and not line.startswith(("- **", "The key words ")):
            raise AssertionError(line)


def test_length() -> None:
    """The prose has at most 12,000 words, tables and grammar apart."""
    prose = [line for line in CODE.sub("", TEXT).splitlines() if not line.startswith("|")]
    assert len(" ".join(prose).split()) <= 12_000


def test_mentioned_clauses_exist() -> None:
    """Each clause that the text refers to is one that there is."""
    areas = {id.rpartition("-")[0] for id in clauses()}
    mentioned = {
        f"{area}-{number}" for area, number in re.findall(r"\b([A-Z]+)-([0-9]+)\b", TEXT) if area in areas
    }
    assert mentioned == set(clauses())


def test_chapters_are_numbered() -> None:
    """Chapters and their sections count 1, 2, 3 …, and each that the text refers to is there."""
    numbers = re.findall(r"^###? ([0-9.]+)\. ", TEXT, re.MULTILINE)
    chapters = [number for number in numbers if "." not in number]
    assert chapters == [str(number) for number in range(1, len(chapters) + 1)]
    for chapter in chapters:
        sections = [number for number in numbers if number.startswith(f"{chapter}.")]
        assert sections == [f"{chapter}.{number}" for number in range(1, len(sections) + 1)]
    assert set(re.findall(r"chapters? ([0-9]+(?:\.[0-9]+)?)", TEXT)) <= set(numbers)


def test_examples() -> None:
    """There is an example of each command, and its bytes in all codecs stand in the document."""
    assert [type(example) for example in EXAMPLES] == list(COMMANDS.values())
    for example in EXAMPLES:
        for name in ("ascii", "json", "pickle"):
            codec = load(name)
            shown = codec.frame(codec.encode(example)).decode("utf-8", "replace").replace("\n", "␊")
            assert f"{name:<9}{shown}" in TEXT or "\ufffd" in shown or not shown.isprintable()
        data = load("msgpack").frame(load("msgpack").encode(example)).hex(" ")
        assert data.replace(" ", "") in re.sub(r"\s", "", TEXT)


def test_codes() -> None:
    """The table of codes has all of them, in their order."""
    assert [row[0].strip("`") for row in rows("code")] == list(Code)


def test_transitions() -> None:
    """The table of states has each transition."""
    found = {(row[0], row[1], row[3]) for row in rows("state")}
    assert found == {
        (state, message.COMMAND, target)
        for state, row in TRANSITIONS.items()
        for message, target in row.items()
    }


def test_limits() -> None:
    """The table of limits gives the defaults of the code."""
    limits = Limits()
    shown = dict(rows("what"))
    assert shown == {
        "payload of a request before REGISTER has succeeded": f"{limits.greeting:,} bytes",
        "payload of a request, and of an event": f"{limits.request:,} bytes",
        "payload of ONLINE_USERS and CONVERSATIONS": f"16 MiB = {limits.roster:,} bytes",
        "username": f"1 to {limits.name} code points",
        "status": f"0 to {limits.status} code points",
        "text": f"0 to {limits.text:,} bytes",
        "conversation id": f"1 to {limits.conversation} of U+0021\u2013007E",
        "names in an INVITE": f"1 to {limits.invited}",
        "text of an ERROR": f"{ERROR_TEXT} code points",
        "nesting": f"{DEPTH} levels",
        "living conversations of one initiator": str(limits.living),
        "time until REGISTER": f"{Bounds().register:.0f} s",
    }


def test_opcodes() -> None:
    """The table of opcodes has those that the codec knows, and no other."""
    named = [row[0] for row in rows("byte")]
    found = {int(byte, 16) for cell in named for byte in re.findall(r"\b[0-9A-F]{2}\b", cell.split("`")[0])}
    assert found == set(vars(opcodes)["_OPCODES"])
