"""Runs vectors through a decoder or encoder in another program, which answers line by line.

`improto_spec/vectors/README.md` describes the form of requests and answers.
"""

import json
import os
import pickletools
import shlex
import signal
import subprocess
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Timer
from typing import Any, Final, cast

from improto.codec import load
from improto.errors import DecodeError, ImprotoError, InvalidMessage
from improto.messages import COMMANDS, Error
from improto_conformance.transcripts.complaints import brief
from improto_conformance.vectors import Vector
from improto_conformance.vectors.judge import Read, Seen, judge_message, judge_stream, segmentations
from improto_conformance.vectors.values import Tagged, read_bytes, read_message

__all__ = ["Ask", "NoProgram", "Tally", "check_decoder", "check_encoder", "judge_decoder", "judge_encoder"]

Ask = Callable[[Tagged], Tagged]
"""Gives the answer to a request."""

_LIMIT: Final = 16 * 1024 * 1024
_PATIENCE: Final = 30.0
"""Seconds that an answer may take."""
_END: Final = 1.0
"""Seconds in which a program that has closed its output may end."""
_LINE: Final = 16 * 1024 * 1024
"""Characters that are read of an answer; the longest right one has much fewer."""


class NoProgram(ImprotoError):
    """The program cannot be started, or does not answer as README.md demands."""


class Tally:
    """The results of running vectors through a program."""

    def __init__(self) -> None:
        """Begin with nothing done."""
        self.passed = 0
        self.unsupported = 0
        self.failed: list[tuple[Vector, str]] = []

    def count(self, vector: Vector, answer: Tagged, complaints: Iterable[str]) -> None:
        """Count one answer, with the complaint about it if there is one."""
        if answer.get("unsupported") is True:
            self.unsupported += 1
            return
        try:
            found = list(complaints)
        except (KeyError, TypeError, AttributeError, ValueError, InvalidMessage) as error:
            found = [f"the answer {json.dumps(answer)[:200]} is none ({error!r})"]
        self.passed += not found
        self.failed += [(vector, complaint) for complaint in found]


def check_decoder(command: str, vectors: Iterable[Vector]) -> Tally:
    """Run the message and stream vectors among these through a decoder; NoProgram if it cannot be run."""
    with _running(command) as program:
        return judge_decoder(program.ask, vectors)


def check_encoder(command: str, vectors: Iterable[Vector]) -> Tally:
    """Let an encoder write the canonical message vectors, and read them back; NoProgram if it cannot be run."""
    with _running(command) as program:
        return judge_encoder(program.ask, vectors)


def judge_decoder(
    ask: Ask, vectors: Iterable[Vector], cuts: Callable[[bytes], Iterable[list[bytes]]] = segmentations
) -> Tally:
    """Ask how a decoder reads the message and stream vectors among these, with streams cut in several ways."""
    tally = Tally()
    for vector in vectors:
        if vector.kind == "message":
            answer = ask({**_request(vector), "bytes": read_bytes(vector.data["bytes"]).hex()})
            tally.count(vector, answer, _judge_decoded(vector, answer))
        elif vector.kind == "stream":
            for pieces in cuts(read_bytes(vector.data["bytes"])):
                request = _request(vector) | {"registered": vector.data["registered"]}
                answer = ask({**request, "pieces": [piece.hex() for piece in pieces]})
                tally.count(vector, answer, _judge_stream(vector, answer))
    return tally


def judge_encoder(ask: Ask, vectors: Iterable[Vector]) -> Tally:
    """Ask how an encoder writes the messages of the canonical vectors among these."""
    tally = Tally()
    for vector in vectors:
        if vector.kind == "message" and vector.data["result"] == "canonical":
            codec, message = vector.data["codec"], vector.data["message"]
            answer = ask({"kind": "encode", "id": vector.id, "codec": codec, "message": message})
            tally.count(vector, answer, _judge_encoded(vector, answer))
    return tally


def _request(vector: Vector) -> dict[str, Any]:
    data = vector.data
    return {"kind": vector.kind, "id": vector.id, "codec": data["codec"], "from": data["from"]}


def _judge_decoded(vector: Vector, answer: Tagged) -> Iterator[str]:
    yield from judge_message(vector, _seen(answer))


