"""An interpreter for the few pickle opcodes that plain values need.

It is fed with a buffer and a position, runs every opcode that is all there, and is called again when more
bytes have arrived.  It never starts again: an opcode that lacks bytes costs a look at its header each time,
and the search for a line's end resumes where it stopped.  So one byte at a time costs no more than all at once.

What does not fit together is malformed (PICKLE-33).

The stack holds values; `_marks` holds the heights at which MARKs were pushed.  No opcode reaches below the
topmost mark, except those that take it away.

Three things make a pickle larger than its bytes, and each has a bound: declared lengths (compared with the
limit before anything is kept), containers and memo entries (one byte makes an object of a hundred), and
sharing (measured once, at STOP, without ever walking the same container twice).

Maps are kept as lists of keys and values and not as dicts: a key may then be anything, and doubles are still
there when somebody looks for them.
"""

import re
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Final, NamedTuple

from improto.errors import DecodeError
from improto.limits import DEPTH
from improto.messages import Code

__all__ = ["Machine", "Map", "Other", "PickleValue", "malformed", "too_large"]


class Other(Enum):
    """What a pickle may hold but no message does: it is read, and refused when a message is made of it."""

    NONE = "None"
    BOOL = "a bool"
    FLOAT = "a float"
    HUGE = "an integer of too many digits"


class Map:
    """A dict as it was pickled: keys and values in turn."""

    __slots__ = ("flat",)

    def __init__(self, flat: "list[PickleValue]") -> None:
        """Keep `flat`, which alternates keys and values."""
        self.flat = flat


PickleValue = str | int | Other | Map | list["PickleValue"] | tuple["PickleValue", ...]
"""What can be on the stack."""

_MAX_PROTOCOL: Final = 5
_DIGITS: Final = 64  # of the longest integer that means anything, a conversation id; PICKLE-15
_HUGE: Final = 10**_DIGITS
_SPARE_OBJECTS: Final = 256


def malformed(explanation: str) -> DecodeError:
    """Give the error for bytes behind which no message can be found."""
    return DecodeError(Code.MALFORMED, explanation, fatal=True)


def too_large(limit: int) -> DecodeError:
    """Give the error for a pickle that is, or claims to be, or unfolds to, more than `limit` bytes."""
    return DecodeError(Code.TOO_LARGE, f"a message may have at most {limit} bytes here", fatal=True)


class Machine:
    """Runs one pickle.  `used` counts the bytes of the message so far; `result` is there after STOP."""

    __slots__ = ("_limit", "_marks", "_memo", "_objects", "_searched", "_stack", "_started", "result", "used")

    def __init__(self, used: int) -> None:
        """Begin a pickle before which its message has had `used` bytes."""
        self.used = used
        self.result: PickleValue | None = None
        self._stack: list[PickleValue] = []
        self._marks: list[int] = []
        self._memo: dict[int, PickleValue] = {}
        self._objects = 0
        self._searched = 0  # bytes of the current opcode in which there is no line end
        self._started = False
        self._limit = 0

    def run(self, buffer: bytearray, position: int, limit: int) -> int:
        """Run what is complete in `buffer` from `position` on, up to STOP; give the position behind it."""
        self._limit = limit
        while self.result is None and position < len(buffer):
            if self.used >= limit:
                raise too_large(limit)
            opcode = _OPCODES.get(buffer[position])
            if opcode is None:  # PICKLE-8
                raise malformed(f"the pickle opcode {buffer[position]:#04x} is not allowed")
            size = self._extent(opcode, buffer, position)
            if self.used + size > limit:  # before any of it is kept
                raise too_large(limit)
            end = position + size
            if end > len(buffer) or self._searched:
                break
            first = position + 1 + (opcode.width if opcode.shape in _COUNTED else 0)
            opcode.act(self, bytes(buffer[first:end]))
            self._started = True
            self.used += size
            position = end
        return position

    def _extent(self, opcode: "_Opcode", buffer: bytearray, position: int) -> int:
        """Give the size of an opcode with its argument, as far as it is known."""
        if opcode.shape is _Shape.FIXED:
            return 1 + opcode.width
        if opcode.shape is _Shape.LINE:
            end = buffer.find(b"\n", position + max(1, self._searched))
            self._searched = 0 if end >= 0 else len(buffer) - position
            return self._searched or end + 1 - position
        head = 1 + opcode.width
        if position + head > len(buffer):
            return head
        signed = opcode.shape is _Shape.COUNTED_SIGNED
        length = int.from_bytes(buffer[position + 1 : position + head], "little", signed=signed)
        if length < 0:
            raise malformed("a length in a pickle is negative")
        return head + length

    # ---- The stack.

    def push(self, value: PickleValue) -> None:
        self._stack.append(value)

    def push_container(self, value: Map | list[PickleValue] | tuple[PickleValue, ...]) -> None:
        self._count_object()
        self._stack.append(value)

    def mark(self) -> None:
        if len(self._marks) == DEPTH:  # PICKLE-24
            raise malformed(f"a pickle may have at most {DEPTH} open marks")
        self._marks.append(len(self._stack))

    def pop_to_mark(self) -> list[PickleValue]:
        if not self._marks:
            raise malformed("a pickle lacks a mark")
        height = self._marks.pop()
        values = self._stack[height:]
        del self._stack[height:]
        return values

    def pop(self, count: int) -> list[PickleValue]:
        self._need(count)
        values = self._stack[len(self._stack) - count :]
        del self._stack[len(self._stack) - count :]
        return values

    def top(self) -> PickleValue:
        self._need(1)
        return self._stack[-1]

    def _need(self, count: int) -> None:
        floor = self._marks[-1] if self._marks else 0
        if len(self._stack) - count < floor:
            raise malformed("a pickle takes more values than it has")

    def _count_object(self) -> None:
        # A map of empty lists, all memoised, has four bytes for two objects: no plain pickle is denser.
        self._objects += 1
        if self._objects > self._limit // 2 + _SPARE_OBJECTS:  # PICKLE-34
            raise too_large(self._limit)

    # ---- The memo.

    def put(self, key: int) -> None:
        if key not in self._memo:
            self._count_object()
        self._memo[key] = self.top()

    def memoize(self) -> None:
        self.put(len(self._memo))

    def get(self, key: int) -> None:
        if key not in self._memo:
            raise malformed("a pickle gets what it has not put")
        self.push(self._memo[key])

    # ---- Begin and end.

    def protocol(self, version: int) -> None:
        if self._started or version > _MAX_PROTOCOL:  # PICKLE-27
            raise malformed(f"PROTO stands at the start of a pickle and is at most {_MAX_PROTOCOL}")

    def stop(self) -> None:
        if len(self._stack) != 1 or self._marks:
            raise malformed("a pickle ends with more or less than one value")
        value = self._stack[0]
        size, height = _measure(value, self._limit)
        if size > self._limit:  # PICKLE-25
            raise too_large(self._limit)
        if height > DEPTH:  # PICKLE-24
            raise malformed(f"values may nest at most {DEPTH} deep")
        self.result = value


