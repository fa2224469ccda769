"""Tests of `improto.codec`: the registry, detection, building from values, and the two kinds of readers."""

import sys
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from improto.codec import (
    Codec,
    LengthCodec,
    LineCodec,
    Reader,
    arguments,
    available,
    build,
    build_positional,
    detect,
    find,
    load,
    load_all,
)
from improto.errors import DecodeError, RegistryError
from improto.messages import COMMANDS, AnyMessage, Code, Invite, Join, OnlineUsers, Register, Role, Status
from improto_conformance.codecs.strategies import segmentations


class Lines(LineCodec):
    """Carries nothing but STATUS: the payload is its text."""

    name: ClassVar[str] = "lines"

    def encode(self, message: AnyMessage) -> bytes:
        """Write the status."""
        assert isinstance(message, Status)
        return message.status.encode()

    def decode(self, payload: bytes, sender: Role) -> AnyMessage:
        """Read a status, but refuse one question mark."""
        if payload == b"?":
            raise DecodeError(Code.INVALID, "a question")
        return Status(payload.decode("latin-1"))


class Lengths(LengthCodec):
    """Does as `Lines` behind a length."""

    name: ClassVar[str] = "lengths"
    encode = Lines.encode
    decode = Lines.decode


def drain(reader: Reader, limit: int = 100) -> list[AnyMessage]:
    """Take all messages that are there."""
    return list(iter(lambda: reader.next(limit), None))


def offer(folder: Path, name: str, target: str) -> None:
    """Make a distribution in `folder` that offers a codec."""
    info = folder / f"offers_{name.replace('-', '_')}-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: offers-{name}\nVersion: 1\n", encoding="utf-8"
    )
    (info / "entry_points.txt").write_text(f"[improto.codecs]\n{name} = {target}\n", encoding="utf-8")


def refused(code: Code, command: str, values: list[object], sender: Role = Role.CLIENT) -> bool:
    """Tell whether `build` refuses with `code`, as an error that is not fatal."""
    with pytest.raises(DecodeError) as caught:
        build(command, values, sender)
    return caught.value.code == code and not caught.value.fatal


def test_four_codecs_are_available() -> None:
    """The project's own four codecs are found."""
    assert {"ascii", "json", "msgpack", "pickle"} <= set(available())


def test_load_gives_one_instance() -> None:
    """A codec is loaded once, under its own name."""
    assert load("ascii").name == "ascii"
    assert load("ascii") is load("ascii")


def test_unknown_codec_is_refused_with_the_choice() -> None:
    """An unknown name is a RegistryError that lists the names there are."""
    with pytest.raises(RegistryError, match="ascii, json, msgpack"):
        load("morse")


@pytest.mark.parametrize(
    ("name", "target", "says"),
    [
        ("absent", "improto_absent_package:Codec", r"pip install 'improto\[absent\]'"),
        ("gone", "improto_codecs.json_codec:GoneCodec", "install it again"),
        ("wrong-kind", "builtins:object", "no codec of that name"),
        ("wrong-name", "improto_codecs.json_codec:JsonCodec", "no codec of that name"),
    ],
)
def test_unusable_entry_points_are_refused(
    name: str, target: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An entry point that cannot be imported, or is no codec of its name, is a RegistryError that says what to do."""
    offer(tmp_path, name, target)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert name in available()
    with pytest.raises(RegistryError, match=says):
        load(name)


def test_all_that_have_what_they_need(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All codecs are loaded but those that lack a package; one that is broken in another way is refused."""
    offer(tmp_path / "absent", "absent", "improto_absent_package:Codec")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "absent"), *sys.path])
    assert [codec.name for codec in load_all()] == [name for name in available() if name != "absent"]
    offer(tmp_path / "wrong", "wrong", "builtins:object")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "wrong"), *sys.path])
    with pytest.raises(RegistryError, match="no codec of that name"):
        load_all()


