"""Reads a byte stream in some codec as it arrives, to try codecs without a connection."""

from collections.abc import Iterable, Iterator

from improto.codec import Reader
from improto.errors import DecodeError
from improto.messages import AnyMessage

__all__ = ["Found", "drain", "read"]

Found = AnyMessage | DecodeError
"""What a reader gives: a message, or the reason why something is not a message."""


def drain(reader: Reader, limit: int) -> Iterator[Found]:
    """Give what `reader` reads from the bytes that it has, up to the first fatal error."""
    while True:
        try:
            message = reader.next(limit)
        except DecodeError as error:
            yield error
            if error.fatal:
                return
        else:
            if message is None:
                return
            yield message


def read(reader: Reader, pieces: Iterable[bytes], limit: int) -> list[Found]:
    """Give what is read from a stream that arrives in pieces, up to the first fatal error."""
    found: list[Found] = []
    for piece in pieces:
        reader.feed(piece)
        for one in drain(reader, limit):
            found.append(one)
            if isinstance(one, DecodeError) and one.fatal:
                return found
    return found
