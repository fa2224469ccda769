"""improto in CBOR (RFC 8949): an array of the command and its fields, behind four bytes with its length."""

from functools import partial
from io import BytesIO
from typing import ClassVar, Never

import cbor2

from improto.codec import LengthCodec, arguments, build_positional
from improto.errors import DecodeError
from improto.limits import DEPTH
from improto.messages import AnyMessage, Code, Role


class _NoTags(dict[int, Never]):
    """Refuses each tag: some share values, some cost more than they have bytes.  It keeps none of them."""

    def __missing__(self, tag: int) -> Never:
        raise cbor2.CBORDecodeError("tags are not used")


def _levels(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(_levels, inner), default=0)


_load = partial(
    cbor2.load,
    max_depth=DEPTH,  # of what holds something: so one level of what is empty may be too many
    allow_indefinite=False,
    allow_duplicate_keys=False,
    strict_hashable_types=True,
    semantic_decoders=_NoTags(),
)


class CborCodec(LengthCodec):
    """Messages as CBOR arrays."""

    name: ClassVar[str] = "cbor"

    def encode(self, message: AnyMessage) -> bytes:
        """Give the array in its shortest form."""
        return cbor2.dumps([message.COMMAND, *arguments(message)])

    def decode(self, payload: bytes, sender: Role) -> AnyMessage:
        """Read one array; DecodeError if it is none or not a message."""
        stream = BytesIO(payload)
        try:
            value = _load(stream)
        except cbor2.CBORError as error:
            raise DecodeError(Code.MALFORMED, f"the message is not CBOR ({error})") from None
        match value:
            case [str(command), *fields] if not stream.read() and _levels(value) <= DEPTH:
                return build_positional(command, fields, sender)
            case _:
                raise DecodeError(Code.MALFORMED, "the message is not exactly one array with a command")
