"""Calls of a codec that is checked: whatever it must never do becomes NotConformant."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Final, cast

from improto.codec import Codec, Reader
from improto.errors import DecodeError
from improto.limits import Limits
from improto.messages import AnyMessage, Code, Role
from improto_conformance.codecs.reading import Found, read
from improto_conformance.results import NotConformant

__all__ = [
    "Watched",
    "all_shown",
    "attempt",
    "decoded",
    "encoded",
    "framed",
    "framed_payload",
    "read_all",
    "refused",
    "require",
    "shown",
]

_ROSTER: Final = Limits().roster
_CODES: Final = (Code.TOO_LARGE, Code.MALFORMED, Code.UNKNOWN_COMMAND, Code.INVALID)


def require(condition: bool, complaint: str) -> None:
    """Raise NotConformant if something is not so."""
    if not condition:
        raise NotConformant(complaint)


def encoded(codec: Codec, message: AnyMessage) -> bytes:
    """Give the payload that the codec writes for a legal message."""
    try:
        payload = cast(object, codec.encode(message))
    except Exception as error:
        raise NotConformant(f"{shown(message)} is legal, and raises {error!r} when it is written") from error
    if not isinstance(payload, bytes):
        raise NotConformant(f"{shown(message)} is written as {type(payload).__name__}; give bytes")
    return payload


def framed(codec: Codec, *trace: AnyMessage) -> bytes:
    """Give messages as the codec writes them to a stream."""
    return b"".join([framed_payload(codec, encoded(codec, message)) for message in trace])


def framed_payload(codec: Codec, payload: bytes) -> bytes:
    """Give a payload as the codec writes it to a stream."""
    try:
        written = cast(object, codec.frame(payload))
    except Exception as error:
        raise NotConformant(
            f"a payload of {len(payload)} bytes raises {error!r} when it is framed"
        ) from error
    if not isinstance(written, bytes):
        raise NotConformant(f"a payload is framed as {type(written).__name__}; give bytes")
    return written


def decoded(codec: Codec, payload: bytes, sender: Role) -> AnyMessage:
    """Give the message that the codec reads in a payload of its own."""
    found = attempt(codec, payload, sender)
    if isinstance(found, DecodeError):
        raise NotConformant(f"{payload!r}, which the codec has written, is refused: {found}")
    return found


def refused(codec: Codec, payload: bytes, sender: Role) -> DecodeError:
    """Give the error with which the codec refuses what is no message."""
    found = attempt(codec, payload, sender)
    if not isinstance(found, DecodeError):
        raise NotConformant(f"{payload!r} of a {sender} has to be refused, and was read as {found}")
    return found


def attempt(codec: Codec, payload: bytes, sender: Role) -> Found:
    """Give the message that the codec reads in any bytes, or the error with which it refuses them."""
    try:
        found = codec.decode(payload, sender)
    except DecodeError as error:
        require(
            error.code in _CODES, f"{payload!r} is refused by the code {error.code}; use {', '.join(_CODES)}"
        )
        require(not error.fatal, f"the payload {payload!r} is refused fatally; a payload is framed already")
        require(
            error.offset is None or 0 <= error.offset <= len(payload),
            f"the payload {payload!r} is refused at its byte {error.offset}, which it has not",
        )
        return error
    except Exception as error:
        raise NotConformant(f"{payload!r} raises {error!r}; raise DecodeError") from error
    if not isinstance(cast(object, found), AnyMessage):
        raise NotConformant(f"{payload!r} is read as {found!r}; give a message, or raise DecodeError")
    return found


class Watched(Reader):
    """A codec's reader, which is found out if it gives something again and again, or raises what it must not."""

    def __init__(self, codec: Codec, sender: Role) -> None:
        """Watch a new reader of what `sender` writes."""
        with _without_exceptions("reader"):
            self._reader = codec.reader(sender)
        self._left = 0  # bytes that nothing was given for

    def feed(self, data: bytes) -> None:
        """Store bytes, and count them."""
        self._left += len(data)
        with _without_exceptions("feed"):
            self._reader.feed(data)

    def next(self, limit: int) -> AnyMessage | None:
        """Take the next message, as `Reader.next` does."""
        require(self._left >= 0, "a reader gives more than it was fed: have it drop what it gives or refuses")
        self._left -= 1
        try:
            found = self._reader.next(limit)
        except DecodeError:
            raise
        except Exception as error:
            raise NotConformant(f"`next` raises {error!r}; raise DecodeError") from error
        self._left += found is None
        return found

    @property
    def behind(self) -> int:
        """How many bytes are left, as `Reader.behind` tells."""
        with _without_exceptions("behind"):
            return self._reader.behind


@contextmanager
def _without_exceptions(called: str) -> Generator[None, None, None]:
    try:
        yield
    except Exception as error:
        raise NotConformant(f"`{called}` raises {error!r}") from error


def read_all(codec: Codec, sender: Role, pieces: Sequence[bytes], limit: int = _ROSTER) -> list[Found]:
    """Give all messages and errors of a stream that comes in pieces."""
    try:
        return read(Watched(codec, sender), pieces, limit)
    except NotConformant as error:
        error.add_note(f"The stream came in the pieces {pieces!r}")
        raise


def shown(found: Found) -> str:
    """Show a message, or the kind of an error, as is worth comparing."""
    if isinstance(found, DecodeError):
        return f"{found.code}, fatal" if found.fatal else str(found.code)
    return ascii(found)  # since things that look alike may differ


def all_shown(found: Sequence[Found]) -> list[str]:
    """Do the same for many."""
    return [shown(one) for one in found]
