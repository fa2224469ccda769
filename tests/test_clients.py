"""Tests of the checks of clients: what they say of clients that are wrong, and of others that are right."""

import re
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from drivers import check
from improto.codec import load
from improto.messages import (
    AnyMessage,
    Error,
    Goodbye,
    Invitation,
    Join,
    Leave,
    ListConversations,
    OnlineUsers,
    Register,
    SendMessage,
    Status,
)
from improto_conformance.clients.check import ClientCheck
from improto_conformance.clients.checks import CHECKS
from improto_conformance.clients.runner import Settings, run
from improto_conformance.clients.scenarios import scenario_check
from improto_conformance.clients.stage import Stage
from improto_conformance.clients.subjects import Lone
from improto_conformance.judging.client_judge import judge_clients
from improto_conformance.results import Result, Verdict
from improto_conformance.transcripts.complaints import Inconclusive
from improto_conformance.transcripts.transcript import Entry, Event, Transcript
from improto_conformance.vectors import Vector
from improto_conformance.zoo import copies
from improto_conformance.zoo.broken import Broken
from improto_conformance.zoo.clients import broken, lawful
from improto_conformance.zoo.clients.memory import InMemory, tried_on
from programs import DEADLINE

CLIENT = "client"


def tried(check: ClientCheck, codec: str = "json") -> Result:
    """Try one check on our own client, in memory."""
    [result] = run(partial(InMemory, copies.load({})), [check], Settings([codec], jobs=1)).results
    return result


class Noting(InMemory):
    """Notes how much its client is fed with each read."""

    def __init__(self) -> None:
        """Take our own client."""
        super().__init__(copies.load({}))
        self.reads: list[int] = []

    def alive(self, work: Any, *arguments: Any) -> Any:
        """Note what is fed."""
        if arguments and isinstance(arguments[0], bytes):
            self.reads.append(len(arguments[0]))
        return super().alive(work, *arguments)


def test_seed_of_a_run() -> None:
    """The seed of a run decides where what clients are served is cut, and the same one cuts there again."""
    checks = [check for check in CHECKS if check.clause == "JOIN-1"]

    def lengths(seed: int) -> list[int]:
        subject = Noting()
        outcome = run(lambda: subject, checks, Settings(["json"], jobs=1, cuts=["sampled"], seed=seed))
        assert {result.verdict for result in outcome.results} == {Verdict.PASSED}
        return subject.reads

    assert lengths(1) == lengths(1) != lengths(2)


def test_names_are_unique() -> None:
    """No two checks have one name."""
    assert len({check.name for check in CHECKS}) == len(CHECKS) > 400


def failing(client: Broken, checks: Sequence[ClientCheck]) -> list[str]:
    """Name the checks that a client, which is ours with an edit, does not pass."""
    results = [item for item in tried_on(client, checks) if isinstance(item, Result)]
    return [result.check.name for result in results if result.verdict is not Verdict.PASSED]


def test_broken_clients() -> None:
    """Each broken client fails a check of the clause that it violates, and each check fails one of them."""
    failed = {
        name: failing(client, [check for check in CHECKS if check.clause == client.clause])
        for name, client in broken.CLIENTS.items()
    }
    assert [name for name, checks in failed.items() if not checks] == []
    assert {check.name for check in CHECKS} == {name for checks in failed.values() for name in checks}


@pytest.mark.parametrize(
    "name",
    [
        "lists-after-each-error",
        "hears-nothing-after-leave",
        "knows-who-is-there",
        "sends-new-statuses-only",
        "asks-for-nothing-beyond-the-bounds",
        "closes-at-goodbye",
        "json-at-length",
        "pickles-of-python-2",
    ],
)
def test_lawful_clients(name: str) -> None:
    """A client that is right in another way passes all checks; `improto zoo` tries all of them."""
    assert failing(lawful.CLIENTS[name], CHECKS) == []


def scenario(steps: list[object]) -> Result:
    """Play a scenario with our own client."""
    return tried(
        scenario_check(Vector("client", "client/test", "CLIENT-1", {"steps": steps, "comment": "x"}))
    )


REGISTER = {"command": "REGISTER", "fields": {"username": {"text": "me"}, "status": {"text": ""}}}
ROSTER = {"command": "ONLINE_USERS", "fields": {"users": {"map": [["me", {"text": ""}]]}}}
ENTER: list[object] = [{"ask": REGISTER}, {"sends": [REGISTER]}, {"serve": [ROSTER]}]


@pytest.mark.parametrize(
    "steps",
    [
        [{"sends": [REGISTER]}],
        [{"ask": REGISTER}, {"sends": [ROSTER]}],
        [*ENTER, {"tells": [{"fault": True}]}],
        [*ENTER, {"tells": [{"message": REGISTER}]}],
        [*ENTER, {"tells": [{"message": ROSTER}]}, {"online": [["bo", {"text": ""}]]}],
        [{"ask": REGISTER}, {"closed": True}],
    ],
    ids=str,
)
def test_wrong_expectation(steps: list[object]) -> None:
    """A scenario that expects anything else than what the client does fails it."""
    assert scenario(steps).verdict is Verdict.FAILED


