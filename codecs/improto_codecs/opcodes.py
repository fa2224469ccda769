"""An interpreter for the few pickle opcodes that plain values need.

It is given a buffer and a position, runs all opcodes that have arrived in full, and is called again when more
bytes have arrived.  It never starts from the beginning again: of an opcode that lacks bytes only the header is
looked at again, and the search for the end of a line goes on where it stopped.  So bytes that arrive one at a time
cost no more than the same bytes at once.

What does not fit together is malformed (PICKLE-33).

`stack` holds the values above the topmost mark; `_marks` holds what lies below each mark.  So no opcode reaches
below the topmost mark, except those that remove it.

Three things can make a pickle cost more memory than it has bytes, and each has a bound: declared lengths (compared
with the limit before anything is kept), containers and memo entries (one byte makes an object of a hundred bytes), and
values that are used several times (measured once, at STOP, in no more steps than the limit allows).

Maps are kept as lists of keys and values and not as dicts: so a key may be anything, and a key that stands there
twice can still be seen.
"""

import re
from codecs import raw_unicode_escape_decode
from collections.abc import Callable, Sequence
from enum import Enum
from struct import Struct
from typing import Final

from improto.errors import DecodeError
from improto.limits import DEPTH
from improto.messages import Code

__all__ = ["Buffer", "Machine", "Map", "Other", "PickleValue", "malformed", "too_large"]


class Other(Enum):
    """Values that a pickle may hold but no message: they are read, and refused when the message is made."""

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


Buffer = bytes | bytearray
"""What opcodes are read from."""

PickleValue = str | int | Other | Map | list["PickleValue"] | tuple["PickleValue", ...]
"""What can be on the stack."""

_MAX_PROTOCOL: Final = 5
_DIGITS: Final = 64  # of the longest integer that means anything, a conversation id; PICKLE-15
_HUGE: Final = 10**_DIGITS
_SPARE_OBJECTS: Final = 256
_NOTHING: Final["list[PickleValue]"] = []
"""The items of every empty map, so that its one byte makes one object and not two.  This list is never changed."""


def malformed(explanation: str) -> DecodeError:
    """Give the error for bytes after which nobody can tell where the next message begins."""
    return DecodeError(Code.MALFORMED, explanation, fatal=True)


def too_large(limit: int) -> DecodeError:
    """Give the error for a pickle that has more than `limit` bytes, claims to have, or unfolds to more."""
    return DecodeError(Code.TOO_LARGE, f"a message may have at most {limit} bytes here", fatal=True)


