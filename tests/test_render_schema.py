"""Tests of the JSON Schema: two validators that know nothing of us, and the json codec, judge objects alike."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from improto.errors import DecodeError
from improto.limits import Limits
from improto.messages import COMMANDS, AnyMessage, Kind, Role
from improto_codecs.json_codec import JsonCodec
from improto_conformance.codecs.strategies import messages
from improto_spec.render import schema
from schemas import Validator, check_schema, validator

CODEC = JsonCodec()
TEXT = schema.render()
SCHEMA: dict[str, Any] = json.loads(TEXT)
PEERS = Path(__file__).with_name("peers")

needs_ajv = pytest.mark.skipif(
    shutil.which("node") is None or not (PEERS / "node_modules/ajv").is_dir(),
    reason="Node.js or ajv is not installed; `npm ci --prefix tests/peers` installs ajv",
)


VALIDATOR = validator(SCHEMA)


def part(name: str) -> Validator:
    """Give a validator of one of the schema's definitions."""
    return validator({**SCHEMA, "oneOf": [{"$ref": f"#/$defs/{name}"}]})


def members(message: AnyMessage) -> dict[str, Any]:
    """Give the object of a message, as any reader of JSON sees it."""
    parsed: dict[str, Any] = json.loads(CODEC.encode(message))
    return parsed


def accepted(instance: object) -> bool:
    """Tell whether the codec reads `instance` from one of the ends, and as a request within the default limits."""
    payload = json.dumps(instance).encode()
    for sender in Role:
        try:
            message = CODEC.decode(payload, sender)
        except DecodeError:
            continue
        return sender is Role.SERVER or Limits().complaint(message) is None
    return False


class Ajv:
    """The validator of JavaScript, in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        """Talk to `process`, which runs `ajv_check.cjs`."""
        self._process = process

    def is_valid(self, instance: object) -> bool:
        """Tell whether the schema holds of `instance`."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(instance) + "\n")
        self._process.stdin.flush()
        return {"true\n": True, "false\n": False}[self._process.stdout.readline()]


@pytest.fixture(scope="module")
def ajv(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ajv]:
    """Run ajv on the schema, and see that it complains of nothing."""
    path = tmp_path_factory.mktemp("ajv") / "messages.schema.json"
    path.write_text(TEXT, encoding="utf-8")
    pipe = subprocess.PIPE
    command = ["node", str(PEERS / "ajv_check.cjs"), str(path)]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, encoding="utf-8") as process:
        yield Ajv(process)
        assert process.communicate(timeout=30) == ("", "")
    assert process.returncode == 0


def test_ends_in_one_newline() -> None:
    """The file ends in one newline, is printable ASCII otherwise, and is the same each time."""
    assert TEXT.isascii()
    assert TEXT.replace("\n", "").isprintable()
    assert TEXT.endswith("}\n")
    assert schema.render() == TEXT


def test_is_a_schema() -> None:
    """It is a schema of the draft that it names, by that draft's own schema."""
    check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_definitions() -> None:
    """Each command and each kind is defined by its name, and so are requests and responses."""
    assert SCHEMA["oneOf"] == [{"$ref": f"#/$defs/{command}"} for command in COMMANDS]
    assert {*COMMANDS, *(kind.name.lower() for kind in Kind), "request", "response"} <= set(SCHEMA["$defs"])


@given(messages())
def test_what_is_sent_is_valid(message: AnyMessage) -> None:
    """The schema holds of whatever the codec writes, and of the two halves its sender's does, and only that."""
    instance = members(message)
    assert VALIDATOR.is_valid(instance)
    assert part(message.COMMAND).is_valid(instance)
    assert part("request").is_valid(instance) == (message.FROM is Role.CLIENT)
    assert part("response").is_valid(instance) == (message.FROM is Role.SERVER)


