"""Tests of the opcodes of pickles: what each makes, which are refused, and what they may cost."""

import pickle
from pathlib import Path

import pytest

from improto.messages import Conversations, Invite, Join, OnlineUsers, Status
from pickles import CODEC, INVALID, LIMIT, MALFORMED, SERVER, TOO_LARGE, outcome, read

# ---- What they make.


def test_ids_as_integers() -> None:
    """Each opcode for integers writes a conversation id, also a long one, and keys of CONVERSATIONS."""
    for pickled, expected in [
        (b"I7\n", "7"),
        (b"I-7\n", "-7"),
        (b"I007\n", "7"),
        (b"L7L\n", "7"),
        (b"L7\n", "7"),
        (b"K\x07", "7"),
        (b"M\x00\x01", "256"),
        (b"J\xff\xff\xff\xff", "-1"),
        (b"\x8a\x05\x00\x00\x00\x00\x01", str(2**32)),
        (b"\x8b\x01\x00\x00\x00\x07", "7"),
        (b"\x8a\x00", "0"),
    ]:
        assert outcome(b"JOIN " + pickled + b".") == Join(expected)
    assert outcome(b"CONVERSATIONS (I1\n(ld.", SERVER) == Conversations({"1": ()})


@pytest.mark.parametrize(
    ("pickled", "text"),
    [
        (rb"S'a\\b\'c\"d\a\b\f\n\r\t\v\x41\101\0\q'" + b"\n", "a\\b'c\"d\a\b\f\n\r\t\vAA\0\\q"),
        (b'S"it\'s"\n', "it's"),
        (b"S'\xc3\xa9'\n", "é"),
        (b"S'\\xe9'\n", "é"),
        (b"S'\\777'\n", "ÿ"),
        (b"U\x02\xc3\xa9", "é"),
        (b"T\x01\x00\x00\x00\xe9", "é"),
        (b"V\\u20ac\\U0001f600\n", "€😀"),
        (b"V\xe9\\ud83d\\ude00\n", "é😀"),
        (b"X\x06\x00\x00\x00\xed\xa0\xbd\xed\xb8\x80", "😀"),
        (b"\x8c\x02\xc3\xa9", "é"),
        (b"\x8d\x02\x00\x00\x00\x00\x00\x00\x00\xc3\xa9", "é"),
        (b"X\x01\x00\x00\x00.", "."),
    ],
)
def test_texts(pickled: bytes, text: str) -> None:
    """Each opcode for text is read with its own escapes and encoding, and halved characters are joined."""
    assert outcome(b"STATUS " + pickled + b".") == Status(text)


# ---- Refused opcodes.

ALLOWED = frozenset(b"(.IJKLMNFGSTUVX\x80\x95\x8a\x8b\x88\x89\x8c\x8dl]ae)td}su\x85\x86\x87pqrghj\x94")


@pytest.mark.parametrize("opcode", sorted(set(range(256)) - ALLOWED), ids=hex)
def test_every_other_opcode(opcode: int) -> None:
    """An opcode off the list is malformed, wherever it stands."""
    for before in (b"", b"\x80\x02", b"(S'a'\n"):
        assert outcome(b"STATUS " + before + bytes([opcode]) + b"\x01a\n.") == MALFORMED


def test_nothing_is_executed(tmp_path: Path) -> None:
    """Pickles that would call a function are refused and call nothing, under unknown commands too."""
    victim = tmp_path / "executed"
    name = str(victim).encode()
    for attack in (
        b"cos\nmkdir\n(S'" + name + b"'\ntR.",
        b"(S'" + name + b"'\nios\nmkdir\n.",
        b"(cos\nmkdir\nS'" + name + b"'\no.",
        b"\x80\x04\x8c\x02os\x8c\x05mkdir\x93\x8c" + bytes([len(name)]) + name + b"\x85R.",
    ):
        for command in (b"STATUS ", b"GOODBYE_NOT ", b"WHATEVER "):
            found = read(command + attack)
            assert found[-1] == MALFORMED
    assert not victim.exists()


@pytest.mark.parametrize(
    "pickled",
    [
        b"\x80\x06N.",
        b"N\x80\x02.",
        b"\x80\x02\x80\x02N.",
        b".",
        b"NN.",
        b"(N.",
        b"l.",
        b"t.",
        b"a.",
        b"]a.",
        b"](a.",
        b"s.",
        b"}Ns.",
        b"}(NNs.",
        b"]NNs.",
        b"}Na.",
        b")Na.",
        b"(Ne.",
        b"}(Nu.",
        b"(Nd.",
        b"\x85.",
        b"N\x86.",
        b"NN\x87.",
        b"N(\x85.",
        b"p0\n.",
        b"N(p0\n.",
        b"q\x00.",
        b"\x94.",
        b"g0\n.",
        b"Np0\ng1\n.",
        b"h\x00.",
        b"j\x00\x00\x00\x00.",
        b"Np-1\n.",
        b"Np 1\n.",
        b"Np\n.",
        b"I\n.",
        b"I 1\n.",
        b"I+1\n.",
        b"I1_0\n.",
        b"I1L\n.",
        b"I1\r\n.",
        b"I\xd9\xa1\n.",
        b"L1LL\n.",
        b"LL\n.",
        b"Fx\n.",
        b"F1_0.0\n.",
        b"Sa\n.",
        b"S\n.",
        b"S'\n.",
        b"S'a\n.",
        b"S'a\"\n.",
        b"S'a'b\n.",
        b"S'a'b'\n.",
        b"S'a' \n.",
        b"S'a\\'\n.",
        b"S'\\x4'\n.",
        b"S'\\xzz'\n.",
        b"T\xff\xff\xff\xff.",
        b"\x8b\xff\xff\xff\xff.",
        b"V\\u12\n.",
        b"V\\U00110000\n.",
        b"V\\ud800\n.",
        b"V\\ude00\\ud83d\n.",
        b"X\x03\x00\x00\x00\xed\xa0\x80.",
        b"X\x01\x00\x00\x00\xff.",
        b"X\x02\x00\x00\x00\xc0\x80.",
        b"(((((lllll.",
        b"]]]]]aaaa.",
        b")\x85\x85\x85\x85.",
        b"]q\x00h\x00a.",
        b"]q\x00h\x00\x85a.",
        b"}q\x00Nh\x00s.",
    ],
)
@pytest.mark.parametrize("command", [b"STATUS ", b"WHATEVER "])
def test_malformed(pickled: bytes, command: bytes) -> None:
    """A pickle that no pickler writes is malformed and fatal, under unknown commands too."""
    assert outcome(command + pickled) == MALFORMED