class Machine:
    """Runs one pickle.  `used` counts the bytes of the message so far; `result` is its value, after STOP."""

    __slots__ = (
        "_begun",
        "_containers",
        "_limit",
        "_marks",
        "_memo",
        "_shared",
        "first",
        "result",
        "searched",
        "stack",
        "stop",
        "used",
    )

    def __init__(self, used: int) -> None:
        """Begin a pickle whose message has `used` bytes before it."""
        self.used = used
        self.result: PickleValue | None = None
        self.stack: list[PickleValue] = []
        self.searched = 0  # how many bytes of the current opcode's argument hold no line end
        self.first = -1  # where in the buffer the pickle begins, if that is still in the buffer
        self.stop = 0  # up to where the buffer may be read
        self._marks: list[list[PickleValue]] = []
        self._memo: dict[int | str, PickleValue] = {}
        self._containers = 0
        self._shared = False
        self._begun = False
        self._limit = 0

    def run(self, buffer: Buffer, position: int, limit: int) -> int:
        """Run the opcodes that are complete in `buffer` from `position` on, up to STOP; give the position behind them."""
        bound = position + limit - self.used
        stop = min(len(buffer), bound)
        self._limit = limit
        self.stop = stop
        self.first = -1 if self._begun else position
        start = end = position
        try:
            while position < stop and self.result is None:
                act = _OPCODES.get(buffer[position])
                if act is None:  # PICKLE-8
                    raise malformed(f"the pickle opcode {buffer[position]:#04x} is not allowed")
                end = act(self, buffer, position)
                if end > stop:
                    break
                position = end
        except DecodeError as error:
            error.offset = self.used + position - start
            raise
        if self.result is None and (len(buffer) > bound or (end > bound and not self.searched)):
            raise too_large(limit)  # before what is too much is kept
        self._begun = self._begun or position > start
        self.used += position - start
        return position

    # ---- The stack.

    def push(self, value: PickleValue) -> None:
        self.stack.append(value)

    def push_container(self, value: Map | list[PickleValue] | tuple[PickleValue, ...]) -> None:
        self._containers += 1
        self._count_objects()
        self.stack.append(value)

    def mark(self) -> None:
        if len(self._marks) == DEPTH:  # PICKLE-24
            raise malformed(f"a pickle may have at most {DEPTH} open marks")
        self._marks.append(self.stack)
        self.stack = []

    def pop_to_mark(self) -> list[PickleValue]:
        if not self._marks:
            raise malformed("a pickle lacks a mark")
        values = self.stack
        self.stack = self._marks.pop()
        return values

    def pop(self, count: int) -> list[PickleValue]:
        self.need(count)
        values = self.stack[-count:]
        del self.stack[-count:]
        return values

    def need(self, count: int) -> None:
        if len(self.stack) < count:
            raise malformed("a pickle takes more values than it has")

    def _count_objects(self) -> None:
        # A map of empty lists, all memoised, has four bytes for two objects: no plain pickle is denser.
        if self._containers + len(self._memo) > self._limit // 2 + _SPARE_OBJECTS:  # PICKLE-34
            raise too_large(self._limit)

    # ---- The memo.

    def put(self, key: int) -> None:
        if not self.stack:
            raise malformed("a pickle puts what it does not have")
        self._memo[_unguessable(key)] = self.stack[-1]
        self._count_objects()

    def memoize(self) -> None:
        self.put(len(self._memo))

    def get(self, number: int) -> None:
        key = _unguessable(number)
        if key not in self._memo:
            raise malformed("a pickle gets what it has not put")
        self._shared = True
        self.stack.append(self._memo[key])

    # ---- The end.

    def finish(self) -> None:
        if len(self.stack) != 1 or self._marks:
            raise malformed("a pickle ends with more or less than one value")
        value = self.stack[0]
        # A value that shares nothing is no larger than its bytes, and nests no deeper than it has containers.
        if (self._shared or self._containers >= DEPTH) and self._height(value) > DEPTH:  # PICKLE-24
            raise malformed(f"values may nest at most {DEPTH} deep")
        self.result = value

    def _height(self, root: PickleValue) -> int:
        """Give how deeply containers nest, level by level; DecodeError if all the values together are too much.

        A value counts one, and a text also its characters, which is never more than its opcode and argument have
        bytes; a value that is shared counts each time.  So this takes no more steps than the limit has bytes.
        """
        size = 1 + (len(root) if isinstance(root, str) else 0)
        height = 0
        level: list[PickleValue] = [root]
        while True:
            below: list[PickleValue] = []
            for value in level:
                children = _children(value)
                size += len(children) + sum([len(child) for child in children if isinstance(child, str)])
                if size > self._limit:  # PICKLE-25
                    raise too_large(self._limit)
                below += [child for child in children if isinstance(child, list | tuple | Map)]
            height += 1
            if not below:
                return height
            if height > self._containers:  # PICKLE-24: only a circle is longer than the number of containers
                raise malformed("a pickled value contains itself")
            level = below


def _unguessable(key: int) -> int | str:
    """Give a memo number as a key: a large one as text, since integers can be chosen so that their hashes collide.

    Small ones cannot, since a dict soon looks at all of their bits; and those that MEMOIZE counts take half the memory.
    """
    return key if key <= 0xFFFFFF else str(key)


def _children(value: PickleValue) -> Sequence[PickleValue]:
    if isinstance(value, Map):
        return value.flat
    return value if isinstance(value, list | tuple) else ()


# ---- Arguments.

_DECIMAL: Final = re.compile(rb"-?[0-9]+")
_FLOAT: Final = re.compile(rb"[-+]?(?:(?:[0-9]++\.?[0-9]*+|\.[0-9]++)(?:[eE][-+]?[0-9]++)?|nan|inf)")
_QUOTED: Final = re.compile(rb"'[^\\']*+(?:\\.[^\\']*+)*+'|\"[^\\\"]*+(?:\\.[^\\\"]*+)*+\"", re.DOTALL)
_ESCAPE: Final = re.compile(rb"\\(x[0-9a-fA-F]{2}|[0-7]{1,3}|[\\'\"abfnrtvx])", re.DOTALL)
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


def _unsigned(argument: Buffer) -> int:
    return int.from_bytes(argument, "little")


def _integer(value: int) -> PickleValue:
    return value if -_HUGE < value < _HUGE else Other.HUGE


def _decimal(digits: Buffer) -> PickleValue:
    if not _DECIMAL.fullmatch(digits):  # PICKLE-26
        raise malformed("a decimal number in a pickle has other than digits")
    significant = digits.lstrip(b"-").lstrip(b"0")
    if len(significant) > _DIGITS:  # conversion would cost the square of the length
        return Other.HUGE
    value = int(significant or b"0")
    return -value if digits.startswith(b"-") else value


def _memo_key(argument: Buffer) -> int:
    if not argument.isdigit() or len(argument) > _DIGITS:  # PICKLE-26
        raise malformed(f"a memo number in a pickle has 1 to {_DIGITS} digits")
    return int(argument)


