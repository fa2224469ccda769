"""Tests of automatic mutants: how they are tried.  The whole of it is a command of its own; here a few are tried."""

from dataclasses import replace
from pathlib import Path

import pytest

from improto.cli import USAGE, main
from improto_conformance.commands import zoo
from improto_conformance.zoo.automatic import MODULES, WAYS, Reach, Way, reach, try_all
from improto_conformance.zoo.copies import source
from improto_conformance.zoo.mutation import Mutant, mutants
from improto_conformance.zoo.survivors import (
    Explanation,
    Fate,
    Tried,
    explanations,
    report,
    stale,
    unexplained,
)

JSON = "improto_codecs/json_codec.py"


def place(path: str, text: str) -> int:
    """Give the line of a file that begins with a text."""
    [found] = [n for n, line in enumerate(source(path).splitlines(), 1) if line.lstrip().startswith(text)]
    return found


@pytest.fixture(scope="module")
def reached() -> Reach:
    """Give what the checks execute of the json codec."""
    return reach([JSON])


def test_reach(reached: Reach) -> None:
    """It is known of each check which statements it executes."""
    by_check = reached[Way("server", "json")]
    mark = place(JSON, 'raise DecodeError(Code.MALFORMED, "a byte order mark')
    with_mark = {name for name, lines in by_check.items() if mark in lines[JSON]}
    assert "JSON-8/forms" in with_mark
    assert "SEND-2/all-members" not in with_mark
    assert place(JSON, "_ENCODER: Final") in by_check[""][JSON]


def test_fates(reached: Reach) -> None:
    """A mutant is killed by a check that fails or takes too much time, or survives; the next one is tried anew."""
    line = place(JSON, 'raise DecodeError(Code.MALFORMED, "the message is not an object")')
    found = mutants(JSON, source(JSON))
    [wrong] = [each for each in found if each.line == line and each.operator == "statement"]
    harmless = replace(wrong, text=source(JSON))
    endless = replace(
        wrong,
        text=wrong.text.replace(
            "def decode(", "def decode(self, *_):\n        while True:\n            pass\n\n    def old("
        ),
    )
    by_check = reached[Way("server", "json")]
    little: Reach = {
        Way("server", "json"): {name: by_check[name] for name in ("", "JSON-7/forms")},
        Way("vectors", "json"): {"": {}},
    }
    tried = list(try_all([wrong, endless, harmless], little))
    assert [one.fate for one in tried] == [Fate.KILLED, Fate.STOPPED, Fate.SURVIVED]
    assert [one.by for one in tried] == ["JSON-7/forms", "JSON-7/forms", ""]


def test_vectors() -> None:
    """What no check of servers sees is found by the vectors, decoded and encoded."""
    found = [each for each in mutants(JSON, source(JSON)) if each.function == "JsonCodec.encode"]
    lines = {JSON: frozenset(each.statement for each in found)}
    reached: Reach = {
        Way("server", "json"): {"": {}},
        Way("vectors", "json"): {"": {}, "json/join": lines},
    }
    [tried] = try_all([each for each in found if each.operator == "return"], reached)
    assert (tried.fate, tried.by) == (Fate.KILLED, "json/join")


def test_vectors_of_what_is_no_json() -> None:
    """A mutant that puts bytes into a message is killed by the vector that shows it, though no program could say so."""
    path, vector = "improto_codecs/msgpack_codec.py", "msgpack/ext8-empty-for-text"
    line = place(path, '"".join(texts)')
    [wrong] = [
        each for each in mutants(path, source(path)) if (each.line, each.operator) == (line, "statement")
    ]
    reached: Reach = {
        Way("server", "msgpack"): {"": {}},
        Way("vectors", "msgpack"): {"": {}, vector: {path: frozenset([wrong.statement])}},
    }
    [tried] = try_all([wrong], reached)
    assert (tried.fate, tried.by) == (Fate.KILLED, vector)


