"""Tests of `improto chat`: its pure functions, and processes that talk to servers, good and bad."""

import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from improto.cli import UNREAD
from improto.cli.chat import Complaint, Local, listing, parse, roster_changes
from improto.messages import (
    Goodbye,
    Invite,
    Join,
    Leave,
    ListConversations,
    Request,
    SendMessage,
    Status,
)
from programs import DEADLINE, IMPROTO, Program, Programs

UNDERSTOOD: list[tuple[str, Request | Local]] = [
    ("", Local.NOTHING),
    ("/who", Local.WHO),
    ("/help", Local.HELP),
    ("/list", ListConversations()),
    ("/quit", Goodbye()),
    ("/status away for  lunch ", Status("away for  lunch ")),
    ("/status", Status("")),
    ("/invite bo", Invite(("bo",))),
    ("/invite bo 'cy dee' \"O'Neill\"", Invite(("bo", "cy dee", "O'Neill"))),
    ("/join 007", Join("007")),
    ("/join  8 ", Join("8")),
    ("/leave 8", Leave("8")),
    ("/send 7 hi", SendMessage("7", "hi")),
    ("/send 7   two  spaces ", SendMessage("7", "  two  spaces ")),
    ("/send 7 /who", SendMessage("7", "/who")),
    ("/send 7 ", SendMessage("7", "")),
    ("hello, bo ", SendMessage("7", "hello, bo ")),
    ("   ", SendMessage("7", "   ")),
]
NOT_UNDERSTOOD = [
    ("/nonsense", "/help"),
    ("/", "/help"),
    ("/WHO", "/help"),
    ("/invite", "/invite NAME"),
    ("/invite O'Neill", "quotation mark"),
    ("/invite ''", "users"),
    ("/invite ' bo'", "users"),
    ("/join", "/join ID"),
    ("/leave ", "/leave ID"),
    ("/join a b", "conversation"),
    ("/send", "/send ID TEXT"),
    ("/send 7", "/send ID TEXT"),
    ("/send 8 hi", "/join 8"),
    ("/status " + "s" * 257, "status"),
    ("x" * 8193, "text"),
    ("/status \udc80", "status"),
]


@pytest.mark.parametrize(("line", "expected"), UNDERSTOOD)
def test_understood(line: str, expected: Request | Local) -> None:
    """A command becomes its request, and text goes unchanged to the current conversation."""
    assert parse(line, joined={"7"}, current="7") == expected


@pytest.mark.parametrize(("line", "hint"), NOT_UNDERSTOOD)
def test_not_understood(line: str, hint: str) -> None:
    """A line that is unclear or out of bounds becomes a complaint that helps, and no request."""
    answer = parse(line, joined={"7"}, current="7")
    assert isinstance(answer, Complaint)
    assert hint in answer.text


@pytest.mark.parametrize("line", ["hello", "/send 7 hello"])
def test_not_joined(line: str) -> None:
    """Who is in no conversation cannot say anything and is told of /join."""
    answer = parse(line)
    assert isinstance(answer, Complaint)
    assert "/join" in answer.text


def test_roster_changes() -> None:
    """Two rosters differ by who came, who has another status, and who went, in this order."""
    old = {"ann": "", "bo": "here", "cy": "", "di": "x"}
    new = {"ann": "", "bo": "away", "ed": "here", "flo": "", "di": ""}
    assert roster_changes(old, new) == [
        '* bo is now "away"',
        "* ed is online (here)",
        "* flo is online",
        '* di is now ""',
        "* cy went offline",
    ]


def test_roster_without_changes() -> None:
    """A roster that repeats the last one gives no lines."""
    assert roster_changes({"ann": "", "bo": "x"}, {"bo": "x", "ann": ""}) == []


def test_listing() -> None:
    """A listing marks the user's conversations and ends with the open invitations."""
    lines = listing({"1": ("ann", "bo"), "2": ("bo",), "3": ()}, {"1"}, {"3": "cy"})
    assert lines == [
        "* conversation 1: ann, bo (you are in it)",
        "* conversation 2: bo",
        "* conversation 3: nobody yet",
        "* cy has invited you to 3: /join 3",
    ]