def _children(value: PickleValue) -> Sequence[PickleValue] | None:
    if isinstance(value, Map):
        return value.flat
    return value if isinstance(value, list | tuple) else None


def _measure(root: PickleValue, limit: int) -> tuple[int, int]:
    """Give the size with shared values counted each time, at most `limit` + 1, and the depth of containers.

    A value counts one and a text its characters besides, which is never more than its opcode and argument
    have bytes: so a pickle that shares nothing is never larger than itself.
    """
    done: dict[int, tuple[int, int]] = {}
    ancestors: set[int] = set()
    todo: list[tuple[PickleValue, bool]] = [(root, False)]
    while todo:
        value, expanded = todo.pop()
        children = _children(value)
        if children is None or id(value) in done:
            continue
        if expanded:
            ancestors.discard(id(value))
            done[id(value)] = _sum(children, done, limit)
        elif id(value) in ancestors:  # PICKLE-24
            raise malformed("a pickled value contains itself")
        else:
            ancestors.add(id(value))
            todo.append((value, True))
            todo.extend((child, False) for child in children if _children(child) is not None)
    return _sum([root], done, limit)[0] - 1, _sum([root], done, limit)[1] - 1


def _sum(children: Sequence[PickleValue], done: dict[int, tuple[int, int]], limit: int) -> tuple[int, int]:
    size = 1
    height = 0
    for child in children:
        if isinstance(child, str):
            size += 1 + len(child)
        elif _children(child) is None:
            size += 1
        else:
            child_size, child_height = done[id(child)]
            size += child_size
            height = max(height, child_height)
    return min(size, limit + 2), height + 1


# ---- Arguments.

_DECIMAL: Final = re.compile(rb"-?[0-9]+")
_MEMO_KEY: Final = re.compile(rb"[0-9]{1,%d}" % _DIGITS)
_FLOAT: Final = re.compile(rb"[-+]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|nan|inf)")
_QUOTED: Final = re.compile(rb"'[^\\']*(?:\\.[^\\']*)*'|\"[^\\\"]*(?:\\.[^\\\"]*)*\"", re.DOTALL)
_ESCAPE: Final = re.compile(rb"\\(x[0-9a-fA-F]{2}|[0-7]{1,3}|.)", re.DOTALL)
_ESCAPED: Final = {
    b"\\": b"\\",
    b"'": b"'",
    b'"': b'"',
    b"a": b"\a",
    b"b": b"\b",
    b"f": b"\f",
    b"n": b"\n",
    b"r": b"\r",
    b"t": b"\t",
    b"v": b"\v",
}


