"""`improto chat`: a client for a terminal, line by line; it can be used through pipes as well.

`parse`, a pure function, understands what is typed; `Chat` turns what the server says into lines.  Every line is
printed by `_say`, which escapes whatever could control the terminal (CLIENT-22).
"""

import argparse
import asyncio
import os
import shlex
import ssl
import sys
import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Final

from improto.addresses import PORT
from improto.bindings.asyncio import Session, connect
from improto.bindings.sockets import system_reason
from improto.cli.numbers import amount
from improto.cli.serve import codecs
from improto.cli.text import escaped
from improto.codec import available
from improto.errors import CannotConnect, ImprotoError, InvalidMessage, Lost, Refused, UsageError
from improto.limits import Limits
from improto.messages import (
    Code,
    Conversations,
    Error,
    Goodbye,
    Invitation,
    Invite,
    Join,
    Leave,
    ListConversations,
    Message,
    OnlineUsers,
    Register,
    Request,
    SendMessage,
    Status,
)
from improto.user import Backoff, Item, Reconnected
from improto.wire import Fault

__all__ = ["HELP", "Complaint", "Local", "configure", "listing", "parse", "roster_changes", "run"]

HELP: Final = "talk to others from a terminal"

_PROMPT: Final = "> "
_LAST_REPLIES: Final = 1.0  # seconds to wait, after the end of input, for answers to the last commands
_COMMANDS: Final = """\
/who                 who is online
/list                conversations and their members
/invite NAME …       begin a conversation; put names with spaces in quotes
/join ID             join a conversation: from then on, what you type goes there
/leave ID            leave it, or decline an invitation
/send ID TEXT        say something in a conversation that you have joined
/status TEXT         change your status
/quit                go offline
anything else        is said in the conversation that you joined last"""


class Local(Enum):
    """What can be typed that needs no server."""

    WHO = "/who"
    HELP = "/help"
    NOTHING = ""
    """An empty line."""


@dataclass(frozen=True, slots=True)
class Complaint:
    """Why a line was not understood, or not sent, and what to type instead."""

    text: str


def parse(line: str, joined: Collection[str] = (), current: str | None = None) -> Request | Local | Complaint:
    """Understand a line that was typed by a user who is in the conversations `joined` and speaks in `current`."""
    try:
        understood = _say_here(line, current) if not line.startswith("/") else _command(line)
    except InvalidMessage as error:
        return Complaint(str(error))
    if isinstance(understood, Local | Complaint):
        return understood
    if isinstance(understood, SendMessage) and understood.conversation not in joined:
        id = understood.conversation
        return Complaint(f"you are not in conversation {id}; type /join {id} first")
    complaint = Limits().complaint(understood)
    return understood if complaint is None else Complaint(complaint)


def _say_here(line: str, current: str | None) -> Request | Local | Complaint:
    if not line:
        return Local.NOTHING
    if current is None:
        return Complaint("you are in no conversation; /invite somebody or /join one first, see /list")
    return SendMessage(current, line)


def _command(line: str) -> Request | Local | Complaint:
    command, _, rest = line.partition(" ")
    match command:
        case "/who" | "/help":
            return Local(command)
        case "/list":
            return ListConversations()
        case "/quit":
            return Goodbye()
        case "/status":
            return Status(rest)
        case "/invite":
            return _invite(rest)
        case "/join" | "/leave":
            if not rest.strip():
                return Complaint(f"which conversation? type {command} ID, see /list")
            return Join(rest.strip()) if command == "/join" else Leave(rest.strip())
        case "/send":
            id, space, text = rest.partition(" ")
            return SendMessage(id, text) if id and space else Complaint("type /send ID TEXT")
        case _:
            return Complaint(
                f"there is no command {command}, see /help; /send ID TEXT sends text that begins with /"
            )


def _invite(rest: str) -> Request | Complaint:
    try:
        names = shlex.split(rest)
    except ValueError:
        return Complaint(
            'a quotation mark is not closed; put a name with one into quotes of the other kind, like "O\'Neill"'
        )
    return Invite(tuple(names)) if names else Complaint("invite which users? type /invite NAME …, see /who")