def test_empty_listing() -> None:
    """Where there are no conversations, the listing tells how to begin one."""
    assert "/invite" in listing({}, (), {})[0]


def conversation(ann: Program, bo: Program) -> str:
    """Have ann invite bo, and both join."""
    ann.type("/invite bo")
    id = ann.expect(r"\* conversation (\S+) is yours: /join \1")[1]
    bo.expect(rf"\* ann invites you to conversation {id}: /join {id}")
    for program in (bo, ann):
        program.type(f"/join {id}", "/list")
        program.expect(rf"\* you are in conversation {id}; what you type goes there now")
        program.expect(rf"\* conversation {id}: .*\(you are in it\)")
    return id


def test_two_talk(programs: Programs) -> None:
    """Two users see each other come, change, talk and go, and /quit ends with exit code 0."""
    _, url = programs.serve()
    ann = programs.registered(url, "ann")
    bo = programs.registered(url, "bo", "--codec", "json", "--status", "here")
    ann.expect(r"\* bo is online \(here\)")
    bo.expect(r"\* ann is online")
    id = conversation(ann, bo)
    ann.type("hello, bo ")
    for program in (ann, bo):
        program.expect(rf"\[{id}\] ann: hello, bo ")
    bo.type(f"/send {id}   hi")
    ann.expect(rf"\[{id}\] bo:   hi")
    bo.type("/status away")
    ann.expect(r'\* bo is now "away"')
    ann.type("/who")
    ann.expect(r"\* bo is online \(away\)")
    bo.type("/quit")
    assert bo.end(stdin=False)[0] == 0
    ann.expect(r"\* bo went offline")
    assert ann.end()[0] == 0


def test_refusals_by_the_server(programs: Programs) -> None:
    """An ERROR is told, the client stays usable, and a JOIN that failed leaves no conversation behind."""
    _, url = programs.serve()
    ann = programs.registered(url, "ann")
    ann.type("/invite nobody", "/join 99")
    ann.expect(r"! no-such-user: .*")
    ann.expect(r"! no-such-conversation: .*")
    ann.type("/list")
    ann.expect(r"\* there are no conversations.*")
    ann.type("anybody here?")
    ann.expect(r"! you are in no conversation.*")
    code, lines = ann.end()
    assert code == 0
    assert not any("not-member" in line or "you are in conversation" in line for line in lines)


def test_left(programs: Programs) -> None:
    """After /leave nothing is sent to the conversation, and the user is told to join."""
    _, url = programs.serve()
    ann, bo = programs.registered(url, "ann"), programs.registered(url, "bo")
    ann.expect(r"\* bo is online")
    id = conversation(ann, bo)
    ann.type(f"/leave {id}", f"/send {id} still here?")
    ann.expect(rf"! you are not in conversation {id}; type /join {id} first")


def test_name_in_use(programs: Programs) -> None:
    """Whose name is taken is told so and gets exit code 1."""
    _, url = programs.serve()
    programs.registered(url, "ann")
    second = programs.chat(url, "ann")
    second.expect(r"! name-in-use: .*")
    assert second.end(stdin=False)[0] == 1


def test_piped(programs: Programs) -> None:
    """Commands from a pipe are all answered before the client ends, also the last one without a line end."""
    _, url = programs.serve()
    programs.registered(url, "bo")
    ann = programs.chat(url, "ann")
    assert ann.process.stdin is not None
    ann.process.stdin.write(b"/invite bo\n\xff\n/list")
    code, lines = ann.end()
    assert code == 0
    assert any(line.startswith("* conversation ") and line.endswith("nobody yet") for line in lines), lines
    assert any(re.fullmatch(r"\* conversation \S+ is yours: .*", line) for line in lines)
    assert any(line.startswith("! what you typed is not UTF-8") for line in lines)


def test_interrupted(programs: Programs) -> None:
    """Ctrl-C says goodbye without a traceback."""
    _, url = programs.serve()
    ann, bo = programs.registered(url, "ann"), programs.registered(url, "bo")
    ann.expect(r"\* bo is online")
    bo.process.send_signal(signal.SIGINT)
    code, lines = bo.end(stdin=False)
    assert code == 130
    assert not any("Traceback" in line for line in lines)
    ann.expect(r"\* bo went offline")


