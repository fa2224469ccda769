"""Tests of the conformance suite: it passes what is right, fails what is wrong, and says which is which."""

import json
import re
import socket
import sys
import threading
from itertools import cycle
from pathlib import Path
from xml.etree import ElementTree

import pytest

from improto.cli import main
from improto.codec import load_all
from improto.messages import Error, Invitation, Message
from improto.server import Hub, Policy
from improto.service import Service
from improto_conformance.connections.links import CUTS
from improto_conformance.judging.judge import Case, judge
from improto_conformance.profile import Profile
from improto_conformance.results import Verdict
from improto_conformance.servers import runner
from improto_conformance.servers.check import Check
from improto_conformance.servers.checks import CHECKS
from improto_conformance.servers.runner import Settings, conduct, run
from improto_conformance.servers.targets import in_process, tcp
from improto_conformance.transcripts.complaints import Complaint, Inconclusive
from improto_conformance.transcripts.transcript import Entry, Event, Transcript
from improto_conformance.zoo.broken import BROKEN
from improto_conformance.zoo.copies import in_memory
from improto_spec import clauses
from programs import IMPROTO, Programs, check
from upstreams import standing

REFERENCE = f"cmd:{IMPROTO} serve --settle 0.02 --port {{port}}"


def test_reference(tmp_path: Path) -> None:
    """The reference server passes checks in several codecs, with nothing waited for in vain, and reports say so.

    The README's first command runs all checks.
    """
    some = ("--only", "REGISTER-*", "--only", "SEND-*", "--only", "CONN-1*")
    codecs = ("--codec", "ascii", "--codec", "pickle")
    code, output = check(REFERENCE, *codecs, *some, "--report", str(tmp_path))
    assert code == 0, output
    assert output.endswith("0.0 s of waiting in vain\nCONFORMANT\n")
    assert re.findall(r"(\w+): (\d+) of \2 checks", output) != []
    suites = ElementTree.parse(tmp_path / "junit.xml").getroot().findall("testsuite")
    assert [suite.get("name") for suite in suites] == ["ascii", "pickle"]
    [told] = json.loads((tmp_path / "report.json").read_text())["runs"]
    records = told["results"]
    assert len(records) == sum(int(suite.get("tests", 0)) for suite in suites) > 40 * len(suites)
    assert len(list((tmp_path / "transcripts").iterdir())) == len(records)


def test_private_reference() -> None:
    """A server with the policy *private*, declared, passes the checks for it."""
    private = ("--private", "--codec", "json", "--only", "JOIN-*", "--only", "LIST-*")
    code, output = check(f"{REFERENCE} --private", *private)
    assert code == 0, output


@pytest.mark.parametrize("name", ["no-copy-for-the-sender", "one-read-a-message"])
def test_broken_servers_on_sockets(name: str) -> None:
    """A broken server fails over TCP just as well."""
    checks = [check for check in CHECKS if check.clause == BROKEN[name].clause]
    with standing(name) as port:
        results = run(tcp("127.0.0.1", port), checks, Settings(Profile(["ascii"]), timeout=1.0))
    assert Verdict.FAILED in {result.verdict for result in results}


@pytest.mark.parametrize("name", ["texts-stripped", "errors-for-everybody"])
def test_nothing_else_is_blamed(name: str) -> None:
    """Checks that have nothing to do with what is broken pass."""
    checks = [check for check in CHECKS if check.clause.startswith(("STATUS", "LEAVE-3", "GOODBYE-3"))]
    with standing(name) as port:
        results = run(tcp("127.0.0.1", port), checks, Settings(Profile(["ascii"]), jobs=1))
    assert {result.verdict for result in results} == {Verdict.PASSED}


