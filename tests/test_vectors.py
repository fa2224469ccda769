"""Tests of the vectors: that they are well formed, and that our own codecs and wire layer are as they say."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from improto.codec import Codec, Reader, available, detect, load
from improto.errors import DecodeError
from improto.limits import Limits
from improto.messages import AnyMessage, Code, Error, ListConversations, OnlineUsers, Register, Role
from improto.states import State
from improto.wire import Connection, Fault
from improto_conformance.vectors import Vector, vectors
from improto_conformance.vectors.judge import Read, Seen, judge_message, judge_stream, segmentations
from improto_conformance.vectors.values import read_bytes, read_message, write_message
from improto_spec import clauses
from schemas import check_schema, validator

FOLDER = Path(str(files("improto_spec"))) / "vectors"
FILES = sorted(path for path in FOLDER.glob("*.json") if path.name != "vectors.schema.json")
SCHEMA: dict[str, Any] = json.loads((FOLDER / "vectors.schema.json").read_text(encoding="utf-8"))


def of(kind: str, codec: str, **wanted: object) -> Iterator[Vector]:
    """Give the vectors of a kind in a codec, with what is wanted in their data."""
    for vector in vectors().values():
        if (vector.kind, vector.data.get("codec")) == (kind, codec) and wanted.items() <= vector.data.items():
            yield vector


def each_codec(kind: str) -> pytest.MarkDecorator:
    """Have a test once for each codec in which there are vectors of a kind: one for each vector would take longer to start."""
    codecs = {vector.data["codec"] for vector in vectors().values() if vector.kind == kind}
    return pytest.mark.parametrize("codec", sorted(codecs))


def take_message(vector: Vector) -> Seen:
    """Read the payload of a message vector with our own codec; one from a client with the default bounds (LIMIT-26)."""
    data = vector.data
    sender = Role(data["from"])
    try:
        message = load(data["codec"]).decode(read_bytes(data["bytes"]), sender)
    except DecodeError as error:
        return error.code
    if sender is Role.CLIENT and Limits().complaint(message) is not None:
        return Code.INVALID
    return message


def take_stream(vector: Vector, pieces: Sequence[bytes]) -> Read:
    """Read a stream vector's bytes, cut into pieces, with our own wire layer."""
    data = vector.data
    sender = Role(data["from"])
    codecs = [load(name) for name in (available() if data["codec"] == "auto" else [data["codec"]])]
    end = Role.CLIENT if sender is Role.SERVER else Role.SERVER
    connection = Connection(end, codecs)
    if data["registered"]:
        enter(connection, codecs[0], end)
    items: list[Seen] = []
    for piece in pieces:
        connection.feed(piece)
        while (item := connection.next(0.0)) is not None:
            items.append(item.code.value if isinstance(item, Fault) else item)
            if isinstance(item, Register):
                connection.sent(OnlineUsers({}))
    if connection.codec is None:
        items.clear()  # CODEC-15, CODEC-16: closed without a word
    return Read(tuple(items), connection.state is State.CLOSED)


def enter(connection: Connection, codec: Codec, end: Role) -> None:
    """Bring a connection into the state in which a user is registered on it."""
    register, success = Register("user", ""), OnlineUsers({"user": ""})
    sent, received = (register, success) if end is Role.CLIENT else (success, register)
    if end is Role.CLIENT:
        connection.sent(sent)
    connection.feed(codec.frame(codec.encode(received)))
    connection.next(0.0)
    if end is Role.SERVER:
        connection.sent(sent)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_form(path: Path) -> None:
    """Each file has the form that the schema gives."""
    check_schema(SCHEMA)
    file = json.loads(path.read_text(encoding="utf-8"))
    errors = [f"{error.json_path}: {error.message[:300]}" for error in validator(SCHEMA).iter_errors(file)]
    assert not errors


def test_ids_are_unique() -> None:
    """No vector hides another one of the same id."""
    ids = [
        vector["id"] for path in FILES for vector in json.loads(path.read_text(encoding="utf-8"))["vectors"]
    ]
    assert sorted(ids) == sorted(vectors())


def test_clauses_exist() -> None:
    """Each vector is an example of a clause that there is."""
    assert {id: vector.clause for id, vector in vectors().items() if vector.clause not in clauses()} == {}


