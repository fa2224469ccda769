"""A codec with a framing of its own, whose length depends on the payload: JSON in netstrings, `3:[1],`."""

import re
from typing import ClassVar, Final

from improto.codec import Codec, Reader, load
from improto.errors import DecodeError
from improto.messages import AnyMessage, Code, Role

_JSON: Final = load("json")


class Netstrings(Codec):
    """Messages as netstrings that hold JSON."""

    name: ClassVar[str] = "netstrings"

    def encode(self, message: AnyMessage) -> bytes:
        """Write JSON."""
        return _JSON.encode(message)

    def decode(self, payload: bytes, sender: Role) -> AnyMessage:
        """Read JSON."""
        return _JSON.decode(payload, sender)

    def frame(self, payload: bytes) -> bytes:
        """Put the length before the payload and a comma behind it."""
        return b"%d:%b," % (len(payload), payload)

    def reader(self, sender: Role) -> Reader:
        """Give a reader of netstrings."""
        return _NetstringReader(sender)


class _NetstringReader(Reader):
    def __init__(self, sender: Role) -> None:
        self._sender = sender
        self._data = bytearray()
        self._over = False

    @property
    def behind(self) -> int:
        return len(self._data)

    def feed(self, data: bytes) -> None:
        if not self._over:
            self._data += data

    def next(self, limit: int) -> AnyMessage | None:
        if self._over or not self._data:
            return None
        head = re.match(rb"(0|[1-9][0-9]{0,8})?(:|\Z)", self._data[:11])
        if head is None or not head[1]:
            raise self._end(Code.MALFORMED)
        length, start = int(head[1]), head.end()
        if length > limit:
            raise self._end(Code.TOO_LARGE)
        if not head[2] or len(self._data) <= start + length:
            return None
        if self._data[start + length] != ord(","):
            raise self._end(Code.MALFORMED)
        payload = bytes(self._data[start : start + length])
        del self._data[: start + length + 1]
        return _JSON.decode(payload, self._sender)

    def _end(self, code: Code) -> DecodeError:
        self._over = True
        self._data.clear()
        return DecodeError(code, "there is no netstring of a legal length", fatal=True)