def test_right_expectation() -> None:
    """A scenario that expects what the client does passes."""
    steps = [*ENTER, {"tells": [{"message": ROSTER}]}, {"online": [["me", {"text": ""}]]}, {"end": True}]
    assert scenario([*steps, {"tells": [{"lost": True}]}]).complaints == ()


def test_suite_at_fault() -> None:
    """A check that is broken itself is told from a client that is."""

    def stimulus(stage: Stage) -> None:
        raise KeyError(stage.name)

    result = tried(ClientCheck("CLIENT-1/x", "CLIENT-1", "x", stimulus))
    assert result.verdict is Verdict.BROKEN
    assert "KeyError" in result.complaints[0]


Said = AnyMessage | bytes


def transcript(*said: Said, codec: str = "json") -> Transcript:
    """Give a transcript of one client, from what both sides have said."""
    seen = Transcript(codecs={CLIENT: codec})
    for item in said:
        if isinstance(item, bytes):
            event, data = Event.RAW, item
        else:
            event = Event.SENT if item.FROM == "client" else Event.RECEIVED
            data = load(codec).frame(load(codec).encode(item))
        seen.entries.append(Entry(CLIENT, event, item, data=data))
    return seen


ME, ALL = Register("ann", ""), OnlineUsers({"ann": ""})
IN = (ME, ALL, Invitation("007", "bo"), Join("007"))


@pytest.mark.parametrize(
    ("said", "clause"),
    [
        ((Status("x"), ME), "CLIENT-1"),
        ((ME, ALL, ME), "CLIENT-2"),
        ((ME, ME, ALL), "CLIENT-2"),
        ((ME, ALL, b'{"type":"ERROR","message":"x"}\n'), "CLIENT-3"),
        ((*IN, Join("7")), "CLIENT-9"),
        ((*IN[:3], SendMessage("007", "x")), "CLIENT-10"),
        ((*IN, Leave("007"), SendMessage("007", "x")), "CLIENT-11"),
        ((ME, ALL, Goodbye(), Status("x")), "CLIENT-21"),
        ((b'{"type":"_ACME_HELLO"}\n', ME, ALL), "CLIENT-1"),
        ((ME, ALL, b'{"type":"HELLO"}\n'), "CODEC-7"),
        ((ME, ALL, b"hello\n"), "CODEC-7"),
        ((ME, ALL, b'{"type":"STATUS","status":7}\n'), "CODEC-7"),
    ],
)
def test_no_client_may(said: tuple[Said, ...], clause: str) -> None:
    """What no client may send is complained of by its clause."""
    assert [complaint.clause for complaint in judge_clients(transcript(*said))] == [clause]


@pytest.mark.parametrize(
    "said",
    [
        IN,
        (Goodbye(),),
        (ME, Error("name-in-use: x"), Register("ann2", ""), OnlineUsers({"ann2": ""})),
        (ME, Register("ann2", ""), Error("name-in-use: x"), OnlineUsers({"ann2": ""})),
        (ME, OnlineUsers({"bo": ""}), ME),
        (ME, ALL, Join("nobody-told-me"), ListConversations()),
        (*IN, Leave("007"), Join("007"), SendMessage("007", "x"), Goodbye()),
        (*IN, Invitation("7", "bo"), Join("7")),
        (ME, ALL, b'{"type":"_ACME_HELLO","to":["bo"]}\n', Status("x")),
    ],
)
def test_a_client_may(said: tuple[Said, ...]) -> None:
    """What may be right, as far as one can see, is not complained of."""
    assert judge_clients(transcript(*said)) == []


def sent_as(line: bytes) -> Transcript:
    """Give a transcript of a client that sent a STATUS in a form of its own."""
    seen = transcript(ME, ALL)
    seen.entries.append(Entry(CLIENT, Event.SENT, Status("x"), data=line))
    return seen


@pytest.mark.parametrize(
    ("line", "clauses"),
    [
        (b'{"status":"x", "type":"STATUS"}\r\n', []),
        (b'{"type":"STATUS","status":"x","more":1}\n', ["CONN-12"]),
        (b'{"type":"STATUS","status":"y","status":"x"}\n', ["CODEC-7"]),
    ],
)
def test_forms(line: bytes, clauses: list[str]) -> None:
    """A client may write a message in any form that no receiver may refuse."""
    assert [complaint.clause for complaint in judge_clients(sent_as(line))] == clauses


def alone(tmp_path: Path, *edits: tuple[str, str]) -> Iterator[str]:
    """Give the words of a client that knows nothing of the suite, with something in its text changed."""
    text = LONE
    for old, new in edits:
        assert text.count(old) == 1
        text = text.replace(old, new)
    (tmp_path / "client.py").write_text(text)
    yield from (sys.executable, str(tmp_path / "client.py"), "{host}", "{port}", "{user}")


