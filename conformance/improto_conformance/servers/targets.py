"""What is checked: a server that listens somewhere, or a program that is started for the run.

    tcp://host:port         a server that is running already; the port is 6666 if none is given
    tls://host:port         … behind TLS
    unix:/path              … on a Unix socket
    ws://host:port/path     … on WebSocket, or with wss:// on WebSocket behind TLS
    cmd:'prog {port}'       a program that must listen on 127.0.0.1, at the port that it is given
    inproc:module:factory   the `Service` that a function returns, in this process; each check has its own, on a
                            clock of its own, so that waiting takes no time

A program is ended together with everything that it has started, even if the suite itself is killed (`supervise`).
"""

import asyncio
import os
import shlex
import socket
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib import import_module
from inspect import signature
from shutil import which
from typing import Protocol, cast
from urllib.parse import urlsplit

from improto.addresses import PORT
from improto.bindings.memory import Server
from improto.codec import Codec
from improto.errors import ImprotoError, UsageError
from improto.service import Service
from improto_conformance.connections.addresses import Tls, Upstream, over_tcp, over_tls, over_unix
from improto_conformance.connections.links import Connect, Link
from improto_conformance.servers.check import Check
from improto_conformance.servers.supervise import Program, supervised
from improto_conformance.transcripts.complaints import last_words

__all__ = [
    "Host",
    "NoTarget",
    "Target",
    "Unmade",
    "free_port",
    "hosted",
    "in_process",
    "opened",
    "tcp",
    "words_of",
]

_START = 10.0  # seconds that a program may take to listen
_END = 1.0  # … and to end, when it has closed its connections
_PORTS = {"tcp": PORT, "ws": 80, "wss": 443}
_TRUST = Tls()
_given = set[int]()  # ports that programs have been given, who may not listen there yet
_HINT = (
    "write tcp://HOST:PORT, tls://HOST:PORT, unix:PATH, ws://HOST:PORT/PATH, wss://HOST:PORT/PATH, "
    "cmd:'PROGRAM {port}' or inproc:MODULE:FUNCTION"
)


class NoTarget(ImprotoError):
    """The target cannot be started, reached or understood."""


class Unmade(OSError):
    """A function in this process did not return a server; the text says what it did instead."""


class _Ended(NoTarget):
    """A program ended before it listened."""


@dataclass(frozen=True, slots=True)
class Target:
    """Something to check: its name, and a function that gives the connections of one check."""

    where: str
    begin: Callable[[], Connect]
    transport: str = "tcp"
    """The name of the transport."""
    stream: bool = True
    """Whether it carries bytes; otherwise it carries messages."""
    half_closes: bool = True
    """Whether a client can end its stream and go on receiving."""
    virtual: bool = False
    """Whether it has a clock of its own, so that waiting takes no time."""
    last_words: Callable[[], Sequence[str]] = tuple
    """Gives the last lines that a started program has printed."""
    ending: Callable[[], str] = str
    """Says how a started program has ended that should have gone on running; empty if it is running."""
    upstream: Upstream | None = None
    """How a referee connects to it; None if it does not carry bytes, or is in this process."""

    anew: "Callable[[], AbstractContextManager[Target]] | None" = None
    """Gives a new target of the same kind for one check; None if all checks share this one."""

    def fits(self, check: Check) -> bool:
        """Tell whether a check makes sense on this transport."""
        wanted = ("any", "stream" if self.stream else "websocket")
        return check.transport in wanted and (self.half_closes or not check.half_close)


def tcp(host: str, port: int) -> Target:
    """Give a server that listens on TCP as a target."""
    upstream = Upstream(f"{host}:{port}", partial(asyncio.open_connection, host, port))
    return _listening(upstream, "tcp", over_tcp(host, port))


class Host(Protocol):
    """A server in this process."""

    def connect(self) -> Link:
        """Give the client's end of a new connection."""
        ...


def in_process(make: Callable[[], Service]) -> Target:
    """Give the servers that `make` makes as a target; each check has a server of its own."""
    # `prompt`, so that the server sees how the bytes are cut.
    return hosted(lambda: Server(_made(make), prompt=True))


