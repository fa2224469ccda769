"""Tests of `improto.limits`."""

import pytest

from improto.limits import Limits
from improto.messages import (
    ERROR_TEXT,
    AnyMessage,
    Conversations,
    Error,
    Goodbye,
    Invite,
    Join,
    Leave,
    OnlineUsers,
    Register,
    Role,
    SendMessage,
    Status,
)

LIMITS = Limits()
UNSAFE = [0x00, 0x0A, 0x1F, 0x7F, 0x80, 0x9F, 0x2028, 0x2029, 0x202A, 0x202E, 0x2066, 0x2069]
SAFE = [0x21, 0x7E, 0xA0, 0x2027, 0x202F, 0x2065, 0x206A, 0x200D, 0x1F600]

LEGAL: list[AnyMessage] = [
    Register("a", ""),
    Register("a" * 64, "s" * 256),
    Register("😀" * 64, "😀" * 256),
    Register("a b", "\n\t\x00"),
    *(Register(f"a{chr(point)}b", "") for point in SAFE),
    Status(""),
    Status("é" * 256),
    Invite(tuple("abcdefgh" * 8)),
    Invite(("bo", "bo")),
    Join("!" * 64),
    Leave("~"),
    SendMessage("7", ""),
    SendMessage("7", "a" * 8192),
    SendMessage("7", "é" * 4096),
    SendMessage("7", " \r\n\x00\x7f "),
    Goodbye(),
    Error("x" * ERROR_TEXT),
    OnlineUsers({"": "x" * 1000}),
    Conversations({"": ()}),
]
ILLEGAL: list[tuple[AnyMessage, str]] = [
    (Register("", ""), "username"),
    (Register("a" * 65, ""), "username"),
    (Register(" a", ""), "username"),
    (Register("a ", ""), "username"),
    (Register(" ", ""), "username"),
    *((Register(f"a{chr(point)}b", ""), "username") for point in UNSAFE),
    (Register("a", "s" * 257), "status"),
    (Register("", "s" * 257), "username"),
    (Status("s" * 257), "status"),
    (Invite(()), "users"),
    (Invite(("bo",) * 65), "users"),
    (Invite(("bo", "")), "users"),
    (Invite(("bo", "a" * 65)), "users"),
    (Join(""), "conversation"),
    (Join("7" * 65), "conversation"),
    (Join("a b"), "conversation"),
    (Join("7\n"), "conversation"),
    (Join("é"), "conversation"),
    (Join("\x7f"), "conversation"),
    (Leave(" 7"), "conversation"),
    (SendMessage("", ""), "conversation"),
    (SendMessage("7", "a" * 8193), "text"),
    (SendMessage("7", "é" * 4097), "text"),
    (Error("x" * 513), "message"),
]


@pytest.mark.parametrize("message", LEGAL)
def test_in_bounds(message: AnyMessage) -> None:
    """What is just in bounds is accepted (LIMIT-5, LIMIT-10, LIMIT-11, LIMIT-12, LIMIT-13, LIMIT-14)."""
    assert LIMITS.complaint(message) is None


@pytest.mark.parametrize(("message", "field"), ILLEGAL)
def test_out_of_bounds(message: AnyMessage, field: str) -> None:
    """What is just out of bounds is refused by its field (LIMIT-5, LIMIT-6, LIMIT-7, LIMIT-8, LIMIT-15, LIMIT-23)."""
    complaint = LIMITS.complaint(message)
    assert complaint is not None
    assert complaint.split()[0] == field


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(name=2), Register("abc", "")),
        (Limits(status=2), Status("abc")),
        (Limits(text=2), SendMessage("7", "abc")),
        (Limits(conversation=2), Join("abc")),
        (Limits(invited=2), Invite(("a", "b", "c"))),
    ],
)
def test_limits_are_configurable(limits: Limits, message: AnyMessage) -> None:
    """Each bound is the one that is configured (LIMIT-25)."""
    assert LIMITS.complaint(message) is None
    complaint = limits.complaint(message)
    assert complaint is not None
    assert "2" in complaint


def test_payload_sizes() -> None:
    """4 KiB before REGISTER, 64 KiB after it, 16 MiB of what a server sends (LIMIT-2, LIMIT-3, LIMIT-20)."""
    assert LIMITS.payload(Role.CLIENT, registered=False) == 4096
    assert LIMITS.payload(Role.CLIENT, registered=True) == 65536
    assert LIMITS.payload(Role.SERVER, registered=False) == 16 * 1024 * 1024
    assert LIMITS.payload(Role.SERVER, registered=True) == 16 * 1024 * 1024