LONG = "x" * 65
VALID: list[object] = [
    {"type": "GOODBYE"},
    {"type": "GOODBYE", "later": [{"x": [None, 1.5, True]}]},
    {"later": {}, "status": "", "type": "STATUS"},
    {"type": "REGISTER", "username": "b o", "status": "x" * 256},
    {"type": "REGISTER", "username": "\U0001f600" * 64, "status": "\U0001f600" * 256},
    {"type": "REGISTER", "username": "\xa0bo\xa0", "status": "\n\u2028"},
    {"type": "REGISTER", "username": "$^", "status": ""},
    {"type": "INVITE", "users": ["bo"] * 64},
    {"type": "JOIN", "conversation": "!~"},
    {"type": "SEND_MESSAGE", "conversation": "7", "text": "\n" * 8192},
    {"type": "ONLINE_USERS", "users": {}},
    {"type": "CONVERSATIONS", "conversations": {"7": []}},
    # What would be out of bounds in a request (LIMIT-26).
    {"type": "ONLINE_USERS", "users": {LONG: "x" * 257, "": "", " \n": "\n"}},
    {"type": "INVITATION", "conversation": "", "source": ""},
    {"type": "INVITATION", "conversation": " ", "source": LONG},
    {"type": "CONVERSATIONS", "conversations": {" ": ["bo"] * 65, "": [LONG, "\n"]}},
    {"type": "MESSAGE", "conversation": LONG, "sender": " bo\n", "text": "x" * 8193},
    {"type": "ERROR", "message": "x" * 513},
]
INVALID: list[object] = [
    None,
    [],
    "GOODBYE",
    7,
    {},
    {"type": None},
    {"type": ["GOODBYE"]},
    {"type": "goodbye"},
    {"type": "LATER"},
    {"Type": "GOODBYE"},
    {"type": "REGISTER", "username": "bo"},
    {"type": "REGISTER", "username": "bo", "status": None},
    {"type": "REGISTER", "username": 7, "status": ""},
    {"type": "REGISTER", "username": ["bo"], "status": ""},
    *(
        {"type": "REGISTER", "username": name, "status": ""}
        for name in (
            *("", " ", " bo", "bo ", LONG, "\U0001f600" * 65),
            *("\n", "bo\n", "\nbo", "bo \n", "b\to", "b\0o", "b\x1fo", "b\x7fo", "b\x85o", "b\x9fo"),
            *("b\u2028o", "bo\u2029", "\u202ebo", "\u2066", "bo\u2069"),
        )
    ),
    {"type": "REGISTER", "username": "bo", "status": "x" * 257},
    {"type": "STATUS", "status": "x" * 257},
    {"type": "STATUS", "status": True},
    {"type": "INVITE"},
    {"type": "INVITE", "users": []},
    {"type": "INVITE", "users": ["bo"] * 65},
    {"type": "INVITE", "users": "bo"},
    {"type": "INVITE", "users": {"bo": "cy"}},
    {"type": "INVITE", "users": ["bo", 7]},
    {"type": "INVITE", "users": ["bo", ""]},
    {"type": "INVITE", "users": ["bo\n"]},
    {"type": "JOIN", "conversation": 7},
    *({"type": "JOIN", "conversation": id} for id in ("", " ", "7\n", "a b", "\xe9", "\x7f", LONG)),
    {"type": "LEAVE", "conversation": ""},
    {"type": "SEND_MESSAGE", "conversation": "7"},
    {"type": "SEND_MESSAGE", "conversation": "7", "text": 1.5},
    {"type": "SEND_MESSAGE", "conversation": "7", "text": "x" * 8193},
    {"type": "ONLINE_USERS"},
    {"type": "ONLINE_USERS", "users": []},
    {"type": "ONLINE_USERS", "users": {"bo": None}},
    {"type": "CONVERSATIONS", "conversations": {"7": "bo"}},
    {"type": "CONVERSATIONS", "conversations": {"7": [7]}},
    {"type": "CONVERSATIONS", "conversations": [["7", []]]},
    {"type": "INVITATION", "conversation": "7"},
    {"type": "INVITATION", "conversation": 7, "source": "bo"},
    {"type": "MESSAGE", "conversation": "7", "sender": "bo", "text": None},
    {"type": "ERROR", "message": ["x"]},
    {"type": "ERROR", "message": {}},
]


@pytest.mark.parametrize("instance", VALID, ids=range(len(VALID)))
def test_valid(instance: object) -> None:
    """Codec and schema take further members, extremes, and from a server anything of the type (JSON-11, LIMIT-26)."""
    assert accepted(instance)
    assert VALIDATOR.is_valid(instance)


@pytest.mark.parametrize("instance", INVALID, ids=range(len(INVALID)))
def test_invalid(instance: object) -> None:
    """Codec and schema refuse a missing field, another type, and a request out of bounds (JSON-12, JSON-13)."""
    assert not accepted(instance)
    assert not VALIDATOR.is_valid(instance)


@needs_ajv
def test_ajv_agrees(ajv: Ajv) -> None:
    """In its strict mode ajv takes the schema without a complaint, and judges all these objects alike."""
    assert [instance for instance in VALID if not ajv.is_valid(instance)] == []
    assert [instance for instance in INVALID if ajv.is_valid(instance)] == []


def test_bytes_of_text_are_not_counted() -> None:
    """Only of a text that is not ASCII the schema can take more than a server does, and it says so (LIMIT-11)."""
    instance = {"type": "SEND_MESSAGE", "conversation": "7", "text": "\xe9" * 8192}
    assert VALIDATOR.is_valid(instance)
    assert not accepted(instance)
    assert "UTF-8" in SCHEMA["$defs"]["bounded-text"]["$comment"]


MESSAGES = messages().map(members)
TEXTS = st.one_of(
    st.text(st.sampled_from("a \n\r\0\x7f\x85\xa0\u2028\u202f\ud7ff\U0001f600"), max_size=3),
    st.sampled_from(["x" * 64, LONG, "x" * 257, *COMMANDS]),
)
LISTS = st.lists(TEXTS, max_size=3)
VALUES = st.one_of(
    TEXTS,
    LISTS,
    st.dictionaries(TEXTS, st.one_of(TEXTS, LISTS), max_size=2),
    st.sampled_from([None, True, 0, 1.5]),
)


@st.composite
def altered(draw: st.DrawFn) -> object:
    """Draw objects that are a step away from a message."""
    instance = draw(MESSAGES)
    for key in draw(st.sets(st.sampled_from([*instance, "later"]), min_size=1)):
        if draw(st.booleans()):
            instance[key] = draw(VALUES)
        else:
            instance.pop(key, None)
    return instance


@given(altered())
@settings(max_examples=500)
def test_altered(instance: object) -> None:
    """Codec and schema agree on objects that are nearly messages."""
    assert VALIDATOR.is_valid(instance) == accepted(instance)


@needs_ajv
@given(instance=st.one_of(MESSAGES, altered()))
@settings(max_examples=500)
def test_ajv_agrees_on_drawn_objects(ajv: Ajv, instance: object) -> None:
    """Both validators and the codec agree on messages and on what is nearly one."""
    assert ajv.is_valid(instance) == VALIDATOR.is_valid(instance) == accepted(instance)
