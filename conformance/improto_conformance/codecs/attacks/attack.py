"""What an attack on a codec is: bytes that somebody sends who wants to do harm, and how the codec has to react to them.

An attack is data.  Only its bytes are made when they are needed, chunk by chunk, since some are many megabytes.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from improto.limits import Limits
from improto.messages import Role

__all__ = ["CHUNK", "MESSAGE", "NOTHING", "Attack", "in_chunks", "repeated"]

CHUNK: Final = 64 * 1024
"""The most bytes in a chunk; about as many as one read of a socket gives."""

MESSAGE: Final = "message"
"""The outcome of bytes that are legal after all."""
NOTHING: Final = "nothing"
"""The outcome of a stream that ends before its first message does."""


@dataclass(frozen=True, slots=True)
class Attack:
    """One attack on the reader of one codec."""

    codec: str
    name: str
    """Unique within its codec: words and hyphens."""
    title: str
    """What is sent, for the table."""
    chunks: Callable[[], Iterable[bytes]]
    """Makes what arrives, as it arrives; framed, since it is a stream."""
    outcome: str
    """The code of the first error; `MESSAGE` if there is no error, `NOTHING` if nothing is complete."""
    fatal: bool = False
    """Whether the stream is over after this error.  If it is not, a legal message that follows must be read."""
    sender: Role = Role.CLIENT
    limit: int = Limits().request
    """The limit of payloads, in bytes."""

    @property
    def id(self) -> str:
        """Its name together with that of its codec, which is unique."""
        return f"{self.codec}/{self.name}"


def repeated(piece: bytes, times: int) -> Iterator[bytes]:
    """Give `piece` so many times, in chunks."""
    at_once = max(1, CHUNK // len(piece))
    while times > 0:
        yield piece * min(at_once, times)
        times -= at_once


def in_chunks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Join short pieces into chunks."""
    chunk = bytearray()
    for piece in pieces:
        chunk += piece
        if len(chunk) >= CHUNK:
            yield bytes(chunk)
            chunk.clear()
    yield bytes(chunk)