def test_name_taken_twice_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that two distributions offer is a RegistryError, whichever would come first."""
    offer(tmp_path / "one", "twice", "improto_codecs.json_codec:JsonCodec")
    other = tmp_path / "two"
    offer(other, "twice", "improto_codecs.ascii_codec:AsciiCodec")
    (other / "offers_twice-1.dist-info").rename(other / "other_twice-1.dist-info")
    (other / "other_twice-1.dist-info/METADATA").write_text(
        "Metadata-Version: 2.1\nName: other-twice\nVersion: 1\n", encoding="utf-8"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path / "one"), str(other), *sys.path])
    with pytest.raises(RegistryError, match="taken twice"):
        load("twice")


@pytest.mark.parametrize(
    ("data", "codec"),
    [
        (b"", None),
        (b"{", "json"),
        (b"\x00", "msgpack"),
        (b"R", None),
        (b"REGISTER", None),
        (b"REGISTER ", None),
        (b"REGISTER \x80", "pickle"),
        (b"REGISTER (", "pickle"),
        (b"REGISTER )", "pickle"),
        (b"REGISTER ]", "pickle"),
        (b"REGISTER }", "pickle"),
        (b"REGISTER b", "ascii"),
        (b'REGISTER "', "ascii"),
        (b"REGISTER  (", "ascii"),
        (b"GOODBYE\n", "ascii"),
        (b"GET / HTTP/1.1", "ascii"),
        (b"ABCDEFGHIJKLMNOPQRSTU", "ascii"),
        (b"ABCDEFGHIJKLMNOPQRST", None),
    ],
)
def test_detect(data: bytes, codec: str | None) -> None:
    """The first bytes name the codec, or ask for more (CODEC-12, CODEC-13, CODEC-14)."""
    assert detect(data) == codec


@pytest.mark.parametrize(
    "data", [b"\x16\x03\x01", b"register", b"\xff", b"[", b"_", b"\xc3\x84", b"1", b"\x01"]
)
def test_detect_refuses_other_protocols(data: bytes) -> None:
    """A first byte that begins no codec's message is fatal (CODEC-15)."""
    with pytest.raises(DecodeError) as caught:
        detect(data)
    assert caught.value.fatal


@given(st.binary(min_size=1, max_size=40))
def test_detect_is_stable(data: bytes) -> None:
    """More bytes never change what fewer bytes have told."""
    try:
        known = [name for end in range(len(data) + 1) if (name := detect(data[:end])) is not None]
    except DecodeError:
        known = []
    assert len(set(known)) <= 1


@pytest.mark.parametrize("command", COMMANDS)
def test_find_knows_directions(command: str) -> None:
    """A command is found for the end that sends it and unknown from the other."""
    message = COMMANDS[command]
    other = Role.SERVER if message.FROM is Role.CLIENT else Role.CLIENT
    assert find(command, message.FROM) is message
    assert refused(Code.UNKNOWN_COMMAND, command, [], other)


@pytest.mark.parametrize("command", ["", "join", "JOIN ", "JOIN\n", "J0IN", "A" * 21, "JÖIN", "\u0410"])
def test_names_that_are_none_are_malformed(command: str) -> None:
    """What is not 1 to 20 capital letters or underscores is malformed (CODEC-4)."""
    assert refused(Code.MALFORMED, command, [])


@pytest.mark.parametrize("command", ["A", "_", "A" * 20, "JOIN_ALL"])
def test_other_names_are_unknown(command: str) -> None:
    """A name of the right form that is no command is unknown, whatever its values."""
    assert refused(Code.UNKNOWN_COMMAND, command, [None, 1, "x"])


@pytest.mark.parametrize(
    ("command", "values"),
    [
        ("JOIN", []),
        ("JOIN", ["7", "8"]),
        ("JOIN", [7]),
        ("JOIN", [None]),
        ("JOIN", [["7"]]),
        ("JOIN", ["\ud800"]),
        ("GOODBYE", [""]),
        ("INVITE", ["bo"]),
        ("INVITE", [["bo", 1]]),
    ],
)
def test_wrong_values_are_invalid(command: str, values: list[object]) -> None:
    """Values of a wrong number or type are invalid (CODEC-5)."""
    assert refused(Code.INVALID, command, values)


def test_positional_arguments_of_invite_are_its_names() -> None:
    """Positional codecs spread INVITE out, and no other command."""
    assert build_positional("INVITE", ["bo", "cy"], Role.CLIENT) == Invite(("bo", "cy"))
    assert build_positional("JOIN", ["7"], Role.CLIENT) == Join("7")
    assert list(arguments(Invite(("bo", "cy")))) == ["bo", "cy"]
    assert list(arguments(Register("bo", ""))) == ["bo", ""]
    assert list(arguments(OnlineUsers({"bo": ""}))) == [{"bo": ""}]


