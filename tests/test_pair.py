"""Clients against servers: who is to blame."""

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from drivers import OWN, edited
from improto.cli import main
from improto.codec import available
from improto_conformance.clients.subjects import Driven, Lone
from improto_conformance.judging.verdict import SERVER
from improto_conformance.pairs.pair import NAMES, Met, meet
from improto_conformance.pairs.referee import Manner
from improto_conformance.pairs.sessions import DRIVEN, SHOWN
from improto_conformance.profile import Profile
from improto_conformance.transcripts.records import from_file
from improto_conformance.transcripts.transcript import Event
from improto_conformance.zoo.broken import BROKEN
from programs import DEADLINE, IMPROTO, running
from upstreams import at, standing


def met(
    port: int,
    clients: Sequence[Driven] | Sequence[Lone],
    session: str,
    codec: str = "json",
    timeout: float = DEADLINE,
) -> Met:
    """Hold a session with a server that nobody else uses."""
    return meet(
        at(port),
        clients,
        session,
        codec,
        Profile(available()),
        manner=Manner(),
        timeout=timeout,
        alone=True,
    )


@pytest.fixture(scope="module")
def drivers() -> Iterator[Sequence[Driven]]:
    """Start our own driver three times."""
    started = [Driven([sys.executable, str(OWN)]) for _ in NAMES]
    yield started
    for each in started:
        assert each.close()


@pytest.mark.parametrize("session", DRIVEN)
def test_nobody_is_to_blame(session: str, drivers: Sequence[Driven]) -> None:
    """Our own client and server get along in each session, and all that happened is in one transcript."""
    with standing() as port:
        found = met(port, drivers, session)
    assert (found.blames, found.doubt, found.left_out) == ((), "", "")
    told = {entry.party for entry in found.transcript.entries if entry.event is Event.TOLD}
    assert told == {*NAMES}
    assert found.transcript.codecs.keys() == {*NAMES, "guide"}


@pytest.mark.parametrize(
    ("name", "session"),
    [
        ("texts-stripped", "texts"),
        ("second-leaves-pass", ""),
        ("unknown-names-dropped", "errors"),
        ("messages-lost", "leaving"),
    ],
)
def test_the_server_is_to_blame(name: str, session: str, drivers: Sequence[Driven]) -> None:
    """A broken server is blamed if a session shows it, and the clients are not."""
    with standing(name) as port:
        found = met(port, drivers, session or "texts", timeout=0.5)
    parties = {blame.party for blame in found.blames}
    assert parties == ({SERVER} if session else set())
    if session in ("texts", "errors"):
        assert {blame.clause for blame in found.blames} == {BROKEN[name].clause}


WRONG = {
    "CLIENT-13": ("self.session.request(request)", "self.session.request(shortened(request))"),
    "CLIENT-15": (
        "tell(event=EVENTS[item.COMMAND], **{",
        'item.COMMAND == "ERROR" or tell(event=EVENTS[item.COMMAND], **{',
    ),
}
SHORTENED = '''
def shortened(request: Any) -> Any:
    """Lose the blanks around a text."""
    from dataclasses import replace

    return replace(request, text=request.text.strip()) if hasattr(request, "text") else request


class Driver:'''


@pytest.mark.parametrize(("clause", "session"), [("CLIENT-13", "texts"), ("CLIENT-15", "errors")])
def test_the_client_is_to_blame(clause: str, session: str, drivers: Sequence[Driven], tmp_path: Path) -> None:
    """A client that changes texts, or keeps ERRORs to itself, is blamed by its name; nobody else is."""
    bad = Driven(edited(tmp_path, WRONG[clause], ("class Driver:", SHORTENED.lstrip())))
    with standing() as port:
        found = meet(
            at(port),
            [drivers[0], bad, drivers[2]],
            session,
            "json",
            Profile(available()),
            manner=Manner(),
            timeout=1.0,
        )
    bad.close()
    assert {(blame.party, blame.clause) for blame in found.blames} == {("bo", clause)}