def _line(argument: bytes) -> bytes:
    return argument[:-1]


def _unsigned(argument: bytes) -> int:
    return int.from_bytes(argument, "little")


def _integer(value: int) -> PickleValue:
    return value if -_HUGE < value < _HUGE else Other.HUGE


def _decimal(digits: bytes) -> PickleValue:
    if not _DECIMAL.fullmatch(digits):  # PICKLE-26
        raise malformed("a decimal number in a pickle has other than digits")
    significant = digits.lstrip(b"-").lstrip(b"0")
    if len(significant) > _DIGITS:  # conversion would cost the square of the length
        return Other.HUGE
    value = int(significant or b"0")
    return -value if digits.startswith(b"-") else value


def _memo_key(argument: bytes) -> int:
    if not _MEMO_KEY.fullmatch(_line(argument)):  # PICKLE-26
        raise malformed(f"a memo number in a pickle has 1 to {_DIGITS} digits")
    return int(_line(argument))


def _joined(text: str) -> str:
    """Join the two halves of characters that narrow builds wrote apart."""
    if text.isascii():
        return text
    try:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")  # PICKLE-10
    except UnicodeDecodeError:
        raise malformed("a text in a pickle has a lone surrogate") from None


def _byte_text(data: bytes) -> str:
    try:  # PICKLE-9
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _unescape(match: re.Match[bytes]) -> bytes:
    escape = match[1]
    if escape in _ESCAPED:
        return _ESCAPED[escape]
    if escape[0] in b"01234567":
        return bytes([int(escape, 8) & 0xFF])  # Python 2 keeps the low eight bits
    if escape == b"x":
        raise malformed("a quoted string in a pickle has a broken escape")
    return bytes([int(escape[1:], 16)]) if len(escape) == 3 else match[0]


# ---- What opcodes do.


def _int(machine: Machine, argument: bytes) -> None:
    digits = _line(argument)
    machine.push(Other.BOOL if digits in (b"00", b"01") else _decimal(digits))  # PICKLE-16


def _long(machine: Machine, argument: bytes) -> None:
    machine.push(_decimal(_line(argument).removesuffix(b"L")))  # PICKLE-26


def _signed_int(machine: Machine, argument: bytes) -> None:
    machine.push(_integer(int.from_bytes(argument, "little", signed=True)))


def _unsigned_int(machine: Machine, argument: bytes) -> None:
    machine.push(_unsigned(argument))


def _float(machine: Machine, argument: bytes) -> None:
    if not _FLOAT.fullmatch(_line(argument)):
        raise malformed("a float in a pickle is none")
    machine.push(Other.FLOAT)


def _string(machine: Machine, argument: bytes) -> None:
    quoted = _line(argument)
    if not _QUOTED.fullmatch(quoted):
        raise malformed("a string in a pickle is not quoted as it should be")
    machine.push(_byte_text(_ESCAPE.sub(_unescape, quoted[1:-1])))


def _bytes(machine: Machine, argument: bytes) -> None:
    machine.push(_byte_text(argument))


def _unicode(machine: Machine, argument: bytes) -> None:
    try:
        text = _line(argument).decode("raw-unicode-escape")
    except UnicodeDecodeError:
        raise malformed("a text in a pickle has a broken escape") from None
    machine.push(_joined(text))


def _utf8(machine: Machine, argument: bytes) -> None:
    try:
        text = argument.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        raise malformed("a text in a pickle is not UTF-8") from None
    machine.push(_joined(text))


def _append(machine: Machine, _: bytes) -> None:
    _extend(machine, machine.pop(1))


def _appends(machine: Machine, _: bytes) -> None:
    _extend(machine, machine.pop_to_mark())


def _extend(machine: Machine, values: list[PickleValue]) -> None:
    target = machine.top()
    if not isinstance(target, list):
        raise malformed("a pickle appends to what is no list")
    target += values


def _dict(machine: Machine, _: bytes) -> None:
    machine.push_container(Map(_paired(machine.pop_to_mark())))


def _set_item(machine: Machine, _: bytes) -> None:
    _update(machine, machine.pop(2))


def _set_items(machine: Machine, _: bytes) -> None:
    _update(machine, machine.pop_to_mark())


def _update(machine: Machine, flat: list[PickleValue]) -> None:
    target = machine.top()
    if not isinstance(target, Map):
        raise malformed("a pickle sets an item of what is no map")
    target.flat += _paired(flat)


def _paired(flat: list[PickleValue]) -> list[PickleValue]:
    if len(flat) % 2:
        raise malformed("a pickled map has a key without a value")
    return flat


class _Shape(Enum):
    """What follows an opcode."""

    FIXED = "as many bytes as its width"
    LINE = "bytes up to a line feed"
    COUNTED = "a length of so many bytes, and so many bytes"
    COUNTED_SIGNED = "the same, where the length has a sign"