def _made(make: Callable[[], Service]) -> Service:
    """Make a server; Unmade if `make` gives none, which would otherwise look like a server that resets connections."""
    name = f"{getattr(make, '__name__', 'the function')}()"
    try:
        signature(make).bind()
    except TypeError as error:
        raise Unmade(
            f"{name} is called without arguments ({error}); "
            f"let it be a function without parameters, in a class with @staticmethod"
        ) from None
    except ValueError:  # of what is not written in Python, nobody knows the parameters
        pass
    try:
        service = make()
    except Exception as error:
        raise Unmade(f"{name} raised {type(error).__name__}: {error}") from error
    if not hasattr(service, "connect"):  # it may come from a copy of the class, or only work like one
        raise Unmade(
            f"{name} returned a value of type {type(service).__name__}; let it return an improto.service.Service"
        )
    if getattr(service, "on_ask", True) is None and service.hub.policy.ask:
        raise Unmade(
            f"{name} returned a service with Policy(ask=True) that asks nobody, and so admits nobody; set its `on_ask`"
        )
    return service


def hosted(make: Callable[[], Host]) -> Target:
    """Give servers in this process as a target; each check has its own.  What they raise counts as a fault of theirs."""

    def begin() -> Connect:
        made = cache(make)

        def connect(timeout: float, codec: Codec) -> Link:
            with _blaming():
                return _Guarded(made().connect())

        return connect

    return Target("the server in this process", begin, "inproc", virtual=True)