def test_server_down(programs: Programs) -> None:
    """Without a server there is one line that tells what to do, and exit code 3."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    code, lines = programs.chat(f"tcp://127.0.0.1:{port}", "ann").end()
    assert code == 3
    assert len(lines) == 1
    assert "improto serve" in lines[0]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_no_room_for_output(programs: Programs) -> None:
    """A client whose output finds no room says goodbye and ends with one line."""
    _, url = programs.serve()
    bo = programs.registered(url, "bo")
    ann = programs.run("sh", "-c", '"$0" chat "$1" ann --codec json >/dev/full', IMPROTO, url)
    code, lines = ann.end(stdin=False)
    assert (code, len(lines)) == (UNREAD, 1)
    assert "No space left on device" in lines[0]
    bo.expect(r"\* ann went offline")


def test_server_killed(programs: Programs) -> None:
    """When the server is killed, the client says that the connection is gone and ends with exit code 1."""
    server, url = programs.serve()
    ann = programs.registered(url, "ann")
    server.process.kill()
    code, lines = ann.end(stdin=False)
    assert code == 1
    assert lines[-1].startswith("! the ")
    assert not any("Traceback" in line for line in lines)


def test_illegal_name(programs: Programs) -> None:
    """A name that no server takes is refused before anything is sent."""
    code, lines = programs.chat("127.0.0.1:1", " ann").end()
    assert code == 2
    assert lines == ["improto: username must not begin or end with a space"]


def test_certificate_that_nobody_sees(programs: Programs, tmp_path: Path) -> None:
    """Who names a certificate where no TLS is spoken is told so, and nothing is sent in the clear."""
    ca = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(ca)
    code, lines = programs.chat("localhost", "ann", "--ca", str(ca)).end()
    assert code == 2
    assert "are for tls:// and wss://" in lines[-1]


def test_gap_too_small(programs: Programs) -> None:
    """A gap that no server sees is refused before anything is sent."""
    code, lines = programs.chat("tcp://127.0.0.1:1", "ann", "--gap", "0.01").end()
    assert code == 2
    assert lines == ["improto: a gap needs at least 0.02 s, or peers like the lecture's do not notice it"]


def test_gap_on_websocket(programs: Programs) -> None:
    """On WebSocket there is no gap, whatever is said: messages come in frames."""
    _, url = programs.addresses("--websocket", "0")
    ann = programs.registered(url, "ann", "--codec", "pickle", "--gap", "1000")
    ann.type("/list")
    ann.expect(r"\* there are no conversations; .*")


def test_scheme_in_capitals(programs: Programs) -> None:
    """The scheme of a URL may be written in capitals, for WebSocket as for all else."""
    for url in programs.addresses("--websocket", "0"):
        programs.registered(url.upper(), url.partition(":")[0], "--codec", "json")


class FakeServer:
    """Listens, and sends one client whatever a test wants."""

    def __init__(self) -> None:
        """Listen on a free port."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(DEADLINE)
        self.url = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"

    def accept(self) -> socket.socket:
        """Take a client and wait for its REGISTER."""
        connection, _ = self._listener.accept()
        connection.settimeout(DEADLINE)
        received = b""
        while not received.endswith(b"\n"):
            received += connection.recv(4096)
        return connection

    def close(self) -> None:
        """Listen no more."""
        self._listener.close()


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    """Give a listening fake."""
    server = FakeServer()
    yield server
    server.close()


ROSTER = b'{"type":"ONLINE_USERS","users":{"ann":""}}\n'


@pytest.mark.parametrize("end", [b"", b'{"type":"ONLINE_US', ROSTER + b'{"type":"MESS', b"\x00\xff" * 50])
def test_half_a_message(programs: Programs, fake: FakeServer, end: bytes) -> None:
    """A stream that ends anywhere ends the client in order, with exit code 1."""
    ann = programs.chat(fake.url, "ann")
    with fake.accept() as connection:
        connection.sendall(end)
    code, lines = ann.end(stdin=False)
    assert code == 1
    assert lines[-1].startswith("! ")
    assert not any("Traceback" in line for line in lines)