def roster_changes(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """Tell what has changed between two rosters, in lines."""
    lines: list[str] = []
    for name, status in new.items():
        if name not in old:
            lines.append(f"* {name} is online ({status})" if status else f"* {name} is online")
        elif old[name] != status:
            lines.append(f'* {name} is now "{status}"')
    return lines + [f"* {name} went offline" for name in old if name not in new]


def listing(
    conversations: Mapping[str, tuple[str, ...]], joined: Collection[str], invitations: Mapping[str, str]
) -> list[str]:
    """Tell which conversations there are, and what the user has to do with them, in lines."""
    lines: list[str] = []
    for id, members in conversations.items():
        mark = " (you are in it)" if id in joined else ""
        lines.append(f"* conversation {id}: {', '.join(members) or 'nobody yet'}{mark}")
    lines += [f"* {source} has invited you to {id}: /join {id}" for id, source in invitations.items()]
    return lines or ["* there are no conversations; begin one with /invite NAME …"]


class Chat:
    """One user at one terminal."""

    def __init__(self, session: Session) -> None:
        """Chat on a session on which the user is registered."""
        self._session = session
        self._username = session.view.username
        self._roster: Mapping[str, str] = {self._username: session.view.status}
        self._chosen: str | None = None
        # What to do at each reply to LIST_CONVERSATIONS that is to come: all that was sent before it was handled by then.
        self._lists: deque[Callable[[], object]] = deque()
        self._settled = asyncio.Event()

    async def run(self) -> None:
        """Talk until the user ends it; Lost or Refused if the server does."""
        _say(f"* registered as {self._username}")
        tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._obey())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()

    async def _listen(self) -> None:
        async for item in self._session:
            self._show(item)

    async def _obey(self) -> None:
        typed = _typed()
        while (line := await typed.get()) is not None and self._do(line):
            await self._drain()
        if line is not None and not self._lists:  # it is /quit, and nothing is still to be told
            return
        self._ask(self._settled.set)
        await self._drain()
        await asyncio.wait([asyncio.create_task(self._settled.wait())], timeout=_LAST_REPLIES)

    async def _drain(self) -> None:
        with suppress(Lost):  # which `_listen` raises as well, unless there is to be a new connection
            await self._session.drain()

    def _do(self, line: bytes) -> bool:
        """Do what the user typed, and tell whether to go on."""
        joined = self._session.view.joined
        try:
            understood = parse(line.decode(), joined, self._current())
        except UnicodeDecodeError:
            understood = Complaint("what you typed is not UTF-8, so it was not sent")
        match understood:
            case Goodbye():
                return False
            case Local.NOTHING:
                _prompt()
            case Local.HELP:
                _say(*_COMMANDS.splitlines())
            case Local.WHO:
                _say(*roster_changes({}, self._roster))
            case Complaint(text):
                _say(f"! {text}")
            case ListConversations():
                self._ask(self._list)
            case _:
                self._send(understood)
        return True

    def _current(self) -> str | None:
        joined = self._session.view.joined
        return self._chosen if self._chosen in joined else next(reversed(joined), None)

    def _send(self, request: Request) -> None:
        try:
            self._session.request(request)
        except ImprotoError as error:
            _say(f"! {error}")
            return
        _prompt()
        if isinstance(request, Join):  # it has no reply
            self._chosen = request.conversation
            self._ask(partial(self._joined, request.conversation))

    def _ask(self, then: Callable[[], object]) -> None:
        self._lists.append(then)
        self._send(ListConversations())

    def _show(self, item: Item) -> None:
        match item:
            case OnlineUsers(users):
                _say(*roster_changes(self._roster, users))
                self._roster = users
            case Reconnected():
                self._lists.clear()
                _say("* connected again; you are in no conversation now, see /list")
            case Invitation(id, source) if source == self._username:
                _say(f"* conversation {id} is yours: /join {id}")
            case Invitation(id, source):
                _say(f"* {source} invites you to conversation {id}: /join {id}")
            case Message(id, sender, text):
                _say(f"[{id}] {sender}: {text}")
            case Conversations():
                if self._lists:  # else it is the answer to one that seemed to be refused
                    self._lists.popleft()()
            case Error():
                self._refused(item)
            case Fault(code, explanation, fatal):
                _say(f"! {code}: {explanation}" if fatal else f"* ignored: {explanation}")

    def _list(self) -> None:
        view = self._session.view
        _say(*listing(view.conversations, view.joined, view.invitations))

    def _joined(self, id: str) -> None:
        if id in self._session.view.joined:
            here = "; what you type goes there now" if id == self._current() else ""
            _say(f"* you are in conversation {id}{here}")

    def _refused(self, error: Error) -> None:
        _say(f"! {error.message}")
        if error.code == Code.RATE_LIMITED and self._lists:  # taken for the answer to it, as the session does
            self._lists.popleft()
        # A list that is to come was asked for after what is refused now: a server answers in order.
        if error.code in (Code.NO_SUCH_CONVERSATION, Code.NOT_MEMBER) and not self._lists:
            # So that the session learns where the user is; else the user would go on talking to nobody.
            self._ask(_prompt)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `chat`."""
    parser.add_argument(
        "url",
        metavar="URL",
        help=f"tcp://HOST[:PORT], tls://HOST[:PORT] (port: {PORT}), unix:PATH, ws://HOST[:PORT] or wss://…",
    )
    parser.add_argument("username", metavar="USERNAME", help="your username")
    parser.add_argument(
        "--status", default="", metavar="TEXT", help="your status, which others see beside your name"
    )
    parser.add_argument(
        "--codec",
        choices=available(),
        default="pickle",
        help="one that the server speaks (default: %(default)s)",
    )
    parser.add_argument(
        "--integer-ids", action="store_true", help="in the pickle codec, send conversation ids as integers"
    )
    parser.add_argument(
        "--gap",
        type=amount,
        default=0.0,
        metavar="S",
        help="seconds between two messages to a pickle server that expects one message from each recv; try 0.02; "
        "not used on WebSocket",
    )
    parser.add_argument(
        "--ca", metavar="FILE", help="trust servers with a certificate that one of these has signed"
    )
    parser.add_argument("--tls-cert", metavar="FILE", help="present this certificate in PEM to the server")
    parser.add_argument(
        "--tls-key", metavar="FILE", help="the key of the certificate, unless it is in the same file"
    )
    parser.add_argument("--reconnect", action="store_true", help="connect again when the connection is lost")


def run(arguments: argparse.Namespace) -> int:
    """Chat until /quit or the end of input: 0.  3 if there is no server, 1 if it refuses or is lost."""
    try:
        return asyncio.run(_chat(arguments))
    except CannotConnect as error:
        print(f"improto: {escaped(str(error))}", file=sys.stderr)
        return 3


def _tls(authorities: str | None, certificate: str | None, key: str | None) -> ssl.SSLContext:
    if key is not None and certificate is None:
        raise UsageError("--tls-key needs --tls-cert")
    try:
        context = ssl.create_default_context(cafile=authorities)
    except OSError as error:
        raise UsageError(f"--ca {authorities}: {system_reason(error)}; name a file in PEM") from None
    try:
        if certificate is not None:
            context.load_cert_chain(certificate, key)
    except OSError as error:
        files = f"--tls-cert {certificate}" + (f" --tls-key {key}" if key else "")
        raise UsageError(
            f"{files}: {system_reason(error)}; name PEM files, a certificate with its key"
        ) from None
    return context


async def _chat(arguments: argparse.Namespace) -> int:
    me = Register(arguments.username, arguments.status)
    complaint = Limits().complaint(me)
    if complaint is not None:
        raise UsageError(complaint)
    (codec,) = codecs([arguments.codec], integer_ids=arguments.integer_ids)
    backoff = Backoff() if arguments.reconnect else None
    tls = None
    if arguments.url.lower().startswith(("tls://", "wss://")):
        tls = _tls(arguments.ca, arguments.tls_cert, arguments.tls_key)
    elif arguments.ca or arguments.tls_cert or arguments.tls_key:
        raise UsageError(
            "--ca and --tls-cert are for tls:// and wss:// only: other connections do not use TLS"
        )
    try:
        async with _connecting(arguments.url, arguments.gap)(
            arguments.url, me.username, status=me.status, codec=codec, tls=tls, reconnect=backoff
        ) as session:
            await Chat(session).run()
    except (Lost, Refused) as error:
        _say(f"! {error}", prompt=False)
        return 1
    return 0


def _connecting(url: str, gap: float) -> Callable[..., AbstractAsyncContextManager[Session]]:
    """Give the function that connects to such a URL; on WebSocket, where messages are never taken for one, without a gap."""
    if not url.lower().startswith(("ws://", "wss://")):
        return partial(connect, gap=gap)
    try:
        from improto.bindings import websocket  # needs a package
    except ImportError as error:
        raise UsageError(str(error)) from None
    return websocket.connect


def _say(*lines: str, prompt: bool = True) -> None:
    """Print lines at once; on a terminal, in place of the prompt, with a new one below."""
    clear = "\r\x1b[K" if _on_terminal() else ""
    for line in lines:
        shown = escaped(line).encode(sys.stdout.encoding, "backslashreplace").decode(sys.stdout.encoding)
        print(f"{clear}{shown}", flush=True)
        clear = ""
    if prompt:
        _prompt()


def _prompt() -> None:
    if _on_terminal():
        print(f"\r{_PROMPT}", end="", flush=True)


def _on_terminal() -> bool:
    return sys.stdout.isatty()


def _typed() -> asyncio.Queue[bytes | None]:
    """Read lines of input in a thread, since asyncio cannot wait for files and some terminals; None is the end."""
    lines: asyncio.Queue[bytes | None] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def take(line: bytes | None) -> None:
        loop.call_soon_threadsafe(lines.put_nowait, line)

    threading.Thread(target=_read, args=(take,), daemon=True).start()
    return lines


def _read(take: Callable[[bytes | None], None]) -> None:
    # Not with sys.stdin: a thread that waits in it holds its lock, and the interpreter could not end.
    rest = b""
    try:
        while chunk := os.read(sys.stdin.fileno() if sys.stdin else -1, 64 * 1024):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                take(line)
        if rest:
            take(rest)
        take(None)
    except OSError:
        take(None)
    except RuntimeError:  # the loop has ended, and nobody wants the rest
        return
