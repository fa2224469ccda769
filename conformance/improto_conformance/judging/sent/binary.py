"""What a sender may write in the two binary codecs; it uses `msgpack`, and the opcodes of `pickletools`."""

import pickletools
import re
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Final, cast

from improto_conformance.judging.sent.fields import FIELDS, Found, PlainMap, positional, shown, value_of

__all__ = ["in_msgpack", "in_pickle"]


def in_msgpack(stream: bytes, ended: bool) -> Found:
    unpack: Callable[..., object] = import_module("msgpack").unpackb
    at = 0
    while at + 4 <= len(stream):
        length = int.from_bytes(stream[at : at + 4])
        payload = stream[at + 4 : at + 4 + length]
        if len(payload) < length:
            break
        at += 4 + length
        try:
            array = unpack(payload, strict_map_key=False)
        except (ValueError, TypeError) as error:
            yield "MSGPACK-2", f"a frame of {shown(payload)}, which is not one MessagePack value ({error})"
            return
        yield from _msgpack_array(array, payload)
    if at < len(stream) and ended:
        yield "MSGPACK-2", f"{shown(stream[at:])}, which is no whole frame"


def _msgpack_array(array: object, payload: bytes) -> Found:
    if not isinstance(array, list) or not array:
        yield "MSGPACK-1", f"{shown(payload)}, which is no array with a command"
        return
    command, *fields = cast("list[object]", array)
    if not isinstance(command, str):
        yield "MSGPACK-4", f"{shown(payload)}, whose command is no str"
    elif command in FIELDS:
        text = "ERROR-1" if command == "ERROR" else "MSGPACK-4"
        yield from positional(
            command, fields, "MSGPACK-1", {"map": "MSGPACK-5", "list": text, "": "MSGPACK-4"}, payload
        )


_PICKLE_COMMAND: Final = re.compile(rb"[\r\n]*([A-Z_]{1,20}) ")
_TEXTS: Final = [
    "STRING",
    "BINSTRING",
    "SHORT_BINSTRING",
    "UNICODE",
    "BINUNICODE",
    "SHORT_BINUNICODE",
    "BINUNICODE8",
]
_OPCODES: Final = {opcode.code: opcode for opcode in pickletools.opcodes}
_INTEGERS: Final = ["INT", "LONG", "BININT", "BININT1", "BININT2", "LONG1", "LONG4"]
_OTHERS: Final = ["NONE", "NEWTRUE", "NEWFALSE", "FLOAT", "BINFLOAT"]
_LENGTHS: Final = {
    "TAKEN_FROM_ARGUMENT1": 1,
    "TAKEN_FROM_ARGUMENT4": 4,
    "TAKEN_FROM_ARGUMENT4U": 4,
    "TAKEN_FROM_ARGUMENT8U": 8,
}
_WIDTHS: Final = {getattr(pickletools, name): width for name, width in _LENGTHS.items()}


def in_pickle(stream: bytes, ended: bool) -> Found:
    at = 0
    while at < len(stream):
        start = _PICKLE_COMMAND.match(stream, at)
        if start is None:
            if stream[at:].strip(b"\r\n") and (ended or len(stream) - at > 21):
                whole = stream[at : at + 1] in (b"(", b"]", b"\x80")
                yield (
                    "LECTURE-5" if whole else "PICKLE-1",
                    f"{shown(stream[at:])}, which begins with no command",
                )
            return
        try:
            opcodes, end = _walked(stream, start.end())
            value = _evaluated(opcodes)
        except _CutOff:
            if ended:
                yield "CODEC-7", f"{shown(stream[at:])}, which does not end"
            return
        except (LookupError, ValueError, TypeError, AttributeError):
            yield "CODEC-7", f"{shown(stream[at:])}, which is no pickle of plain values"
            return
        yield from _pickle_value(start[1].decode(), value, stream[at:end])
        at = end


class _CutOff(Exception):
    """More bytes must come."""


def _walked(stream: bytes, at: int) -> tuple[list[tuple[str, bytes]], int]:
    """Give the opcodes up to STOP, each with its argument, and where they end; KeyError if there is a strange one."""
    found: list[tuple[str, bytes]] = []
    while at < len(stream):
        opcode = _OPCODES[chr(stream[at])]
        at, head = at + 1, at + 1
        if opcode.arg is None:
            end = at
        elif opcode.arg.n == pickletools.UP_TO_NEWLINE:
            end = stream.find(b"\n", at) + 1
        elif opcode.arg.n >= 0:
            end = at + opcode.arg.n
        else:
            head = at + _WIDTHS[opcode.arg.n]
            end = head + int.from_bytes(stream[at:head], "little")
        if end > len(stream) or head > len(stream) or end == 0:
            break
        found.append((opcode.name, stream[head:end]))
        at = end
        if opcode.name == "STOP":
            return found, at
    raise _CutOff


def _evaluated(opcodes: Sequence[tuple[str, bytes]]) -> Any:
    """Give the value as far as its shape goes: a text is "", an integer 0, all else that is no container None."""
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}

    def since_mark() -> list[Any]:
        place = marks.pop()
        items = stack[place:]
        del stack[place:]
        return items

    for name, argument in opcodes:
        match name:
            case "PROTO" | "FRAME" | "STOP":
                pass
            case "MARK":
                marks.append(len(stack))
            case "LIST" | "TUPLE":
                stack.append(since_mark())
            case "DICT":
                stack.append(PlainMap().update(since_mark()))
            case "EMPTY_LIST" | "EMPTY_TUPLE":
                stack.append([])
            case "EMPTY_DICT":
                stack.append(PlainMap())
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                stack.append([stack.pop() for _ in range(int(name[-1]))][::-1])
            case "APPEND" | "APPENDS":
                items = [stack.pop()] if name == "APPEND" else since_mark()
                stack[-1].extend(items)
            case "SETITEM" | "SETITEMS":
                items = [stack.pop(-2), stack.pop()] if name == "SETITEM" else since_mark()
                stack[-1].update(items)
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                memo[_memo_key(argument)] = stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                stack.append(memo[_memo_key(argument)])
            case _ if name in _TEXTS:
                stack.append("")
            case _ if name in _INTEGERS and argument not in (b"00\n", b"01\n"):
                stack.append(0)
            case _ if name in _OTHERS or name == "INT":
                stack.append(None)
            case _:
                raise LookupError(name)
    [value] = stack
    return value


def _memo_key(argument: bytes) -> int:
    return (
        int(argument[:65])
        if argument.endswith(b"\n") and len(argument) > 1
        else int.from_bytes(argument, "little")
    )


def _pickle_value(command: str, value: Any, data: bytes) -> Found:
    if command not in FIELDS:
        return
    names = FIELDS[command]
    if len(names) == 1:
        clause = "ERROR-1" if command == "ERROR" else "PICKLE-2"
        yield from value_of(names[0], value, clause, "CODEC-7", data)
    elif not isinstance(value, list):
        yield "PICKLE-2", f"{shown(data)}, which is no list"
    else:
        items = cast("list[object]", value)
        fields = ["" if each == 0 and not place else each for place, each in enumerate(items)]  # PICKLE-32
        yield from positional(command, fields, "PICKLE-2", _PICKLE_TYPES, data)


_PICKLE_TYPES: Final = {"map": "PICKLE-2", "list": "PICKLE-2", "": "CODEC-7"}