class _Guarded:
    """A link to a server in this process, which may raise anything."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def now(self) -> float:
        return self._link.now()

    def send(self, data: bytes) -> None:
        with _blaming():
            self._link.send(data)

    def receive(self, timeout: float) -> bytes:
        with _blaming():
            return self._link.receive(timeout)

    def half_close(self) -> None:
        with _blaming():
            self._link.half_close()

    def reset(self) -> None:
        with _blaming():
            self._link.reset()

    def close(self) -> None:
        with suppress(ConnectionError), _blaming():
            self._link.close()


@contextmanager
def _blaming() -> Generator[None]:
    """Turn exceptions of a server into errors of its connection, so that they are complaints, not faults of the suite."""
    try:
        yield
    except (TimeoutError, Unmade):
        raise
    except Exception as error:
        raise ConnectionError(f"the server raised {error!r}") from error


@contextmanager
def opened(target: str, tls: Tls = _TRUST, *, fresh: bool = False) -> Generator[Target]:
    """Give a target.  A program runs as long as the block; `tls` is for `tls://` and `wss://`.

    With `fresh`, a program is started anew for each check, so that no check can disturb another one.  UsageError if
    `target` is not a target, or not a program that can be started anew; NoTarget if it cannot be started.
    """
    if target.startswith("cmd:"):
        command = target.removeprefix("cmd:")
        with _started(command) as started:
            yield replace(started, anew=partial(_started, command)) if fresh else started
    elif fresh:
        raise UsageError("only a program can be started anew for each check; write cmd:'PROGRAM {port}'")
    elif target.startswith("inproc:"):
        yield in_process(_factory(target.removeprefix("inproc:")))
    elif target.startswith("unix:") and (path := target.removeprefix("unix:")):
        upstream = Upstream(path, partial(asyncio.open_unix_connection, path))
        yield _listening(upstream, "unix", over_unix(path))
    else:
        yield _at(target, tls)


def _at(target: str, tls: Tls) -> Target:
    """Give a target by its URL."""
    try:
        parts = urlsplit(target)
        host, port = parts.hostname, _PORTS.get(parts.scheme) if parts.port is None else parts.port
        if not host or not port:
            raise ValueError
        host.encode("idna")  # as the system does when it looks the name up
    except ValueError:
        raise UsageError(f"{target!r} is not a target; {_HINT}") from None
    where = f"{host}:{port}"
    match parts.scheme:
        case "tcp":
            return tcp(host, port)
        case "tls":
            context, name = tls.context(), tls.server_name or host
            dial = partial(asyncio.open_connection, host, port, ssl=context, server_hostname=name)
            return _listening(Upstream(where, dial, half_closes=False), "tls", over_tls(host, port, tls))
        case "ws":
            return _websocket(target, over_tcp(host, port), where)
        case "wss":
            return _websocket(target, over_tls(host, port, tls), where)
        case _:
            raise UsageError(f"{target!r} is not a target; {_HINT}")


def _listening(upstream: Upstream, transport: str, connect: Connect) -> Target:
    return Target(
        f"the server at {upstream.where}",
        lambda: connect,
        transport,
        half_closes=upstream.half_closes,
        upstream=upstream,
    )


def _websocket(target: str, dial: Connect, where: str) -> Target:
    try:
        from improto_conformance.connections.websocket import Dialer
    except ImportError:
        raise UsageError("WebSocket needs the package websockets; pip install 'improto[websocket]'") from None
    connect = Dialer(dial, target)
    scheme = target.partition(":")[0]
    return Target(f"the server at {where}", lambda: connect, scheme, stream=False, half_closes=False)


def _factory(name: str) -> Callable[[], Service]:
    module, _, function = name.partition(":")
    if not module or not function:
        raise UsageError(f"{f'inproc:{name}'!r} is not a target; write inproc:MODULE:FUNCTION")
    sys.path.insert(0, os.getcwd())  # an installed command does not look there by itself
    try:
        found: object = getattr(import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise NoTarget(f"there is no {name!r} ({error}); write inproc:MODULE:FUNCTION") from None
    if not callable(found):
        raise NoTarget(
            f"{name!r} cannot be called; it must be a function that returns an improto.service.Service"
        )
    return cast("Callable[[], Service]", found)


@contextmanager
def free_port(*, held: bool = False) -> Generator[int]:
    """Give a free port; two ports that are given at the same time are never the same.

    `held`: keep other programs from taking it as long as the block runs.  The program that is to listen there then
    needs SO_REUSEADDR, which nearly all servers set.
    """
    while True:
        # It never listens, as it would then be taken for the program that should listen.
        with socket.socket() as free:
            free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, held)
            free.bind(("127.0.0.1", 0))
            port = int(free.getsockname()[1])
            if port in _given:
                continue
            _given.add(port)
            try:
                if not held:
                    free.close()
                yield port
            finally:
                _given.discard(port)
            return


def words_of(command: str) -> list[str]:
    """Split a command into words as a shell does.  UsageError if that is not possible."""
    try:
        return shlex.split(command)
    except ValueError:
        raise UsageError(
            f"a quotation mark is not closed, or a backslash is at the end, in the command {command!r}; "
            "put a quotation mark into quotes of the other kind"
        ) from None


@contextmanager
def _started(command: str) -> Generator[Target]:
    words = words_of(command)
    if not words:
        raise UsageError("cmd: needs a program; write cmd:'PROGRAM {port}'")
    if which(words[0]) is None:
        raise NoTarget(f"{words[0]!r} cannot be started (there is no such program); check the command")
    with ExitStack() as stack:
        try:
            started = stack.enter_context(_listening_at(words, held=True))
        except _Ended:  # as a program without SO_REUSEADDR does
            started = stack.enter_context(_listening_at(words, held=False))
        yield started


@contextmanager
def _listening_at(words: Sequence[str], *, held: bool) -> Generator[Target]:
    with (
        free_port(held=held) as port,
        supervised([word.replace("{port}", str(port)) for word in words]) as program,
    ):
        _await(program, port, words[0])

        def ending() -> str:
            # Its connections are seen to close a little before the program is seen to end.
            code = program.wait(_END)
            after = f"{words[0]!r} ended with exit code {code} after it had listened"
            return "" if code is None else f"{after}{last_words(program.last_words())}"

        yield replace(tcp("127.0.0.1", port), last_words=program.last_words, ending=ending)


def _await(program: Program, port: int, name: str) -> None:
    """Wait until a program listens."""
    end = time.monotonic() + _START
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
        except OSError:
            pass
        else:
            return
        # Waiting for the end of the program is the pause between two tries.
        code = program.wait(0.05)
        if code is not None:
            raise _Ended(
                f"{name!r} ended with exit code {code} before it listened on port {port}; "
                f"see what it says when run by hand{last_words(program.last_words())}"
            )
    raise NoTarget(
        f"{name!r} does not listen on port {port} after {_START:g} s; does it use {{port}}?{last_words(program.last_words())}"
    )