def test_left_out(drivers: Sequence[Driven], tmp_path: Path) -> None:
    """What a driver does not support ends the session, and nobody is blamed."""
    other = Driven(edited(tmp_path, ('line["codec"] not in available()', 'line["codec"] != "ascii"')))
    with standing() as port:
        found = met(port, [other, *drivers[1:]], "texts")
    other.close()
    assert (found.left_out, found.blames) == ("the codec json", ())


def test_endless_events(drivers: Sequence[Driven], tmp_path: Path) -> None:
    """A driver that tells lawful events without end ends the session without a verdict."""
    answer = 'tell(**{await driver.do(command): command["do"]})'
    flood = """while command["do"] == "join":
            print('{"event": "ignored"}')
        """
    other = Driven(edited(tmp_path, (answer, flood + answer)), patience=0.5)
    with standing() as port:
        found = met(port, [other, *drivers[1:]], "texts")
    other.close()
    assert "who was to answer to 'join', was waited for, and other lines come without end" in found.doubt


TWICE = """
import socket, sys
link = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
link.sendall(b"REGISTER %s x\\n" % sys.argv[2].encode() * 2)
while link.recv(1000):
    pass
"""


def test_clients_without_a_driver() -> None:
    """Clients that know nothing of the suite are shown what a user sees; our own one does nothing wrong, another does."""
    chat = [str(IMPROTO), "chat", "tcp://{host}:{port}", "{user}", "--codec", "{codec}"]
    with standing() as port:
        good = met(port, [Lone(chat) for _ in NAMES], SHOWN, "ascii")
        wrong = met(port, [Lone([sys.executable, "-c", TWICE, "{port}", "{user}"])], SHOWN, "ascii")
    assert (good.blames, good.doubt) == ((), "")
    assert {(blame.party, blame.clause) for blame in wrong.blames} == {("ann", "CLIENT-2")}


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On the terminal each session has its line, blames have diagrams, and transcripts are kept."""
    with standing("texts-stripped") as port:
        options = [
            "--driver",
            f"{sys.executable} {OWN}",
            "--codec",
            "json",
            "--report",
            str(tmp_path),
            "--cut",
            "thirds",
        ]
        code = main(["check", "pair", "--server", f"tcp://127.0.0.1:{port}", *options])
    lines = capsys.readouterr().out.splitlines()
    assert (code, lines[-1]) == (1, "NOT CONFORMANT: the server violates MESSAGE-4")
    assert lines[0] == "FAILED texts [json]"
    # The copies of both are wrong: which of them is told of is a matter of time.
    assert re.match(r"  - the server violates MESSAGE-4: (ann|bo)\S* was to receive ", lines[1])
    assert "SEND_MESSAGE" in lines[-6] + lines[-7] + lines[-8] + lines[-9]
    assert [line for line in lines if line.startswith("passed")] == [
        f"passed {name} [json]" for name in list(DRIVEN)[1:]
    ]
    assert from_file(tmp_path / "transcripts" / "pair-texts.json.jsonl").about["verdict"] == "failed"


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        (["--server", "tcp://127.0.0.1:1", "--driver", ""], 2, "give a program"),
        (["--server", "ws://x", "--driver", "x"], 2, "a stream of bytes"),
        (["--server", "tls://x:1", "--driver", "x", "--ca", "/x"], 2, "name a PEM file"),
        (["--server", "unix:/x", "--driver", f"{sys.executable} {OWN}"], 3, "cannot be reached"),
        (["--server", "tcp://127.0.0.1:1", "--driver", f"{sys.executable} {OWN}"], 3, "cannot be reached"),
        (["--server", "tcp://127.0.0.1:1", "--client", "no-such-program {codec}"], 3, "cannot be"),
    ],
)
def test_usage(options: list[str], code: int, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What is wrong is said with what to do instead."""
    assert main(["check", "pair", *options]) == code
    printed = capsys.readouterr()
    assert text in printed.out + printed.err


def test_unix_socket(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A client can be run against a server on a Unix socket; it connects to the referee on TCP."""
    with running() as programs:
        programs.serve("--unix", str(tmp_path / "socket"))
        options = ("--driver", f"{sys.executable} {OWN}", "--codec", "json")
        assert main(["check", "pair", "--server", f"unix:{tmp_path / 'socket'}", *options]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "CONFORMANT"