def test_report_of_a_failure(programs: Programs, tmp_path: Path) -> None:
    """A failure names check, clause, text, complaint and last messages, gives exit code 1, and stands in JUnit."""
    command = f"cmd:{sys.executable} -m improto_conformance.zoo.broken no-copy-for-the-sender {{port}}"
    code, output = check(command, "--codec", "ascii", "--only", "SEND-*", "--report", str(tmp_path))
    assert code == 1
    assert "FAILED SEND-3/to-the-sender [ascii]: the sender gets a copy" in output
    assert clauses()["SEND-3"].text in output
    assert "ann was to receive Message(" in output
    assert re.search(r"NOT CONFORMANT: violates .*SEND-3", output)
    [suite] = ElementTree.parse(tmp_path / "junit.xml").getroot()
    failures = {case.get("name"): case.find("failure") for case in suite if case.find("failure") is not None}
    assert "SEND-3/to-the-sender" in failures


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("tcp://127.0.0.1:1",), 3, "cannot be reached"),
        (("cmd:no-such-program-here {port}",), 3, "cannot be started"),
        ((f"cmd:{sys.executable} -c pass",), 3, "ended with exit code 0 before it listened"),
        (("ftp://x",), 2, "is not a target"),
        (("tcp://127.0.0.1:99999",), 2, "is not a target"),
        ((REFERENCE, "--jobs", "0"), 2, "--jobs"),
        ((REFERENCE, "--only", "JOIN-3/*", "--only", "JION-4"), 2, "or JOIN-4"),
        ((REFERENCE, "--only", "ASCII-*", "--codec", "json"), 4, "no check ran"),
        ((REFERENCE, "--timeout", "nan"), 2, "'nan' is not a number"),
        (("tcp://127.0.0.1:0",), 2, "is not a target"),
        ((f"{REFERENCE} --codec json", "--codec", "ascii", "--timeout", "1"), 3, "speaks json and not ascii"),
    ],
)
def test_exit_codes(
    arguments: tuple[str, ...], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever keeps the suite from a verdict has an exit code of its own and one clear line."""
    try:
        found: object = main(["check", "server", *arguments])
    except SystemExit as end:
        found = end.code
    said = capsys.readouterr()
    assert words in said.out + said.err
    assert found == code


def test_another_protocol() -> None:
    """A server of another protocol is told from one that fails checks."""
    with socket.create_server(("127.0.0.1", 0)) as other:

        def greet() -> None:
            connection, _ = other.accept()
            connection.sendall(b"220 mail.example ESMTP\r\n")
            connection.close()

        thread = threading.Thread(target=greet)
        thread.start()
        code, output = check(f"tcp://127.0.0.1:{other.getsockname()[1]}", "--codec", "ascii")
        thread.join()
    assert code == 3, output
    assert "answers a REGISTER in ascii with 220 mail.example" in output


def test_last_words(tmp_path: Path) -> None:
    """If a check fails, what the started program has printed last is shown."""
    script = tmp_path / "server.sh"
    script.write_text('echo "out of \033 cheese"; exec "$@"\n')
    wrong = f"{sys.executable} -m improto_conformance.zoo.broken no-copy-for-the-sender {{port}}"
    code, output = check(f"cmd:sh {script} {wrong}", "--only", "SEND-3/*", "--codec", "json")
    assert code == 1
    assert "The program's last words:\n  out of \\x1b cheese\n" in output


DYING = """
import asyncio, os, sys
from improto.bindings.asyncio import Server
from improto.codec import load_all
from improto.messages import Status
from improto.server import Hub
from improto.service import Service

class Dying(Hub):
    def receive(self, connection, request, now):
        if isinstance(request, Status):
            os._exit(7)
        return super().receive(connection, request, now)

async def main():
    await Server(Service(Dying(), load_all())).listen("127.0.0.1", int(sys.argv[1]))
    await asyncio.Event().wait()

asyncio.run(main())
"""


def test_dying_program(tmp_path: Path) -> None:
    """If the started program ends in the middle of a run, the checks that it fails by that say so, and so does the end."""
    script = tmp_path / "server.py"
    script.write_text(DYING)
    server = f"cmd:{sys.executable} {script} {{port}}"
    code, output = check(server, "--only", "STATUS-*", "--codec", "json", "--jobs", "1")
    ended = "ended with exit code 7 after it had listened"
    assert code == 1
    assert re.search(f"actual: .* {ended}", output)
    assert re.search(f"The program is gone: .* {ended}", output)


@pytest.mark.parametrize("known", [False, True])
def test_nothing_runs_without_the_program(known: bool, tmp_path: Path) -> None:
    """Once the started program has ended, the rest does not run, and the run has failed even if each failure is known."""
    script = tmp_path / "server.py"
    script.write_text(DYING)
    server = f"cmd:{sys.executable} {script} {{port}}"
    some = ["--codec", "json", "--jobs", "1", "--only", "STATUS-*", "--only", "SEND-*"]
    if known:
        some += ["--known-failing", str(tmp_path / "known.toml"), "--fix"]
    code, output = check(server, *some, "--report", str(tmp_path / "report"))
    assert code == 1
    assert output.count("with exit code 7 after it had listened") == 2  # of one check, and at the end
    unrun = re.search(
        r"(\d+) checks did not run after that; --fresh starts the program anew for each check\n", output
    )
    assert unrun is not None
    assert output.splitlines()[-1].startswith("NOT CONFORMANT")
    assert output.endswith(f"; the program had ended before {unrun[1]} checks\n")
    [told] = json.loads((tmp_path / "report" / "report.json").read_text())["runs"]
    assert (told["exit"], told["unrun"]) == (1, int(unrun[1]))
    whole = {each.name for each in CHECKS if each.clause.startswith(("STATUS-", "SEND-"))}
    assert len(told["results"]) < int(unrun[1]) < len(whole)


def test_fresh_program_that_ends(tmp_path: Path) -> None:
    """Where each check has a program of its own, all checks run, whichever programs end."""
    script = tmp_path / "server.py"
    script.write_text(DYING)
    server = f"cmd:{sys.executable} {script} {{port}}"
    code, output = check(server, "--codec", "json", "--fresh", "--only", "STATUS-1/*", "--only", "SEND-3/*")
    assert code == 1
    assert "did not run" not in output
    assert re.search(r"json: [1-9]\d* of \d+ checks passed, 1 failed", output)


def test_broken_check() -> None:
    """A check that fails by itself is the suite's fault, not the server's."""
    wrong = Check("REGISTER-2/nothing", "REGISTER-2", "divides by nothing", lambda stage: print(1 // 0))
    [result] = run(in_process(reference), [wrong], Settings(Profile(["json"])))
    assert result.verdict is Verdict.BROKEN
    assert "ZeroDivisionError" in result.complaints[0]


def test_checks_and_clauses() -> None:
    """Each of at least 40 checks has a name of its own and names a clause that exists."""
    assert len({check.name for check in CHECKS}) == len(CHECKS) >= 40
    assert {check.clause for check in CHECKS} <= clauses().keys()


def test_judgement_by_transcript() -> None:
    """A judgement needs nothing but a transcript: the same check judges one that was written by hand."""
    [sender] = [check for check in CHECKS if check.name == "SEND-3/to-the-sender"]
    seen = Transcript(
        entries=[
            Entry("ann", Event.RECEIVED, Invitation("7", "ann")),
            Entry("", Event.MARK, "said"),
            Entry("ann", Event.RECEIVED, Message("7", "ann", "hello")),
        ]
    )
    assert list(sender.judgement(seen)) == []
    seen.entries.pop()
    assert len(list(sender.judgement(seen))) == 1


def test_error_without_code() -> None:
    """An ERROR without a code equals no code."""
    seen = Transcript(entries=[Entry("ann", Event.RECEIVED, Error("No such thing"))])
    assert list(seen.expect("ann", ["no-such-user"]))


def test_chatty_server(tmp_path: Path) -> None:
    """A started server may write as much to its standard error as it likes."""
    script = tmp_path / "server.sh"
    script.write_text(f"head -c 300000 /dev/zero >&2\nexec {IMPROTO} serve --port $1\n")
    code, output = check(f"cmd:sh {script} {{port}}", "--only", "REGISTER-2/first-roster", "--codec", "json")
    assert code == 0, output


def reference(*, private: bool = False) -> Service:
    """Make the reference server."""
    return Service(Hub(Policy(private=private)), load_all())


def test_private_in_process() -> None:
    """All checks pass on the reference in this process with the policy *private*, which no codec knows of."""
    profile = Profile(["msgpack"], private=True)
    results = run(in_process(lambda: reference(private=True)), CHECKS, Settings(profile))
    assert {result.check.name: result.complaints for result in results if result.complaints} == {}
    assert len(results) > 190
    assert not any(result.expired for result in results)


def test_in_process_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that a function here makes is checked by its name, and a wrong name is answered in one line."""
    code, output = check("inproc:improto_conformance.zoo.broken:no_such_function")
    assert (code, output.count("\n")) == (3, 1)
    (tmp_path / "mine.py").write_text(
        "from improto.codec import load\n"
        "from improto.server import Hub\n"
        "from improto.service import Service\n"
        "def make():\n    return Service(Hub(), [load('json')])\n"
    )
    monkeypatch.chdir(tmp_path)
    code, output = check("inproc:mine:make", "--codec", "json", "--only", "SEND-*")
    assert code == 0, output
    code, output = check("inproc:mine:make", "--codec", "ascii")
    assert code == 3, output


@pytest.mark.parametrize(
    ("cut", "codec", "first"),
    [*zip([cut for cut in CUTS if cut != "whole"], cycle(["pickle", "json"]), cycle(range(3)), strict=False)],
)
def test_cuts(cut: str, codec: str, first: int) -> None:
    """However what the suite sends is cut into writes, the reference passes every third check (CONN-4, CONN-5).

    A codec of lines and one without framing take turns, and so do the checks: how each codec reads a stream in all cuts is
    tested with vectors.
    """
    results = run(in_process(reference), CHECKS[first::3], Settings(Profile([codec]), cuts=[cut]))
    assert {result.check.name: result.complaints for result in results if result.complaints} == {}
    assert {result.how for result in results} == {f"{codec}-{cut}"}


@pytest.mark.parametrize(
    ("name", "cut"),
    [("one-message-a-read", "coalesced"), ("one-read-a-message", "bytes"), ("one-read-a-message", "thirds")],
)
def test_cuts_find_what_reads_wrongly(name: str, cut: str) -> None:
    """A server that takes a read for a message fails many checks when the suite cuts otherwise, whatever they are about."""
    checks = [check for check in CHECKS if check.clause.startswith(("INVITE", "STATUS", "SEND"))]
    settings = Settings(Profile(["ascii"]), cuts=[cut], timeout=2.0)
    results = conduct(in_memory(BROKEN[name].copy()), checks, settings)
    assert sum(result.verdict is Verdict.FAILED for result in results) > len(results) / 2


def test_cut_on_the_command_line(tmp_path: Path) -> None:
    """`--cut` runs the checks in that way, whatever the seed, and reports name both."""
    code, output = check(
        *(REFERENCE, "--cut", "bytes", "--only", "JOIN-*", "--codec", "json", "--report", str(tmp_path)),
        *("--seed", "7"),
    )
    assert code == 0, output
    assert "json-bytes: " in output
    [told] = json.loads((tmp_path / "report.json").read_text())["runs"]
    assert {entry["cut"] for entry in told["results"]} == {"bytes"}
    assert told["options"]["seed"] == 7


TOLD = {
    "everybody-invited": "INVITATION-4",
    "history": "JOIN-11",
    "who-left-still-hears": "LEAVE-2",
    "second-join-refused": "JOIN-9",
    "members-sorted": "LIST-8",
    "listed-under-another-id": "CONV-5",
    "messages-doubled": "MESSAGE-6",
    "wrong-sender": "MESSAGE-2",
    "texts-stripped": "MESSAGE-4",
    "no-copy-for-the-sender": "SEND-3",
    "errors-close": "ERROR-7",
    "status-ignored": "STATUS-2",
}
"""What the judge says of some broken servers."""


@pytest.mark.parametrize(("name", "clause"), TOLD.items(), ids=TOLD)
def test_the_judge_alone_tells(name: str, clause: str) -> None:
    """Whatever a check is about, the judge finds what a broken server does, and names the clause."""
    areas = ("SEND", "MESSAGE", "JOIN", "LEAVE-2", "LEAVE-7", "LIST-8", "INVITATION", "STATUS", "ERROR-7")
    checks = [check for check in CHECKS if check.clause.startswith(areas)]
    profile = Profile(["json"])
    results = run(in_memory(BROKEN[name].copy()), checks, Settings(profile, timeout=1.0))
    assert Verdict.INCONCLUSIVE not in {result.verdict for result in results}
    assert clause in {each.clause for result in results for each in judge(result.transcript, profile)}


def test_what_cannot_be_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check of which there is nothing to complain, and nothing certain, is inconclusive and gives the reason."""

    def give_up(case: Case) -> list[Complaint]:
        raise Inconclusive("it is too long")

    monkeypatch.setattr(runner, "judge_case", give_up)
    results = run(in_process(reference), CHECKS[:3], Settings(Profile(["json"])))
    assert {result.verdict for result in results} == {Verdict.INCONCLUSIVE}
    assert {result.complaints for result in results} == {("it is too long",)}
