"""Transcripts as JSON lines."""

import json
from collections.abc import Iterable
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path

import pytest

from improto.codec import available, load, load_all
from improto.messages import Role
from improto.server import Hub
from improto.service import Service
from improto_conformance.profile import Profile
from improto_conformance.results import Result
from improto_conformance.servers.checks import CHECKS
from improto_conformance.servers.runner import Settings, run
from improto_conformance.servers.targets import in_process
from improto_conformance.transcripts.records import NoRecord, Record, from_file, read, write
from improto_conformance.transcripts.transcript import Event, Transcript


def make() -> Service:
    """Make the reference server."""
    return Service(Hub(), load_all())


def file(lines: Iterable[str]) -> StringIO:
    """Give a file with these lines."""
    return StringIO("".join(f"{line}\n" for line in lines))


@pytest.fixture(scope="module", params=available())
def results(request: pytest.FixtureRequest) -> list[Result]:
    """Run each third check in one codec."""
    return run(in_process(make), CHECKS[::3], Settings(Profile([request.param]), jobs=1))


def test_round_trip(results: list[Result]) -> None:
    """What checks leave behind is the same after writing and reading, times and bytes included."""
    for result in results:
        codec = result.codec
        record = Record(result.transcript, result.check.name, result.check.clause, codec, about={"a": "b"})
        again = read(file(write(record)))
        assert again.transcript == record.transcript
        for old, new in zip(record.transcript.entries, again.transcript.entries, strict=True):
            assert new.data == old.data
            assert new.time == pytest.approx(old.time, abs=1e-6)
        assert (again.check, again.clause, again.codec, again.about) == (
            result.check.name,
            result.check.clause,
            codec,
            {"a": "b"},
        )


def test_bytes_are_the_stream(results: list[Result]) -> None:
    """The bytes of all that a connection received are its stream: a reader takes the same messages out of it."""
    for result in results:
        seen = result.transcript
        for party, codec in seen.codecs.items():
            reader = load(codec).reader(Role.SERVER)
            for entry in seen.of(party):
                if entry.event in (Event.RECEIVED, Event.CLOSED):
                    reader.feed(entry.data)
                if entry.event is Event.RECEIVED:
                    assert reader.next(1 << 24) == entry.item
            assert reader.next(1 << 24) is None


HEAD = next(write(Record(Transcript())))
CLOSED = json.dumps({"time": 1.0, "connection": "ann", "event": "closed"})


def changed(line: str, **members: object) -> str:
    """Give a line with other members."""
    return json.dumps({**json.loads(line), **members})


def without(line: str, name: str) -> str:
    """Give a line without a member."""
    return json.dumps({key: value for key, value in json.loads(line).items() if key != name})


@pytest.mark.parametrize(
    ("lines", "place"),
    [
        ([], "line 1"),
        (["{"], "line 1"),
        (["[]"], "line 1"),
        (['{"transcript": 2}'], "version 2, .* use the version of improto that has written it"),
        ([json.dumps({"transcript": 1}), "{}"], "line 1"),
        ([HEAD, '{"event": "sung"}'], "line 2"),
        ([HEAD, "[" * 100_000], "line 2"),
        *(
            ([changed(HEAD, **{name: 5})], "line 1")
            for name in ("suffix", "check", "codecs", "codec", "about")
        ),
        ([changed(HEAD, codecs={"ann": ["json"]})], "line 1"),
        *(([without(HEAD, name)], "line 1") for name in ("check", "codec", "cut", "private", "about")),
        ([changed(HEAD, suffix="\ud800")], "line 1"),
        ([HEAD, changed(CLOSED, time=10**400)], "line 2"),
        ([HEAD, changed(CLOSED, connection=["ann"])], "line 2"),
        ([HEAD, changed(CLOSED, text=5)], "line 2"),
        ([HEAD, changed(CLOSED, event="sent")], "line 2"),
    ],
)
def test_no_record(lines: list[str], place: str) -> None:
    """What is no transcript is refused with the place."""
    with pytest.raises(NoRecord, match=place):
        read(file(lines))


@pytest.mark.parametrize(("lines", "most"), [([], 2**24), ([HEAD], 2**28)])
def test_line_without_end(lines: list[str], most: int, tmp_path: Path) -> None:
    """Of a line that does not end, no more is read than what a line may have."""
    path = tmp_path / "endless.jsonl"
    with path.open("wb") as endless:
        endless.write(file(lines).getvalue().encode())
        endless.truncate(most + 1000)  # which takes no room
    with pytest.raises(NoRecord, match=f"line {len(lines) + 1} .* more than {most:,} characters"):
        from_file(path)


def test_bytes_that_are_no_text() -> None:
    """Bytes that are no UTF-8 are refused, with the line that cannot be read."""
    with pytest.raises(NoRecord, match=r"line 1 .*UnicodeDecodeError"):
        read(TextIOWrapper(BytesIO(b"\xff\n"), encoding="utf-8"))


def test_error_is_short() -> None:
    """What is wrong with a line is told in a line, however long what it holds is."""
    with pytest.raises(NoRecord) as caught:
        read(file([changed(HEAD, suffix=["x"] * 100_000)]))
    assert len(str(caught.value)) < 500
