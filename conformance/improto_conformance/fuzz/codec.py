"""Lets a codec read inputs, and finds those that it does not handle as it must.

An input is a finding in each of these cases: something else comes out than a message or a declared error; it matters how
the stream was cut; a message cannot be written again; something is read after a fatal error; it takes too much time or
memory.
"""

import resource
import signal
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Final, NamedTuple

from improto.codec import Codec, load
from improto.errors import DecodeError
from improto.limits import Limits
from improto.messages import Code, Role
from improto_conformance.codecs.reading import Found, drain
from improto_conformance.fuzz.inputs import Input, made
from improto_conformance.workers import outcomes

__all__ = ["Finding", "Tally", "fault", "fuzz", "shrunk"]

_SECONDS: Final = 1.0  # of the processor's time for one input; the longest has some ten thousand bytes
_MEMORY: Final = 2**30  # bytes of address space of a process
_BATCH: Final = 2_000  # inputs between two reports of a process
_PATIENCE: Final = 120.0  # seconds between them
_LIMIT: Final = Limits().request
_CODES: Final = (Code.TOO_LARGE, Code.MALFORMED, Code.UNKNOWN_COMMAND, Code.INVALID)


class Finding(NamedTuple):
    """An input that shows a fault; its codec, seed and number make it again."""

    number: int
    fault: str
    sender: Role
    data: bytes
    """The shortest bytes that show the same kind of fault."""


@dataclass(slots=True)
class Tally:
    """The results of some inputs."""

    inputs: int = 0
    ends: Counter[str] = field(default_factory=Counter[str])
    """How many inputs ended in which way: what was read last, a message or an error."""
    findings: list[Finding] = field(default_factory=list[Finding])

    def add(self, other: "Tally") -> None:
        """Add the counts of another tally."""
        self.inputs += other.inputs
        self.ends += other.ends
        self.findings += other.findings


class _Fault(Exception):
    """What is wrong with how an input was read."""


class _TooLong(BaseException):
    """An input has used up its time; no code that reads it may catch this."""


def fuzz(codec: str, seed: int, numbers: range, jobs: int) -> Iterator[Tally]:
    """Try the inputs of these numbers, so many batches at a time; one tally for each batch."""
    batches = [(codec, seed, part) for part in _parts(numbers)]
    for (_, _, part), given, done in outcomes(_batch, batches, jobs=jobs, patience=_PATIENCE):
        if done:
            yield given[0]
        else:
            lost = Finding(part.start, f"the process was lost in one of {len(part)} inputs", Role.CLIENT, b"")
            yield Tally(len(part), findings=[lost])


def _parts(numbers: range) -> Iterator[range]:
    for start in range(numbers.start, numbers.stop, _BATCH):
        yield range(start, min(numbers.stop, start + _BATCH))


def _batch(work: tuple[str, int, range]) -> Iterator[Tally]:
    name, seed, numbers = work
    codec = load(name)
    tally = Tally()
    made(name, seed, 0)  # what all inputs are made from may take time
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    with _clock():
        for number in numbers:
            tried = made(name, seed, number)
            tally.inputs += 1
            try:
                tally.ends[_ends(codec, tried)] += 1
            except _Fault as error:
                tally.findings.append(_finding(codec, number, tried, str(error)))
    yield tally


def _finding(codec: Codec, number: int, tried: Input, words: str) -> Finding:
    kind = words.partition(":")[0]

    def again(data: bytes) -> bool:
        found = fault(codec, tried.sender, data)
        return found is not None and found.partition(":")[0] == kind

    return Finding(
        number, words, tried.sender, shrunk(tried.data, again) if again(tried.data) else tried.data
    )


def fault(codec: Codec, sender: Role, data: bytes) -> str | None:
    """Say what is wrong with how a codec reads a stream, as a whole and in single bytes; None if nothing is wrong."""
    try:
        with _clock():
            _ends(codec, Input(sender, data, [data[at : at + 1] for at in range(len(data))]))
    except _Fault as error:
        return str(error)
    return None


def shrunk(data: bytes, again: Callable[[bytes], bool]) -> bytes:
    """Leave out as much as possible, large parts first, as long as the same fault shows."""
    size = max(1, len(data) // 2)
    while size:
        at = 0
        while at < len(data):
            shorter = data[:at] + data[at + size :]
            if again(shorter):
                data = shorter
            else:
                at += size
        size //= 2
    return data


# ---- One input.


def _ends(codec: Codec, tried: Input) -> str:
    """Read an input in both ways, and give what was read last, a message or an error."""
    signal.setitimer(signal.ITIMER_PROF, _SECONDS)
    try:
        whole = _read(codec, tried.sender, [tried.data])
        pieces = _read(codec, tried.sender, tried.pieces)
        if [_shown(one) for one in whole] != [_shown(one) for one in pieces]:
            raise _Fault(f"cut otherwise: {whole} as a whole, and {pieces} in {len(tried.pieces)} pieces")
        for one in whole:
            if not isinstance(one, DecodeError) and codec.decode(codec.encode(one), one.FROM) != one:
                raise _Fault(f"not written again: {one}")
    except _Fault:
        raise
    except _TooLong:
        raise _Fault(f"too long: {len(tried.data)} bytes take more than {_SECONDS:g} s") from None
    except Exception as error:
        raise _Fault(f"{type(error).__name__}: {error}") from error
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
    return _kind(whole[-1]) if whole else "nothing"


def _read(codec: Codec, sender: Role, pieces: Sequence[bytes]) -> list[Found]:
    reader = codec.reader(sender)
    found: list[Found] = []
    over = False
    for piece in pieces:
        reader.feed(piece)
        for one in drain(reader, _LIMIT):
            if over:
                raise _Fault(f"not over: {one} behind a fatal error")
            found.append(one)
            if isinstance(one, DecodeError):
                over = one.fatal
                if one.code not in _CODES:
                    raise _Fault(f"undeclared: the code {one.code}")
    return found


def _kind(one: Found) -> str:
    if isinstance(one, DecodeError):
        return f"{one.code}, fatal" if one.fatal else str(one.code)
    return "message"


def _shown(one: Found) -> object:
    return _kind(one) if isinstance(one, DecodeError) else one


@contextmanager
def _clock() -> Generator[None, None, None]:
    """Let the timer of one input raise _TooLong."""

    def ring(_: int, __: FrameType | None) -> None:
        raise _TooLong

    before = signal.signal(signal.SIGPROF, ring)
    try:
        yield
    finally:
        signal.signal(signal.SIGPROF, before)