_COUNTED: Final = (_Shape.COUNTED, _Shape.COUNTED_SIGNED)


class _Opcode(NamedTuple):
    shape: _Shape
    width: int
    act: Callable[[Machine, bytes], None]


def _fixed(act: Callable[[Machine, bytes], None], width: int = 0) -> _Opcode:
    return _Opcode(_Shape.FIXED, width, act)


def _lined(act: Callable[[Machine, bytes], None]) -> _Opcode:
    return _Opcode(_Shape.LINE, 0, act)


def _counted(act: Callable[[Machine, bytes], None], width: int, *, signed: bool = False) -> _Opcode:
    return _Opcode(_Shape.COUNTED_SIGNED if signed else _Shape.COUNTED, width, act)


# PICKLE-7.  Whatever is not in this table is refused.
_OPCODES: Final[dict[int, _Opcode]] = {
    0x80: _fixed(lambda machine, argument: machine.protocol(argument[0]), 1),  # PROTO
    0x95: _fixed(lambda machine, argument: None, 8),  # FRAME.  PICKLE-4: its length tells nothing
    ord("("): _fixed(lambda machine, _: machine.mark()),  # MARK
    ord("."): _fixed(lambda machine, _: machine.stop()),  # STOP
    ord("I"): _lined(_int),  # INT
    ord("L"): _lined(_long),  # LONG
    ord("J"): _fixed(_signed_int, 4),  # BININT
    ord("K"): _fixed(_unsigned_int, 1),  # BININT1
    ord("M"): _fixed(_unsigned_int, 2),  # BININT2
    0x8A: _counted(_signed_int, 1),  # LONG1
    0x8B: _counted(_signed_int, 4, signed=True),  # LONG4
    ord("F"): _lined(_float),  # FLOAT
    ord("G"): _fixed(lambda machine, _: machine.push(Other.FLOAT), 8),  # BINFLOAT
    ord("N"): _fixed(lambda machine, _: machine.push(Other.NONE)),  # NONE
    0x88: _fixed(lambda machine, _: machine.push(Other.BOOL)),  # NEWTRUE
    0x89: _fixed(lambda machine, _: machine.push(Other.BOOL)),  # NEWFALSE
    ord("S"): _lined(_string),  # STRING
    ord("T"): _counted(_bytes, 4, signed=True),  # BINSTRING
    ord("U"): _counted(_bytes, 1),  # SHORT_BINSTRING
    ord("V"): _lined(_unicode),  # UNICODE
    ord("X"): _counted(_utf8, 4),  # BINUNICODE
    0x8C: _counted(_utf8, 1),  # SHORT_BINUNICODE
    0x8D: _counted(_utf8, 8),  # BINUNICODE8
    ord("l"): _fixed(lambda machine, _: machine.push_container(machine.pop_to_mark())),  # LIST
    ord("]"): _fixed(lambda machine, _: machine.push_container([])),  # EMPTY_LIST
    ord("a"): _fixed(_append),  # APPEND
    ord("e"): _fixed(_appends),  # APPENDS
    ord("t"): _fixed(lambda machine, _: machine.push_container(tuple(machine.pop_to_mark()))),  # TUPLE
    ord(")"): _fixed(lambda machine, _: machine.push_container(())),  # EMPTY_TUPLE
    0x85: _fixed(lambda machine, _: machine.push_container(tuple(machine.pop(1)))),  # TUPLE1
    0x86: _fixed(lambda machine, _: machine.push_container(tuple(machine.pop(2)))),  # TUPLE2
    0x87: _fixed(lambda machine, _: machine.push_container(tuple(machine.pop(3)))),  # TUPLE3
    ord("d"): _fixed(_dict),  # DICT
    ord("}"): _fixed(lambda machine, _: machine.push_container(Map([]))),  # EMPTY_DICT
    ord("s"): _fixed(_set_item),  # SETITEM
    ord("u"): _fixed(_set_items),  # SETITEMS
    ord("p"): _lined(lambda machine, argument: machine.put(_memo_key(argument))),  # PUT
    ord("q"): _fixed(lambda machine, argument: machine.put(_unsigned(argument)), 1),  # BINPUT
    ord("r"): _fixed(lambda machine, argument: machine.put(_unsigned(argument)), 4),  # LONG_BINPUT
    ord("g"): _lined(lambda machine, argument: machine.get(_memo_key(argument))),  # GET
    ord("h"): _fixed(lambda machine, argument: machine.get(_unsigned(argument)), 1),  # BINGET
    ord("j"): _fixed(lambda machine, argument: machine.get(_unsigned(argument)), 4),  # LONG_BINGET
    0x94: _fixed(lambda machine, _: machine.memoize()),  # MEMOIZE
}
