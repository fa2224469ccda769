"""How improto's messages are put into those of WebSocket: by a codec, so that the core sees no difference to a stream."""

from collections.abc import Callable
from typing import ClassVar

from websockets.frames import Frame, Opcode

from improto.codec import Codec, LengthCodec, LineCodec
from improto.errors import DecodeError
from improto.messages import AnyMessage, Code, Role

__all__ = ["framed", "kind", "messages", "subprotocol"]


def subprotocol(codec: Codec) -> str:
    """Give the name of the subprotocol that stands for a codec (WS-3)."""
    return f"improto.v1.{codec.name}"


def kind(codec: Codec) -> Opcode:
    """Give the type of WebSocket message that a codec's payloads need (WS-2)."""
    return Opcode.BINARY if codec.binary else Opcode.TEXT


def framed(codec: Codec, payload: bytes) -> bytes:
    """Put a payload into a frame, as a server sends it."""
    return Frame(kind(codec), payload).serialize(mask=False)


def messages(codec: Codec, frame: Callable[[Codec, bytes], bytes] | None = None) -> LengthCodec:
    """Give a codec with the payloads of another one, whose readers expect the length of each before it (WS-1).

    `frame` gives what is written for a payload; without it, that is the payload with its length before it.
    """

    class Messages(LengthCodec):
        name: ClassVar[str] = subprotocol(codec)
        binary: ClassVar[bool] = codec.binary

        def encode(self, message: AnyMessage) -> bytes:
            return codec.encode(message)

        def decode(self, payload: bytes, sender: Role) -> AnyMessage:
            if isinstance(codec, LineCodec) and b"\n" in payload:
                raise DecodeError(Code.MALFORMED, "a message holds a line end", offset=payload.index(b"\n"))
            return codec.decode(payload, sender)  # no error of it is fatal, as the framing is intact (WS-9)

        def frame(self, payload: bytes) -> bytes:
            return super().frame(payload) if frame is None else frame(codec, payload)

    return Messages()
