"""Tests of how a codec reads messages that come whole."""

from collections.abc import Sequence

import pytest

from improto.bindings.websocket.framing import messages
from improto.codec import available, load
from improto.errors import DecodeError
from improto.messages import ListConversations, Role

LIST = b'{"type":"LIST_CONVERSATIONS"}'


def faults(payloads: Sequence[bytes], codec: str) -> list[tuple[str, bool]]:
    """Give the codes of the faults in payloads, and whether they are fatal."""
    reader = messages(load(codec)).reader(Role.CLIENT)
    for payload in payloads:
        reader.feed(len(payload).to_bytes(4) + payload)
    found: list[tuple[str, bool]] = []
    while True:
        try:
            if reader.next(1000) is None:
                return found
        except DecodeError as error:
            found.append((error.code, error.fatal))


@pytest.mark.parametrize("codec", available())
def test_whole_payloads(codec: str) -> None:
    """A payload stands for itself: none is skipped for being empty, none ends the stream but one that is too long."""
    whole = load(codec).encode(ListConversations())
    assert faults([whole, b"", b"\xff", whole], codec) == [("malformed", False)] * 2
    assert faults([whole, 1001 * b" ", b""], codec) == [("too-large", True)]


def test_line_ends() -> None:
    """A line end is no part of a payload, not even where JSON would allow it (WS-1)."""
    assert faults([LIST + b"\n", LIST.replace(b":", b":\n")], "json") == [("malformed", False)] * 2