def test_nonsense_between_messages(programs: Programs, fake: FakeServer) -> None:
    """Malformed, unknown and senseless messages are reported, and the client goes on."""
    ann = programs.chat(fake.url, "ann")
    with fake.accept() as connection:
        connection.sendall(
            ROSTER
            + b"\x80garbage\n"
            + b'{"type":"FUTURE"}\n'
            + b'{"type":"MESSAGE","conversation":"9","sender":"bo","text":"psst"}\n'
            + b'{"type":"ONLINE_USERS","users":{"bo":""}}\n'
            + b'{"type":"CONVERSATIONS","conversations":{}}\n'
            + b'{"type":"ONLINE_USERS","users":{"ann":"","bo":""}}\n'
        )
        for _ in range(5):
            ann.expect(r"\* ignored: .*")
        ann.expect(r"\* bo is online")
        ann.type("/quit")
        assert connection.recv(4096) == b'{"type":"GOODBYE"}\n'
    assert ann.end(stdin=False)[0] == 0


def test_quit_behind_a_question(programs: Programs) -> None:
    """What was asked for just before /quit is still told."""
    _, url = programs.serve()
    ann = programs.registered(url, "ann")
    ann.type("/list", "/quit")
    code, lines = ann.end(stdin=False)
    assert code == 0
    assert lines[-1].startswith("* there are no conversations; ")


def test_too_fast(programs: Programs, fake: FakeServer) -> None:
    """A list that the server has no time for leaves no later one without its answer, nor does a list too many."""
    ann = programs.chat(fake.url, "ann")
    with fake.accept() as connection, connection.makefile("rb") as requests:
        connection.sendall(ROSTER)
        ann.type("/join 7")
        assert b"JOIN" in requests.readline()
        assert b"LIST" in requests.readline()
        refusal = b'{"type":"ERROR","message":"rate-limited: wait"}\n'
        connection.sendall(refusal)
        ann.expect("! rate-limited: wait")
        ann.type("/list")
        assert b"LIST" in requests.readline()
        conversations = b'{"type":"CONVERSATIONS","conversations":{"7":["ann"]}}\n'
        connection.sendall(conversations)
        ann.expect(r"\* conversation 7: ann \(you are in it\)")
        connection.sendall(conversations)
        ann.type("/quit")
        assert b"GOODBYE" in requests.readline()
    assert ann.end()[0] == 0


def test_many_refusals(programs: Programs, fake: FakeServer) -> None:
    """Refusals that come in great numbers are no reason to ask for more than one list at a time."""
    ann = programs.chat(fake.url, "ann")
    with fake.accept() as connection, connection.makefile("rb") as requests:
        connection.sendall(ROSTER + 3 * b'{"type":"ERROR","message":"not-member: no"}\n')
        for _ in range(3):
            ann.expect("! not-member: no")
        ann.type("/status busy")
        assert b"LIST" in requests.readline()
        assert b"STATUS" in requests.readline()


def test_terminal_escapes(programs: Programs, fake: FakeServer) -> None:
    """Controls and direction changes in whatever the server sends come out as harmless escapes."""
    ann = programs.chat(fake.url, "ann")
    with fake.accept() as connection:
        connection.sendall(
            b'{"type":"ONLINE_USERS","users":{"ann":"","b\\u001b[2Jo":"\\u202ex"}}\n'
            b'{"type":"INVITATION","conversation":"7","source":"b\\no"}\n'
            b'{"type":"ERROR","message":"invalid: \\u0007"}\n'
        )
        ann.expect(r"\* b\\x1b\[2Jo is online \(\\u202ex\)")
        ann.expect(r"\* b\\no invites you to conversation 7: /join 7")
        ann.expect(r"! invalid: \\x07")
        ann.type("/join 7")
        received = b""
        while not received.endswith(b'{"type":"LIST_CONVERSATIONS"}\n'):
            received += connection.recv(4096)
        assert received.startswith(b'{"type":"JOIN","conversation":"7"}\n')
        connection.sendall(
            b'{"type":"MESSAGE","conversation":"7","sender":"bo","text":"\\u001b]0;x\\u0007 \\u00e9"}\n'
        )
        ann.expect(r"\[7\] bo: \\x1b\]0;x\\x07 é")
