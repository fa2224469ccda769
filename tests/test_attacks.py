"""Tests of the attacks on codecs: that each stays in its bounds, and that what does not is told."""

import sys
from pathlib import Path

import pytest

from improto.cli import USAGE, main
from improto.limits import Limits
from improto_conformance.codecs.attacks import ATTACKS, TOPICS
from improto_conformance.codecs.attacks.measure import BOUNDS, Measured, measure
from improto_conformance.commands.attacks import Setting, table

# Each is as costly in the same way as another one that is tried here, or with eight times as much.  They take longer than all
# others together, and `bash .ci/run attacks` tries them, too.
LARGE = {
    *(
        f"msgpack/megabytes-of-{what}"
        for what in ("arrays-of-arrays", "map-of-arrays", "map-of-strs", "maps")
    ),
    *(f"pickle/{name}" for name in ("memoized-too-often", "most-lists", "most-maps", "too-many-lists")),
    *(f"pickle/million-{what}" for what in ("lists", "lists-left", "maps", "tuples")),
    *(
        f"pickle/{name}"
        for name in ("key-million-times", "long-text-million-times", "memoized", "octal-escapes")
    ),
}
TRIED = [id for id in ATTACKS if id not in LARGE]


def test_attacks_stay_in_their_bounds() -> None:
    """An attack ends as it has to, takes no more memory and time than its bytes allow, and executes nothing."""
    measured = list(measure(map(ATTACKS.__getitem__, TRIED), jobs=2))
    assert [one.id for one in measured] == TRIED
    assert [(one.id, why) for one in measured for why in one.complaints(ATTACKS[one.id])] == []


def test_those_left_out_exist() -> None:
    """What is left to the command is what it tries."""
    assert ATTACKS.keys() >= LARGE


@pytest.mark.parametrize(
    ("without", "codecs"),
    [
        ("without improto[fast]", ["ascii", "json"]),
        ("without improto[fast], msgpack without its extension", ["msgpack"]),
    ],
)
def test_attacks_without_what_is_optional(without: str, codecs: list[str]) -> None:
    """What is in the place of optional packages, and of an extension that cannot be built, is as safe.

    Every third attack is tried here, and `bash .ci/run attacks` tries all of them.
    """
    ids = [id for id in TRIED if ATTACKS[id].codec in codecs and "/megabytes-" not in id][::3]
    measured = list(Setting(sys.executable, without).run(ids))
    assert len(measured) == len(ids)
    assert [complaint for one in measured for complaint in one.complaints(ATTACKS[one.id])] == []


@pytest.mark.parametrize(
    ("measured", "complaint"),
    [
        (Measured("", "message"), "has to be malformed, and was message"),
        (Measured("", "malformed", fatal=True), "has to be malformed, and was malformed and fatal"),
        (Measured("", "SIGXCPU"), "and was SIGXCPU"),
        (Measured("", "malformed", intact=False), "what follows"),
        (Measured("", "malformed", executed=("import",)), "made the interpreter act: import"),
        (Measured("", "malformed", fed=100, memory=10_000_000), "took 10,000,000 bytes of memory"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_is_told(measured: Measured, complaint: str) -> None:
    """Each way in which an attack may succeed gives one complaint."""
    (said,) = measured.complaints(ATTACKS["msgpack/trailing-byte"])
    assert complaint in said


def test_bounds_grow_with_what_is_held() -> None:
    """Memory is bound by the limit and one chunk, however many bytes come; time by the bytes that come."""
    bounds, limit = BOUNDS["json"], Limits().request
    assert bounds.bytes(limit, 2**30) == bounds.bytes(limit, 2**20)
    assert bounds.bytes(limit, 2**10) < bounds.bytes(limit, 2**16)
    assert bounds.seconds(2**24) > 16 * bounds.seconds(2**16)


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command runs the attacks that are asked for and writes the table."""
    page = tmp_path / "attacks.md"
    assert main(["attacks", "--only", "json/nan*", "--table", str(page)]) == 0
    assert "2 attacks" in capsys.readouterr().out
    text = page.read_text(encoding="utf-8")
    assert "| nan | NaN in a field that is ignored | 31 | malformed |" in text
    assert "## ascii" not in text


def test_published_table_has_all() -> None:
    """The published table tells of each attack: `bash .ci/run attacks` writes it anew."""
    page = (Path(__file__).parent.parent / "docs" / "attacks.md").read_text(encoding="utf-8")
    assert [id for id, attack in ATTACKS.items() if f"| {attack.name} | {attack.title} |" not in page] == []


def test_table_has_the_largest_values() -> None:
    """Of several settings the table shows the largest values, and each way in which an attack has ended."""
    results = {
        "here": [Measured("json/nan", "malformed", memory=2**20, seconds=0.002, fed=1234)],
        "there": [Measured("json/nan", "too-large", fatal=True, memory=2**21, seconds=0.001)],
    }
    (row,) = [line for line in table(results) if line.startswith("| nan |")]
    assert row.endswith("| 1,234 | malformed or too-large, fatal | 2.0 | 2.0 |")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--only", "json/nothing"], "no attack has such a name"),
        (["--only", "json/nan", "--python", "no-such-python"], "; name one in which improto is installed"),
    ],
)
def test_usage(wrong: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be run is said, with exit code 2."""
    assert main(["attacks", *wrong]) == USAGE
    assert said in capsys.readouterr().err


def test_each_attack_has_its_name_once() -> None:
    """No attack hides another one of the same name."""
    assert len(ATTACKS) == sum(len(topic.ATTACKS) for topic in TOPICS)