def test_not_reached() -> None:
    """A mutant that nothing executes is not even tried."""
    path = "improto/outbox.py"
    nothing: Reach = {way: {"": {}} for way in WAYS[path]}
    chosen = list(mutants(path, source(path)))
    assert [one.fate for one in try_all(chosen, nothing)] == [Fate.UNREACHED] * len(chosen)


def test_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """A pattern of no module is refused with the names of all."""
    assert main(["zoo", "--automatic", "--module", "nothing"]) == USAGE
    assert "improto.server" in capsys.readouterr().err


def test_run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A run tells of survivors that nobody has explained, fails for them, and writes the report."""

    def few(path: str, text: str) -> list[Mutant]:
        return [mutant for mutant in mutants(path, text) if mutant.function == "Session.next"]

    monkeypatch.setattr(zoo, "mutants", few)
    monkeypatch.setattr(zoo, "explanations", list[Explanation])
    file = tmp_path / "report.md"
    assert main(["zoo", "--automatic", "--module=improto.session", "--jobs=1", f"--report={file}"]) == 1
    shown = capsys.readouterr().out
    assert shown.startswith("SURVIVED improto.session:")
    assert "| 4 | unexplained |" in shown
    assert shown.splitlines()[-1] in file.read_text(encoding="utf-8")


def tried(fate: Fate, edit: str, module: str = "a/b.py") -> Tried:
    """Give a mutant with a fate."""
    old, _, new = edit.partition(" -> ")
    return Tried(Mutant(module, 1, "constant", 1, "A.f", old, new, 1, ""), fate)


def test_explained() -> None:
    """An explanation covers the survivors of its function, or those of its edits; one that covers none is stale."""
    all_tried = [
        tried(Fate.SURVIVED, "1 -> 2"),
        tried(Fate.UNREACHED, "2 -> 3"),
        tried(Fate.KILLED, "3 -> 4"),
    ]
    one = Explanation("a.b", "A.f", "equivalent", "x", ("1 -> 2", "3 -> 4"))
    whole = Explanation("a.b", "A.*", "embedder", "x")
    other = Explanation("a.b", "B.f", "embedder", "x")
    elsewhere = Explanation("c", "A.f", "embedder", "x")
    assert unexplained(all_tried, [one]) == [all_tried[1]]
    assert unexplained(all_tried, [one, whole]) == []
    assert list(stale(all_tried, [one, whole, other, elsewhere])) == [
        "a.b A.f: 3 -> 4",
        "a.b B.f: nothing survives there any more",
    ]


def test_report() -> None:
    """The scores leave out the equivalent, and the harmless; each survivor is counted under its reason."""
    fates = [Fate.KILLED, Fate.STOPPED, Fate.SURVIVED, Fate.UNREACHED, Fate.SURVIVED, Fate.SURVIVED]
    all_tried = [tried(fate, f"{number} -> 9") for number, fate in enumerate(fates)]
    explained = [
        Explanation("a.b", "A.f", "equivalent", "it is the same", ("2 -> 9",)),
        Explanation("a.b", "A.f", "hole", "nobody has tried it", ("3 -> 9",)),
        Explanation("a.b", "A.f", "freedom", "it may", ("5 -> 9",)),
    ]
    lines = list(report(all_tried, explained))
    assert "| a.b | 6 | 2 | 1 | 4 | 1 | 1 | 40.0% | 50.0% |" in lines
    assert "| 1 | hole: a check is missing |" in lines
    assert "| `A.f` | 1 | equivalent: it is the same |" in lines
    assert "- a.b:1:constant:1 `4 -> 9`" in lines


def test_explanations_fit() -> None:
    """Each explanation is of mutants that there are."""
    explained = explanations()
    made = {module: list(mutants(path, source(path))) for module, path in MODULES.items()}
    for each in explained:
        found = {mutant.edit for mutant in made[each.module] if each.covers(mutant)}
        assert found
        assert found >= set(each.edits)
