"""A subject in this process: a copy of the reference's client with a driver, without sockets, threads or a clock.

Everything that a command or served bytes cause happens at once.  So nothing has to be waited for: what is not there yet
comes only because time passes, and the client is told at once how much.
"""

import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from improto_conformance.clients import lines
from improto_conformance.clients.check import ClientCheck
from improto_conformance.clients.runner import conduct
from improto_conformance.clients.subjects import Accept
from improto_conformance.connections.links import Link
from improto_conformance.results import Aim, Result
from improto_conformance.zoo.broken import Broken
from improto_conformance.zoo.copies import Copy

__all__ = ["InMemory", "tried_on"]

_EVENTS: Final = {message.COMMAND: word for word, message in lines.EVENTS.items()}
_REQUESTS: Final = {word: message.COMMAND for message, word in lines.COMMANDS.items()}


class InMemory:
    """A driver, and one client after the other, both from a copy, so that they do not mix with the suite's own classes."""

    driven = True
    room = 256 * 1024
    closed = False

    def __init__(self, copy: Copy) -> None:
        """Take the client out of a copy."""
        self._copy = copy
        self._codec = ""
        self._lines: deque[str] = deque()
        self._died = ""
        self.client: Any = None

    def begin(self, codec: str, name: str) -> Accept:
        """Begin without a client."""
        self._codec = codec
        self._lines.clear()
        self._died = ""
        self.client = None
        return lambda timeout: _Link(self)

    def address(self) -> tuple[str, int]:
        """Give an address, which is not used."""
        return "memory", 0

    def now(self) -> float:
        """Give the time, which stands still."""
        return 0.0

    def ask(self, line: str) -> None:
        """Do what a line says."""
        command = lines.members(line)
        answer = self.alive(self._do, command)
        if answer is not None:
            self._write({answer: command["do"]})

    def hear(self, timeout: float) -> str | None:
        """Give the next line, or None if the client has failed; TimeoutError if there is no line."""
        if not self._lines:
            self.wait(timeout)
        if self._lines:
            return self._lines.popleft()
        if self._died:
            return None
        raise TimeoutError

    def ending(self) -> str:
        """Say which exception ended the client."""
        return f"died of {self._died}"

    def over(self) -> None:
        """Do nothing: there is nothing to close."""

    def close(self) -> bool:
        """Do nothing, too."""
        return True

    def alive(self, work: Any, *arguments: Any) -> Any:
        """Let the client do something, and write what it tells; None if it has failed, or fails now."""
        if self._died:
            return None
        try:
            done = work(*arguments)
            while self.client is not None and self.client.told:
                self._write(_event(self.client.told.popleft()))
        except Exception as error:  # whatever it raises
            self._died = repr(error)
            return None
        return done

    def wait(self, seconds: float) -> None:
        """Let so much time pass for the client, in which nothing comes."""
        if not self.gone:
            self.alive(self.client.wait, seconds)

    @property
    def gone(self) -> bool:
        """Whether the client's connection is closed."""
        return bool(self._died) or self.client is None or bool(self.client.closed)

    def _do(self, command: Mapping[str, Any]) -> str:
        match command["do"]:
            case "connect":
                codec = self._copy.codec(self._codec)
                self.client = self._copy.module("improto.bindings.memory").Session(codec)
            case "reset":
                if self.client is not None:
                    self.client.close()
                    self.client.told.clear()
            case word:
                kind = self._copy.module("improto.messages").COMMANDS[_REQUESTS[word]]
                try:
                    self.client.request(kind(*(command[field.name] for field in kind.FIELDS)))
                except self._copy.module("improto.errors").UsageError:
                    return "refused"
        return "did"

    def _write(self, members: Mapping[str, Any]) -> None:
        self._lines.append(json.dumps(members))


def _event(item: Any) -> dict[str, Any]:
    if hasattr(item, "FIELDS"):
        fields = {field.name: value for field, value in zip(item.FIELDS, item.values(), strict=True)}
        return {
            "event": _EVENTS[item.COMMAND],
            **fields,
            **({"code": item.code} if hasattr(item, "code") else {}),
        }
    return {"event": getattr(item, "value", lines.IGNORED)}


def tried_on(edited: Broken, checks: Sequence[ClientCheck]) -> Iterator[Aim | Result]:
    """Give each check before it is tried on an edited client, and then its result, if it is for the client's codec."""
    subject = InMemory(edited.copy())
    for check in checks:
        yield check
        if check.codecs is None or edited.codec in check.codecs:
            result = conduct(subject, check, edited.codec)
            assert isinstance(result, Result)  # this driver supports everything
            yield result


class _Link(Link):
    """The server's end."""

    def __init__(self, subject: InMemory) -> None:
        self._subject = subject

    def now(self) -> float:
        return 0.0

    def send(self, data: bytes) -> None:
        if not self._subject.gone:
            self._subject.alive(self._subject.client.feed, data)

    def receive(self, timeout: float) -> bytes:
        client = self._subject.client
        data: bytes = b"" if client is None else self._subject.alive(client.take) or b""
        if not data:
            self._subject.wait(timeout)
        if not data and not self._subject.gone:
            raise TimeoutError
        return data

    def half_close(self) -> None:
        if not self._subject.gone:
            self._subject.alive(self._subject.client.end)

    def reset(self) -> None:
        self.half_close()

    def close(self) -> None:
        pass
