"""Runs attacks, each in a process of its own under resource limits, and measures what they cost.

The process is a fork of one that has loaded the codec and done nothing else.  The system ends the process when it takes
more processor time than the attack may cost, and gives it no more memory than that.
"""

import codecs
import copyreg
import math
import os
import pickle
import resource
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from improto.codec import Codec, Reader, load
from improto.errors import DecodeError
from improto.messages import AnyMessage, Error, Join, Role
from improto_conformance.codecs.attacks.attack import CHUNK, MESSAGE, NOTHING, Attack
from improto_conformance.codecs.reading import Found, drain, read
from improto_conformance.workers import outcomes

__all__ = ["BOUNDS", "Bounds", "Measured", "measure"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What reading in a codec may cost."""

    memory: int
    """Bytes of memory for each byte that a reader holds: one message up to the limit, and one chunk."""
    time: float
    """Microseconds of the processor's time for each byte that is read."""

    def bytes(self, limit: int, fed: int) -> int:
        """Give how much memory reading so many bytes may take."""
        return _SPARE + self.memory * (min(fed, limit) + min(fed, CHUNK))

    def seconds(self, fed: int) -> int:
        """Give how much time reading so many bytes may take, in whole seconds as the system counts it."""
        return math.ceil(1 + self.time * fed / 1e6)


BOUNDS: Final[Mapping[str, Bounds]] = {
    "ascii": Bounds(memory=64, time=4.0),
    "json": Bounds(memory=64, time=4.0),
    "msgpack": Bounds(memory=96, time=4.0),
    "pickle": Bounds(memory=128, time=4.0),
}
"""What each codec may cost; tests enforce it.

An empty Python list takes some 70 bytes, and one byte of a pickle or three of JSON make one; so does an entry of a pickle's
memo.  In msgpack, two bytes make an entry of a map, which is kept as a pair until all of the map is there.
"""

_SPARE: Final = 2**21  # bytes of memory that the interpreter takes from time to time
_ROOM: Final = 2**27  # bytes of address space that allocators reserve without using it
_PATIENCE: Final = 600.0  # seconds until an attack that neither ends nor takes time is given up
_TEXTS: Final = ("latin-1", "raw-unicode-escape", "utf-8", "utf-16-le")
_EXTENSION: Final = 1
_HARMLESS: Final = "builtins.id"  # an audit event that is not an action
_FOLLOWING: Final[Mapping[Role, AnyMessage]] = {Role.CLIENT: Join("7"), Role.SERVER: Error("invalid: x")}


@dataclass(frozen=True, slots=True)
class Measured:
    """The result of an attack."""

    id: str
    outcome: str
    """As in `Attack`; or an exception that no codec may raise, or the signal that ended the process."""
    fatal: bool = False
    explanation: str = ""
    """The explanation, if the outcome is an error."""
    intact: bool = True
    """Whether a message that follows was read; after a fatal error, whether nothing was read."""
    executed: tuple[str, ...] = ()
    """What the interpreter was made to do: audit events such as `import`, `exec`, `open`, `os.system`."""
    fed: int = 0
    """Bytes."""
    memory: int = 0
    """Bytes at the peak, above what the process had before."""
    seconds: float = 0.0
    """Of the processor's time, with the making of the bytes."""

    def complaints(self, attack: Attack) -> Iterator[str]:
        """Say what is not as it must be."""
        if (self.outcome, self.fatal) != (attack.outcome, attack.fatal):
            due, seen = _described(attack.outcome, attack.fatal), _described(self.outcome, self.fatal)
            yield f"{self.id} has to be {due}, and was {seen} ({self.explanation})"
        if not self.intact:
            yield f"{self.id}: what follows was read if the error was fatal, and was not read if it was none"
        if self.executed:
            yield f"{self.id} made the interpreter act: {', '.join(self.executed)}"
        bound = BOUNDS[attack.codec].bytes(attack.limit, self.fed)
        if self.memory > bound:
            yield f"{self.id} took {self.memory:,} bytes of memory for {self.fed:,} bytes; the bound is {bound:,}"


def _described(outcome: str, fatal: bool) -> str:
    return f"{outcome} and fatal" if fatal else outcome


def measure(attacks: Iterable[Attack], jobs: int = 1) -> Iterator[Measured]:
    """Run attacks of `ATTACKS`, so many at a time, in their order."""
    for id, given, done in outcomes(_run, [attack.id for attack in attacks], jobs=jobs, patience=_PATIENCE):
        yield given[0] if done else Measured(id, "no end")


def _run(id: str) -> Iterator[Measured]:
    """Run an attack in a fork of this process, which has one thread only."""
    from improto_conformance.codecs.attacks import ATTACKS  # the package imports this module

    attack = ATTACKS[id]
    codec = load(attack.codec)
    _prepare()
    receiving, sending = os.pipe()
    child = os.fork()
    if not child:
        with suppress(BaseException):  # only the parent could be told, and it sees that there is no answer
            os.write(sending, pickle.dumps(_attacked(codec, attack)))
        os._exit(1)
    os.close(sending)
    with open(receiving, "rb") as pipe:
        answer = pipe.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if answer:
        yield pickle.loads(answer)
    else:
        yield Measured(id, signal.Signals(-code).name if code < 0 else "no answer")


@cache
def _prepare() -> None:
    """Let the interpreter do everything that it does only once, and be as careless as a program can make it."""
    for name in _TEXTS:
        codecs.lookup(name)
    # Of a registered extension that has been loaded before, a pickle gets the object without an import.
    copyreg.add_extension("os", "system", _EXTENSION)
    pickle.loads(b"\x82" + bytes([_EXTENSION]) + b".")
    sys.set_int_max_str_digits(0)  # some programs need large numbers


def _attacked(codec: Codec, attack: Attack) -> Measured:
    """Read the attack as it arrives, up to its end or a fatal error, and what follows."""
    following = _FOLLOWING[attack.sender]
    frame = codec.frame(codec.encode(following))
    # So that everything that is loaded once is there.
    read(codec.reader(attack.sender), [frame], attack.limit)
    fed = sum(map(len, attack.chunks()))
    memory, began = _kibibytes("VmHWM"), time.process_time()
    _limit(resource.RLIMIT_CPU, math.ceil(began) + BOUNDS[attack.codec].seconds(fed))
    _limit(
        resource.RLIMIT_AS,
        _ROOM + 1024 * _kibibytes("VmSize") + BOUNDS[attack.codec].bytes(attack.limit, fed),
    )
    executed: list[str] = []
    auditing = True
    sys.addaudithook(lambda event, _: executed.append(event) if auditing and event != _HARMLESS else None)
    worst: Found | Exception | None = None
    intact = True
    try:
        reader = codec.reader(attack.sender)
        worst, fatal = _worst(reader, attack)
        reader.feed(frame)
        rest = list(drain(reader, attack.limit))
        intact = not rest if fatal else worst is None or rest[-1:] == [following]
    except Exception as error:
        worst = error
    auditing = False
    return Measured(
        attack.id,
        *_told(worst),
        intact=intact,
        executed=tuple(executed),
        fed=fed,
        memory=1024 * (_kibibytes("VmHWM") - memory),
        seconds=time.process_time() - began,
    )


def _worst(reader: Reader, attack: Attack) -> tuple[Found | None, bool]:
    """Read all of an attack; give the first error in it or else a message, and whether an error has ended it."""
    worst: Found | None = None
    for chunk in attack.chunks():
        reader.feed(chunk)
        for found in drain(reader, attack.limit):
            worst = worst if isinstance(worst, DecodeError) else found
            if isinstance(found, DecodeError) and found.fatal:
                return worst, True
    return worst, False


def _told(worst: Found | Exception | None) -> tuple[str, bool, str]:
    """Give the outcome, whether it is fatal, and the explanation."""
    match worst:
        case None:
            return NOTHING, False, ""
        case DecodeError():
            return worst.code, worst.fatal, worst.explanation
        case Exception():
            return type(worst).__name__, False, str(worst)
        case _:
            return MESSAGE, False, ""


def _kibibytes(name: str) -> int:
    """Read how much memory this process has (`VmSize`) or has had at the peak (`VmHWM`)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition(f"{name}:")[2].split()[0])


def _limit(what: int, most: int) -> None:
    hard = resource.getrlimit(what)[1]
    resource.setrlimit(what, (most if hard < 0 else min(most, hard), hard))