LONE = """\
import json, socket, sys
host, port, user = sys.argv[1:]
server = socket.create_connection((host, int(port)))
server.sendall(json.dumps({"type": "REGISTER", "username": user, "status": ""}).encode() + b"\\n")
rest = b""
while data := server.recv(65536):
    *lines, rest = (rest + data).split(b"\\n")
    for line in lines:
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            continue
    if len(rest) > 1 << 24:
        break
server.close()
"""


ONLY = ("--only", "CLIENT-1/*", "--only", "CLIENT-16/*", "--only", "CLIENT-18/client/100000-levels")


def test_lone_client(tmp_path: Path) -> None:
    """A client without a driver is judged in the codec that its first bytes tell, and passes; the rest is counted."""
    code, output = check("--cmd", " ".join(alone(tmp_path)), *ONLY)
    assert code == 0, output
    assert re.search(r"json: (\d+) of \1 checks passed", output)
    assert "checks need a driver" in output
    assert output.endswith("0.0 s of waiting in vain\nCONFORMANT\n")


@pytest.mark.parametrize(
    ("edit", "clause"),
    [
        (('"username": user', '"username": user + "2"'), "CLIENT-1"),
        (('b"\\n")\nrest', 'b"\\n" + b"[]\\n")\nrest'), "CODEC-7"),
        ((", RecursionError", ""), "CLIENT-18"),
        (("server.close()", "while True: sys.stdin.read()"), "CLIENT-16"),
    ],
)
def test_broken_lone_client(edit: tuple[str, str], clause: str, tmp_path: Path) -> None:
    """A client without a driver that does wrong fails."""
    code, output = check("--cmd", " ".join(alone(tmp_path, edit)), *ONLY, "--timeout", "1")
    assert code == 1, output
    assert clause in output
    assert "NOT CONFORMANT" in output


def test_last_words_of_another(tmp_path: Path) -> None:
    """What the client of an earlier check said is not taken for what this one says."""
    client = Lone(["sh", "-c", f"mkdir {tmp_path}/once 2>/dev/null && echo once >&2"])
    for ending in ("0; its last words: once", "1$"):
        accept = client.begin("json", "ann")
        with pytest.raises(Inconclusive, match=f"ended with exit code {ending}"):
            accept(DEADLINE)
        client.over()


def test_last_words(tmp_path: Path) -> None:
    """A client without a driver that crashes is told of with what it said last."""
    edit = ("message = json.loads(line)", 'message = json.loads(line)["nonesuch"]')
    code, output = check("--cmd", " ".join(alone(tmp_path, edit)), "--only", "CLIENT-1/*")
    assert code == 1, output
    words = "the program ended with exit code 1; its last words: KeyError: 'nonesuch'"
    assert f"the client closed its connection, and had no reason to; {words}" in output


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--cmd", "true"), "before it connected, the client ended with exit code 0; does it use {host}"),
        (("--cmd", "true {codec}"), "name its codecs with --codec if ascii is none of them"),
        (("--cmd", "/nowhere/client {host} {port}"), "cannot be started"),
    ],
)
def test_no_client(arguments: tuple[str, ...], reason: str) -> None:
    """What is no client at all is told so in one line."""
    code, output = check(*arguments)
    assert code == 3
    assert reason in output
    assert output.count("\n") == 1


def test_slow_start(tmp_path: Path) -> None:
    """However little is waited for what a client sends, it has time to start."""
    client = Lone(list(alone(tmp_path)))
    try:
        link = client.begin("json", "ann")(0.001)
        assert b"REGISTER" in link.receive(DEADLINE)
        link.close()
    finally:
        client.over()


def test_not_started(tmp_path: Path) -> None:
    """A client that cannot be tried in one check, though it was seen to start before, violates nothing by that."""
    edit = ("\nserver = socket", "\nimport os; os.mkdir(__file__ + '.ran')\nserver = socket")
    code, output = check("--cmd", " ".join(alone(tmp_path, edit)), "--only", "CLIENT-1/*")
    assert code == 4, output
    assert "NO VERDICT: all checks were inconclusive" in output
    assert "before it connected, the client ended with exit code 1; its last words: FileExistsError" in output


def test_codec_that_a_client_lacks(tmp_path: Path) -> None:
    """A client whose command takes the codec, and that speaks another one, is told how to say so, in one line."""
    edit = ("host, port, user = sys.argv[1:]", "host, port, user, codec = sys.argv[1:]")
    code, output = check("--cmd", " ".join([*alone(tmp_path, edit), "{codec}"]))
    assert code == 3
    assert output == "improto: the client, asked for ascii, speaks json; name its codecs with --codec\n"


def test_wrong_codec(tmp_path: Path) -> None:
    """A client that speaks another codec than it is to be checked in is told so."""
    code, output = check("--cmd", " ".join(alone(tmp_path)), "--codec", "ascii")
    assert code == 2
    assert "json" in output
