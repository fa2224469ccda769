"""Tests of readers of streams: a message that arrives in tiny pieces costs no more than its bytes, in every codec."""

import sys
from collections.abc import Callable
from typing import Any

import pytest

from improto.messages import AnyMessage, Conversations, Message, OnlineUsers
from improto_conformance.zoo import copies

COUNTING = '''

class Counting(bytearray):
    """A buffer that counts the bytes that are searched, copied and cut off."""

    work = 0

    def find(self, sub, start=0, end=None):
        end = len(self) if end is None else min(end, len(self))
        found = super().find(sub, start, end)
        Counting.work += (end if found < 0 else found) - start
        return found

    def __getitem__(self, at):
        got = super().__getitem__(at)
        Counting.work += len(got) if isinstance(at, slice) else 1
        return got

    def __delitem__(self, at):
        Counting.work += len(self[at])
        super().__delitem__(at)
'''


def edited(path: str, old: str, new: str) -> str:
    """Give the source of a module of the reference with an edit."""
    text = copies.source(path)
    assert text.count(old) == 1
    return text.replace(old, new)


BUFFER = "self._buffer = bytearray()"
COPY = copies.load(
    {
        "improto/codec.py": edited("improto/codec.py", BUFFER, "self._buffer = Counting()") + COUNTING,
        "improto_codecs/pickle_codec.py": edited(
            "improto_codecs/pickle_codec.py", BUFFER, "self._buffer = codec.Counting()"
        ).replace("from improto.codec import", "from improto import codec\nfrom improto.codec import"),
        # A pattern may go over all that is there.
        "improto_codecs/plain_pickles.py": edited(
            "improto_codecs/plain_pickles.py",
            "    match = pattern and",
            "    from improto.codec import Counting\n"
            "    Counting.work += len(data) - position\n"
            "    match = pattern and",
        ),
    }
)
"""A copy of the reference whose readers count what they do with their buffers."""


def work(name: str, message: AnyMessage) -> tuple[int, int, int]:
    """Read a message in pieces of 16 bytes; give its bytes, those that were gone over, and how many calls it took."""
    own: Any = getattr(COPY.module("improto.messages"), type(message).__name__)(*message.values())
    codec, counting = COPY.codec(name), COPY.module("improto.codec").Counting
    data = codec.frame(codec.encode(own))
    reader = codec.reader(own.FROM)
    calls, found = 0, list[Any]()
    counting.work = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    sys.setprofile(count)
    try:
        for at in range(0, len(data), 16):
            reader.feed(data[at : at + 16])
            found.append(reader.next(2**24))
    finally:
        sys.setprofile(None)
    assert [one for one in found if one is not None] == [own]
    return len(data), counting.work, calls


MADE: dict[str, tuple[Callable[[int], AnyMessage], int]] = {
    "plain": (lambda count: Message("7", "ann", "hi (S'; " * count), 2**14),
    "characters": (lambda count: Message("7", "ann", "é在😀" * count), 2**14),
    "escapes": (lambda count: Message("7", "ann", '"\\\n' * count), 2**16),
    "roster": (lambda count: OnlineUsers({f"user {number}": "here" for number in range(count)}), 2**13),
    "lists": (lambda count: Conversations({f"{number}": ("ann",) * 9 for number in range(count)}), 2**12),
}
"""What makes a message of a size, and a size."""


@pytest.mark.parametrize("name", ["ascii", "json", "msgpack", "pickle"])
@pytest.mark.parametrize(("make", "count"), MADE.values(), ids=MADE)
def test_small_reads_are_linear(name: str, make: Callable[[int], AnyMessage], count: int) -> None:
    """Twice as long a message, of 256 KiB or so, takes twice as much work in pieces of 16 bytes, and no more."""
    once, twice = work(name, make(count)), work(name, make(2 * count))
    assert twice[0] > 2**17
    assert twice[1] <= 5 * twice[0]
    assert [much <= 2.2 * little for little, much in zip(once, twice, strict=True)] == [True] * 3
