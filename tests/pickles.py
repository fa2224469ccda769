"""Reads pickles with our codec, in one piece or in many, for the tests of it and of its opcodes."""

from typing import Final

from improto.errors import DecodeError
from improto.limits import Limits
from improto.messages import AnyMessage, Code, Role
from improto_codecs.pickle_codec import PickleCodec

__all__ = [
    "CLIENT",
    "CODEC",
    "INVALID",
    "LIMIT",
    "MALFORMED",
    "SERVER",
    "TOO_LARGE",
    "UNKNOWN",
    "Outcome",
    "outcome",
    "read",
]

CODEC: Final = PickleCodec()
LIMIT: Final = Limits().request
CLIENT, SERVER = Role.CLIENT, Role.SERVER

Outcome = AnyMessage | tuple[str, bool]
"""A message, or the code of an error and whether it was fatal."""

MALFORMED: Final = (Code.MALFORMED, True)
TOO_LARGE: Final = (Code.TOO_LARGE, True)
INVALID: Final = (Code.INVALID, False)
UNKNOWN: Final = (Code.UNKNOWN_COMMAND, False)


def read(data: bytes, sender: Role = CLIENT, *, limit: int = LIMIT, step: int | None = None) -> list[Outcome]:
    """Read a stream, all at once or `step` bytes at a time, to its end or the first fatal error."""
    reader = CODEC.reader(sender)
    found: list[Outcome] = []
    for start in range(0, len(data), step or max(1, len(data))):
        reader.feed(data[start : start + step] if step else data)
        while True:
            try:
                message = reader.next(limit)
            except DecodeError as error:
                found.append((error.code, error.fatal))
                if error.fatal:
                    return found
                continue
            if message is None:
                break
            found.append(message)
    return found


def outcome(data: bytes, sender: Role = CLIENT, *, limit: int = LIMIT) -> Outcome:
    """Read the one outcome of a stream, which must not depend on how it was cut."""
    found = read(data, sender, limit=limit)
    assert read(data, sender, limit=limit, step=1) == found
    assert len(found) == 1
    return found[0]