def _joined(text: str) -> str:
    """Join the two halves of characters that narrow builds of Python wrote as two."""
    if text.isascii():
        return text
    try:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")  # PICKLE-10
    except UnicodeDecodeError:
        raise malformed("a text in a pickle has a lone surrogate") from None


def _byte_text(data: Buffer) -> str:
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
    return bytes([int(escape[1:], 16)])


# ---- What opcodes do with their arguments.


def _int(machine: Machine, argument: Buffer) -> None:
    machine.push(Other.BOOL if argument in (b"00", b"01") else _decimal(argument))  # PICKLE-16


def _long(machine: Machine, argument: Buffer) -> None:
    machine.push(_decimal(argument.removesuffix(b"L")))  # PICKLE-26


def _signed_int(machine: Machine, argument: Buffer) -> None:
    machine.push(_integer(int.from_bytes(argument, "little", signed=True)))


def _unsigned_int(machine: Machine, argument: Buffer) -> None:
    machine.push(_unsigned(argument))


def _float(machine: Machine, argument: Buffer) -> None:
    if not _FLOAT.fullmatch(argument):
        raise malformed("a float in a pickle is none")
    machine.push(Other.FLOAT)


def _string(machine: Machine, argument: Buffer) -> None:
    if not _QUOTED.fullmatch(argument):
        raise malformed("a string in a pickle is not quoted as it should be")
    data = argument[1:-1]
    machine.push(_byte_text(_ESCAPE.sub(_unescape, data) if b"\\" in data else data))


def _bytes(machine: Machine, argument: Buffer) -> None:
    machine.push(_byte_text(argument))


def _unicode(machine: Machine, argument: Buffer) -> None:
    try:
        text, _ = raw_unicode_escape_decode(argument)
    except UnicodeDecodeError:
        raise malformed("a text in a pickle has a broken escape") from None
    machine.push(_joined(text))


def _utf8(machine: Machine, argument: Buffer) -> None:
    try:
        text = argument.decode()
    except UnicodeDecodeError:
        text = _surrogates(argument)
    machine.stack.append(text)


def _surrogates(argument: Buffer) -> str:
    try:
        text = argument.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        raise malformed("a text in a pickle is not UTF-8") from None
    return _joined(text)


def _protocol(machine: Machine, buffer: Buffer, position: int) -> int:
    end = position + 2
    if end > machine.stop:
        return end
    if position != machine.first or buffer[position + 1] > _MAX_PROTOCOL:  # PICKLE-27
        raise malformed(f"PROTO stands at the start of a pickle and is at most {_MAX_PROTOCOL}")
    return end


def _short_put(machine: Machine, buffer: Buffer, position: int) -> int:
    end = position + 2
    if end <= machine.stop:
        machine.put(buffer[position + 1])
    return end


def _append(machine: Machine) -> None:
    _extend(machine, machine.pop(1))


def _appends(machine: Machine) -> None:
    _extend(machine, machine.pop_to_mark())


def _extend(machine: Machine, values: list[PickleValue]) -> None:
    machine.need(1)
    target = machine.stack[-1]
    if not isinstance(target, list):
        raise malformed("a pickle appends to what is no list")
    target += values


def _dict(machine: Machine) -> None:
    machine.push_container(Map(_paired(machine.pop_to_mark())))


def _set_item(machine: Machine) -> None:
    _update(machine, machine.pop(2))


def _set_items(machine: Machine) -> None:
    _update(machine, machine.pop_to_mark())


def _update(machine: Machine, flat: list[PickleValue]) -> None:
    machine.need(1)
    target = machine.stack[-1]
    if not isinstance(target, Map):
        raise malformed("a pickle sets an item of what is no map")
    pairs = _paired(flat)
    if target.flat:
        target.flat += pairs
    else:  # a list of its own, or the one that all empty maps share
        target.flat = pairs


def _paired(flat: list[PickleValue]) -> list[PickleValue]:
    if len(flat) % 2:
        raise malformed("a pickled map has a key without a value")
    return flat


# ---- Opcodes, by what follows them.

_Act = Callable[[Machine, Buffer, int], int]
"""Runs the opcode at a position and gives the position behind it.

If that is after `machine.stop`, the opcode has not arrived in full, and nothing was done.
"""


def _alone(do: Callable[[Machine], None]) -> _Act:
    def act(machine: Machine, buffer: Buffer, position: int) -> int:
        do(machine)
        return position + 1

    return act


def _fixed(do: Callable[[Machine, Buffer], None], width: int) -> _Act:
    """Make what runs an opcode that `width` bytes follow."""

    def act(machine: Machine, buffer: Buffer, position: int) -> int:
        end = position + 1 + width
        if end <= machine.stop:
            do(machine, buffer[position + 1 : end])
        return end

    return act


