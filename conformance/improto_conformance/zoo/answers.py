"""How the codecs of a copy of the reference answer the vectors, like a program that is tried."""

import json
from collections.abc import Callable
from typing import Any

from improto.codec import available, load
from improto.errors import ImprotoError
from improto_conformance.vectors.programs import Ask
from improto_conformance.vectors.values import Tagged, read_message, write_message
from improto_conformance.zoo.copies import Copy

__all__ = ["NoAnswer", "answering"]


class NoAnswer(ImprotoError):
    """A copy raised something instead of an answer."""


def answering(copy: Copy) -> Ask:
    """Give what answers as the decoder and as the encoder; NoAnswer if the copy raises something."""
    answers: dict[str, Callable[[Copy, Tagged], Tagged]] = {
        "message": _decode,
        "stream": _read,
        "encode": _encode,
    }

    def ask(request: Tagged) -> Tagged:
        try:
            answer = answers[request["kind"]](copy, request)
            json.dumps(answer)  # or no program could give it
            return answer
        except Exception as error:
            raise NoAnswer(f"the copy raised {error!r} for {request['id']}; see its edit") from error

    return ask


def _decode(copy: Copy, request: Tagged) -> Tagged:
    sender = copy.module("improto.messages").Role(request["from"])
    try:
        message = _codec(copy, request["codec"]).decode(bytes.fromhex(request["bytes"]), sender)
    except copy.module("improto.errors").DecodeError as error:
        return {"error": error.code}
    # The bounds are those for what clients send (LIMIT-26).
    if request["from"] == "client" and copy.module("improto.limits").Limits().complaint(message) is not None:
        return {"error": "invalid"}
    return {"message": write_message(message)}


def _read(copy: Copy, request: Tagged) -> Tagged:
    wire, messages = copy.module("improto.wire"), copy.module("improto.messages")
    names = available() if request["codec"] == "auto" else [request["codec"]]
    codecs = [_codec(copy, name) for name in names]
    end = "client" if request["from"] == "server" else "server"
    connection = wire.Connection(messages.Role(end), codecs)
    if request["registered"]:
        register, success = messages.Register("user", ""), messages.OnlineUsers({"user": ""})
        sent, received = (register, success) if end == "client" else (success, register)
        if end == "client":
            connection.sent(sent)
        connection.feed(codecs[0].frame(codecs[0].encode(received)))
        connection.next(0.0)
        if end == "server":
            connection.sent(sent)
    items: list[Tagged] = []
    for piece in request["pieces"]:
        connection.feed(bytes.fromhex(piece))
        while (item := connection.next(0.0)) is not None:
            if isinstance(item, wire.Fault):
                items.append({"error": item.code})
                continue
            items.append({"message": write_message(item)})
            if isinstance(item, messages.Register):
                connection.sent(messages.OnlineUsers({}))
    if connection.codec is None:
        items.clear()  # CODEC-15, CODEC-16: closed without a word
    return {"items": items, "closed": connection.state is copy.module("improto.states").State.CLOSED}


def _encode(copy: Copy, request: Tagged) -> Tagged:
    message = read_message(request["message"])
    kind = copy.module("improto.messages").COMMANDS[message.COMMAND]
    return {"bytes": _codec(copy, request["codec"]).encode(kind(*message.values())).hex()}


def _codec(copy: Copy, name: str) -> Any:
    kind = type(load(name))
    return getattr(copy.module(kind.__module__), kind.__name__)()