@given(st.data())
def test_lines_in_any_segments(data: st.DataObject) -> None:
    """Lines end with LF or CR LF, blank ones are skipped, and pieces do not matter (ASCII-2, ASCII-3)."""
    texts = data.draw(st.lists(st.from_regex(r"[a-z \r]*[a-z]", fullmatch=True), max_size=8))
    ends = st.sampled_from([b"\n", b"\r\n", b"\n\n", b"\n   \r\n \n"])
    stream = b"".join(text.encode() + data.draw(ends) for text in texts)
    reader = Lines().reader(Role.CLIENT)
    found: list[AnyMessage] = []
    for piece in data.draw(segmentations(stream)):
        reader.feed(piece)
        found += drain(reader)
    assert found == [Status(text) for text in texts]


@given(st.data())
def test_lengths_in_any_segments(data: st.DataObject) -> None:
    """Payloads behind a length hold any bytes, and pieces do not matter (MSGPACK-2)."""
    texts = data.draw(st.lists(st.text(st.characters(max_codepoint=0x7F), max_size=8).filter("?".__ne__)))
    codec = Lengths()
    stream = b"".join(codec.frame(text.encode()) for text in texts)
    reader = codec.reader(Role.CLIENT)
    found: list[AnyMessage] = []
    for piece in data.draw(segmentations(stream)):
        reader.feed(piece)
        found += drain(reader)
    assert found == [Status(text) for text in texts]


@pytest.mark.parametrize("codec", [Lines(), Lengths()], ids=lambda codec: codec.name)
def test_reading_goes_on_after_an_error(codec: Codec) -> None:
    """A payload that is refused does not disturb the next one."""
    reader = codec.reader(Role.CLIENT)
    reader.feed(codec.frame(b"a") + codec.frame(b"?") + codec.frame(b"b"))
    assert reader.next(9) == Status("a")
    with pytest.raises(DecodeError):
        reader.next(9)
    assert reader.next(9) == Status("b")
    assert reader.next(9) is None


@pytest.mark.parametrize("codec", [Lines(), Lengths()], ids=lambda codec: codec.name)
def test_each_message_has_its_own_limit(codec: Codec) -> None:
    """The limit may change from one message to the next, and is exact."""
    reader = codec.reader(Role.CLIENT)
    reader.feed(codec.frame(b"ab") + codec.frame(b"abcd") + codec.frame(b"abc"))
    assert reader.next(2) == Status("ab")
    assert reader.next(4) == Status("abcd")
    with pytest.raises(DecodeError) as caught:
        reader.next(2)
    assert caught.value.fatal
    assert caught.value.code == Code.TOO_LARGE


@pytest.mark.parametrize("codec", [Lines(), Lengths()], ids=lambda codec: codec.name)
def test_nothing_comes_behind_a_fatal_error(codec: Codec) -> None:
    """Behind an over-long message a reader keeps nothing and gives nothing, whatever else arrives."""
    reader = codec.reader(Role.CLIENT)
    reader.feed(codec.frame(b"abcd") + codec.frame(b"a"))
    with pytest.raises(DecodeError):
        reader.next(3)
    assert reader.next(3) is None
    reader.feed(codec.frame(b"a"))
    assert reader.next(3) is None
    assert reader.behind == 0


def test_carriage_return_does_not_count() -> None:
    """A line of exactly the limit may end with CR LF, and a longer one is refused before its end (LIMIT-1)."""
    reader = Lines().reader(Role.CLIENT)
    reader.feed(b"abc\r")
    assert reader.next(3) is None
    reader.feed(b"\n")
    assert reader.next(3) == Status("abc")
    reader.feed(b"abcd\r")
    with pytest.raises(DecodeError) as caught:
        reader.next(3)
    assert caught.value.code == Code.TOO_LARGE


def test_length_is_refused_at_the_header() -> None:
    """A declared length over the limit is refused before any payload has come (MSGPACK-10, LIMIT-4)."""
    reader = Lengths().reader(Role.CLIENT)
    reader.feed(b"\x00\x01\x00")
    assert reader.next(65536) is None
    reader.feed(b"\x01")
    with pytest.raises(DecodeError) as caught:
        reader.next(65536)
    assert caught.value.fatal