def test_comments_differ() -> None:
    """No comment is used for two vectors of the same bytes or steps, so that each says what it adds."""
    seen = sorted((json.dumps({**v.data, "id": ""}, sort_keys=True), v.id) for v in vectors().values())
    doubles = [[id for _, id in group] for _, group in groupby(seen, key=lambda pair: pair[0])]
    assert [ids for ids in doubles if len(ids) > 1] == []


@each_codec("message")
def test_messages_decode(codec: str) -> None:
    """Our codec reads each payload as its vector says."""
    told = {vector.id: list(judge_message(vector, take_message(vector))) for vector in of("message", codec)}
    assert {id: complaints for id, complaints in told.items() if complaints} == {}


def writes(vector: Vector) -> bool:
    """Tell whether our codec writes the vector's message just so."""
    message = read_message(vector.data["message"])
    return load(vector.data["codec"]).encode(message) == read_bytes(vector.data["bytes"])


@each_codec("message")
def test_canonical_payloads(codec: str) -> None:
    """Our codec writes each canonical payload, byte for byte, and none that is merely accepted."""
    canonical = list(of("message", codec, result="canonical"))
    assert [vector.id for vector in canonical if not writes(vector)] == []
    assert [vector.id for vector in of("message", codec, result="accepted") if writes(vector)] == []
    assert canonical


@each_codec("stream")
def test_streams(codec: str) -> None:
    """Our wire layer reads each stream as its vector says, however it is cut."""
    told = [
        (vector.id, complaint)
        for vector in of("stream", codec)
        for pieces in segmentations(read_bytes(vector.data["bytes"]))
        for complaint in judge_stream(vector, take_stream(vector, pieces))
    ]
    assert told == []


def test_tags_keep_messages() -> None:
    """A message that is tagged and read again is the same message."""
    for vector in vectors().values():
        if vector.kind == "message" and "message" in vector.data:
            message = read_message(vector.data["message"])
            assert read_message(json.loads(json.dumps(write_message(message)))) == message


NEXT: dict[str, AnyMessage] = {"client": ListConversations(), "server": Error("x: y")}
"""What may follow any other message."""


def drained(reader: Reader, limit: int) -> list[AnyMessage | str]:
    """Give all that a reader has: messages, codes of errors, and whether it cannot go on."""
    items: list[AnyMessage | str] = []
    while True:
        try:
            item = reader.next(limit)
        except DecodeError as error:
            items.append(error.code)
            if error.fatal:
                return [*items, "closed"]
        else:
            if item is None:
                return items
            items.append(item)


def decoded(codec: Codec, payload: bytes, sender: Role) -> AnyMessage | str:
    """Give the message or the code of the error."""
    try:
        return codec.decode(payload, sender)
    except DecodeError as error:
        return error.code


@each_codec("message")
def test_payloads_on_streams(codec: str) -> None:
    """A payload is the same on a stream, once its bytes are there, unless its vector says otherwise."""
    assert [
        each.id for each in of("message", codec) if same_on_a_stream(each) != each.data.get("stream", True)
    ] == []


def same_on_a_stream(vector: Vector) -> bool:
    """Tell whether a payload is read on a stream as it is alone, and another message after it."""
    data = vector.data
    codec, sender, payload = load(data["codec"]), Role(data["from"]), read_bytes(data["bytes"])
    limit = Limits().payload(sender, registered=True)
    item, reader = decoded(codec, payload, sender), codec.reader(sender)
    reader.feed(codec.frame(payload))
    first = drained(reader, limit)
    reader.feed(codec.frame(codec.encode(NEXT[sender])))
    return first == [item, "closed"] or (first == [item] and drained(reader, limit) == [NEXT[sender]])


@each_codec("stream")
def test_unfinished_streams(codec: str) -> None:
    """After a stream another message is read as such, unless the vector says that something is unfinished."""
    assert [
        each.id
        for each in of("stream", codec, closed=False)
        if finished(each) == each.data.get("unfinished", False)
    ] == []


def finished(vector: Vector) -> bool:
    """Tell whether another message is read behind a stream."""
    data, sent = vector.data, read_bytes(vector.data["bytes"])
    start = sent.lstrip(b" \r\n") or b"{"
    codec = load(data["codec"] if data["codec"] != "auto" else detect(start) or "json")
    more = sent + codec.frame(codec.encode(NEXT[data["from"]]))
    before, after = (
        take_stream(vector, [sent]),
        take_stream(replace(vector, data={**data, "bytes": more.hex()}), [more]),
    )
    return after.items in [(*before.items, last) for last in (NEXT[data["from"]], Code.NOT_REGISTERED)]