def _judge_stream(vector: Vector, answer: Tagged) -> Iterator[str]:
    items = tuple(map(_seen, cast("list[Tagged]", answer["items"])))
    yield from judge_stream(vector, Read(items, answer["closed"] is True))


def _judge_encoded(vector: Vector, answer: Tagged) -> Iterator[str]:
    wanted = read_message(vector.data["message"])
    data = bytes.fromhex(answer["bytes"])
    codec = load(vector.data["codec"])
    reader = codec.reader(COMMANDS[wanted.COMMAND].FROM)
    try:
        reader.feed(codec.frame(data))
        found = reader.next(_LIMIT)
        rest = reader.next(_LIMIT)
    except DecodeError as error:
        yield f"{vector.id} was written as {data[:200]!r}, which is {error}"
        return
    if found != wanted or rest is not None:
        yield f"{vector.id} was written as {data[:200]!r}, which is {brief(found)}"
    elif codec.name in _GENEROUS and _GENEROUS[codec.name](data):
        yield f"{vector.id} was written as {data[:200]!r}, which is for receivers to accept and not to be sent"


def _doubled_keys(data: bytes) -> bool:
    """Tell whether an object has a key twice (JSON-14, CODEC-7)."""
    doubled: list[str] = []

    def note(pairs: list[tuple[str, object]]) -> None:
        keys = [key for key, _ in pairs]
        doubled.extend(key for key in keys if keys.count(key) > 1)

    json.loads(data, object_pairs_hook=note)
    return bool(doubled)


def _error_in_a_list(data: bytes) -> bool:
    """Tell whether the text of an ERROR is in a list (ERROR-1, PICKLE-28)."""
    command, _, pickled = data.partition(b" ")
    if command != Error.COMMAND.encode():
        return False
    names = {opcode.name for opcode, _, _ in pickletools.genops(pickled)}  # which runs nothing
    return any("LIST" in name or "TUPLE" in name for name in names)


# What our readers accept although nobody may send it.
_GENEROUS: Final = {"json": _doubled_keys, "pickle": _error_in_a_list}


def _seen(answer: Tagged) -> Seen:
    return read_message(answer["message"]) if "message" in answer else str(answer["error"])


class _Program:
    def __init__(self, command: str, process: subprocess.Popen[str]) -> None:
        self._command = command
        self._process = process

    def ask(self, request: Tagged) -> Tagged:
        """Send a request and wait for the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        late = Event()

        def give_up() -> None:
            late.set()
            _end(self._process)

        patience = Timer(_PATIENCE, give_up)
        patience.start()
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline(_LINE)
        except OSError:
            line = ""
        finally:
            patience.cancel()
        try:
            answer: object = json.loads(line)
        except (ValueError, RecursionError):
            answer = None
        if not line:
            if late.is_set():
                raise NoProgram(
                    f"{self._command} did not answer {request['id']} within {_PATIENCE:g} s; it must read a line, answer "
                    "it, and flush its output, before it reads the next one"
                )
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_END)
            code = self._process.returncode
            how = "closed its output" if code is None else f"ended with exit code {code}"
            raise NoProgram(
                f"{self._command} {how} before it answered {request['id']}; "
                "it must answer each line, and end when its input ends"
            )
        if not isinstance(answer, dict):
            raise NoProgram(
                f"{self._command} answers {request['id']} with {line[:200]!r}; it must answer each line "
                "with a JSON object on one line"
            )
        return cast(Tagged, answer)


@contextmanager
def _running(command: str) -> Generator[_Program, None, None]:
    try:
        words = shlex.split(command)
        process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
    except (OSError, ValueError, IndexError) as error:
        raise NoProgram(
            f"{command!r} cannot be started ({getattr(error, 'strerror', error)}); give a program and its arguments"
        ) from None
    with process:
        patience = 0.0  # for a program that does not answer, or after Ctrl-C
        try:
            yield _Program(command, process)
            patience = _PATIENCE
        finally:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdout.close()  # nobody asks for more, however much it writes
            with suppress(OSError):
                process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                process.wait(patience)
            _end(process)  # if it does not end with its input


def _end(process: "subprocess.Popen[str]") -> None:
    """End a program with its children, which may hold its output open."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