def test_mark_and_depth_bounds() -> None:
    """Four marks may be open and four containers nested, and no more."""
    assert outcome(b"STATUS ((((llll.") == INVALID
    assert outcome(b"STATUS ]]]]aaa.") == INVALID
    # The fifth level comes by way of the memo, after its parent has been built.
    assert outcome(b"STATUS ]q\x00\x85\x85\x85q\x01h\x00]a\x86.") == MALFORMED


# ---- Sizes.


@pytest.mark.parametrize(
    "header",
    [
        b"X\xff\xff\xff\xff",
        b"X\x00\x00\x01\x00",
        b"T\xff\xff\xff\x7f",
        b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x8b\xff\xff\xff\x7f",
    ],
)
def test_declared_length(header: bytes) -> None:
    """A length past the limit is refused at the header, before a byte of the text has come."""
    assert outcome(b"STATUS " + header) == TOO_LARGE


def test_endless_line() -> None:
    """A line argument that never ends is refused at the limit, not kept."""
    for opcode in (b"S'", b"V", b"I", b"L", b"p", b"F"):
        data = b"STATUS " + opcode + b"1" * 100
        assert outcome(data, limit=50) == TOO_LARGE


def test_endless_ops() -> None:
    """Opcodes that never come to STOP are refused at the limit."""
    assert outcome(b"STATUS " + b"N" * 100, limit=50) == TOO_LARGE
    assert outcome(b"STATUS " + b"]" * LIMIT) == TOO_LARGE
    assert outcome(b"STATUS N" + b"\x94" * LIMIT) == TOO_LARGE


def test_frame_length_is_ignored() -> None:
    """The length of a FRAME neither limits nor ends a message."""
    for length in (b"\xff" * 8, b"\x00" * 8):
        assert outcome(b"JOIN \x80\x04\x95" + length + b"K\x07.") == Join("7")


def test_memo_bomb() -> None:
    """A value that unfolds past the limit by sharing is too large, and is never unfolded."""
    first = b"]q\x00(" + b"U\x01a" * 200 + b"e"
    second = b"(" + b"h\x00" * 100 + b"lq\x01"
    third = b"(" + b"h\x01" * 100 + b"l"
    assert outcome(b"INVITE " + first + second + b"\x86.") == INVALID
    assert outcome(b"INVITE " + first + second + third + b"\x87.") == TOO_LARGE
    nested = b"INVITE ]\x94" + b"".join(b"h%bh%b\x86\x94" % (bytes([i]), bytes([i])) for i in range(200))
    assert outcome(nested + b"\x86" * 200 + b".") == TOO_LARGE


def test_legal_sharing_is_read() -> None:
    """A roster whose users share one long status is read although it unfolds, as long as it fits."""
    status = "s" * 256
    roster = OnlineUsers({f"user{i}": status for i in range(200)})
    data = b"ONLINE_USERS " + pickle.dumps(dict(roster.users), 2)
    assert outcome(data, SERVER) == roster
    assert CODEC.decode(data, SERVER) == roster


def test_long_numbers() -> None:
    """Integers of more digits than any id are read and invalid, whatever their length."""
    assert outcome(b"JOIN I" + b"9" * 64 + b"\n.") == Join("9" * 64)
    for digits in (65, 4000, 5000, 60000):
        assert outcome(b"JOIN I" + b"9" * digits + b"\n.") == INVALID
    assert outcome(b"JOIN \x8b\x00\x80\x00\x00" + b"\x7f" * 0x8000 + b".") == INVALID


@pytest.mark.parametrize("number", [b"0", b"9" * 64, b"0" * 64])
def test_memo_number(number: bytes) -> None:
    """A memo number of 1 to 64 digits is read, in PUT and in GET (PICKLE-26)."""
    assert outcome(b"INVITE (S'bo'\np" + number + b"\ng" + number + b"\nl.") == Invite(("bo", "bo"))


@pytest.mark.parametrize("number", [b"0" * 65, b"9" * 65, b"-0", b"-1", b"+1", b""])
def test_no_memo_number(number: bytes) -> None:
    """A memo number with a sign or with more than 64 digits, be they zeros, is malformed (PICKLE-26)."""
    assert outcome(b"INVITE (S'bo'\np" + number + b"\nl.") == MALFORMED
    assert outcome(b"INVITE (S'bo'\np0\ng" + number + b"\nl.") == MALFORMED