def _lined(do: Callable[[Machine, Buffer], None]) -> _Act:
    """Make what runs an opcode that a line follows."""

    def act(machine: Machine, buffer: Buffer, position: int) -> int:
        first = position + 1
        end = buffer.find(b"\n", first + machine.searched, machine.stop)
        if end < 0:
            machine.searched = machine.stop - first
            return machine.stop + 1
        machine.searched = 0
        do(machine, buffer[first:end])
        return end + 1

    return act


def _counted(do: Callable[[Machine, Buffer], None], width: int, *, signed: bool = False) -> _Act:
    """Make what runs an opcode that a length of `width` bytes follows, and then as many bytes."""
    unpack = Struct({1: "<B", 4: "<i" if signed else "<I", 8: "<Q"}[width]).unpack_from

    def act(machine: Machine, buffer: Buffer, position: int) -> int:
        head = position + 1 + width
        if head > machine.stop:
            return head
        length: int = unpack(buffer, position + 1)[0]
        if length < 0:
            raise malformed("a length in a pickle is negative")
        end = head + length
        if end <= machine.stop:
            do(machine, buffer[head:end])
        return end

    return act


# PICKLE-7.  Whatever is not in this table is refused.
_OPCODES: Final[dict[int, _Act]] = {
    0x80: _protocol,  # PROTO
    0x95: _fixed(lambda machine, argument: None, 8),  # FRAME.  PICKLE-4: its length tells nothing
    ord("("): _alone(Machine.mark),  # MARK
    ord("."): _alone(Machine.finish),  # STOP
    ord("I"): _lined(_int),  # INT
    ord("L"): _lined(_long),  # LONG
    ord("J"): _fixed(_signed_int, 4),  # BININT
    ord("K"): _fixed(_unsigned_int, 1),  # BININT1
    ord("M"): _fixed(_unsigned_int, 2),  # BININT2
    0x8A: _counted(_signed_int, 1),  # LONG1
    0x8B: _counted(_signed_int, 4, signed=True),  # LONG4
    ord("F"): _lined(_float),  # FLOAT
    ord("G"): _fixed(lambda machine, _: machine.push(Other.FLOAT), 8),  # BINFLOAT
    ord("N"): _alone(lambda machine: machine.push(Other.NONE)),  # NONE
    0x88: _alone(lambda machine: machine.push(Other.BOOL)),  # NEWTRUE
    0x89: _alone(lambda machine: machine.push(Other.BOOL)),  # NEWFALSE
    ord("S"): _lined(_string),  # STRING
    ord("T"): _counted(_bytes, 4, signed=True),  # BINSTRING
    ord("U"): _counted(_bytes, 1),  # SHORT_BINSTRING
    ord("V"): _lined(_unicode),  # UNICODE
    ord("X"): _counted(_utf8, 4),  # BINUNICODE
    0x8C: _counted(_utf8, 1),  # SHORT_BINUNICODE
    0x8D: _counted(_utf8, 8),  # BINUNICODE8
    ord("l"): _alone(lambda machine: machine.push_container(machine.pop_to_mark())),  # LIST
    ord("]"): _alone(lambda machine: machine.push_container([])),  # EMPTY_LIST
    ord("a"): _alone(_append),  # APPEND
    ord("e"): _alone(_appends),  # APPENDS
    ord("t"): _alone(lambda machine: machine.push_container(tuple(machine.pop_to_mark()))),  # TUPLE
    ord(")"): _alone(lambda machine: machine.push_container(())),  # EMPTY_TUPLE
    0x85: _alone(lambda machine: machine.push_container(tuple(machine.pop(1)))),  # TUPLE1
    0x86: _alone(lambda machine: machine.push_container(tuple(machine.pop(2)))),  # TUPLE2
    0x87: _alone(lambda machine: machine.push_container(tuple(machine.pop(3)))),  # TUPLE3
    ord("d"): _alone(_dict),  # DICT
    ord("}"): _alone(lambda machine: machine.push_container(Map(_NOTHING))),  # EMPTY_DICT
    ord("s"): _alone(_set_item),  # SETITEM
    ord("u"): _alone(_set_items),  # SETITEMS
    ord("p"): _lined(lambda machine, argument: machine.put(_memo_key(argument))),  # PUT
    ord("q"): _short_put,  # BINPUT
    ord("r"): _fixed(lambda machine, argument: machine.put(_unsigned(argument)), 4),  # LONG_BINPUT
    ord("g"): _lined(lambda machine, argument: machine.get(_memo_key(argument))),  # GET
    ord("h"): _fixed(lambda machine, argument: machine.get(_unsigned(argument)), 1),  # BINGET
    ord("j"): _fixed(lambda machine, argument: machine.get(_unsigned(argument)), 4),  # LONG_BINGET
    0x94: _alone(Machine.memoize),  # MEMOIZE
}
