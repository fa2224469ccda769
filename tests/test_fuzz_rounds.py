"""Tests of rounds of chance with servers and clients: lawful ones stand them, wrong ones are found, rounds come again."""

import sys
from pathlib import Path

import pytest

from drivers import OWN
from improto.cli import USAGE, main
from improto.service import Service
from improto_conformance.fuzz import clients, servers
from improto_conformance.profile import Profile
from improto_conformance.results import Result, Verdict
from improto_conformance.servers.runner import Settings, conduct
from improto_conformance.transcripts.transcript import Entry
from improto_conformance.zoo.broken import BROKEN
from improto_conformance.zoo.clients import broken, lawful
from improto_conformance.zoo.clients.memory import tried_on
from improto_conformance.zoo.copies import in_memory
from improto_conformance.zoo.variants import VARIANTS

SERVER = "inproc:test_fuzz_rounds:make"


def make() -> Service:
    """Make the reference server."""
    return VARIANTS["reference"].make()


def played(seed: int) -> list[list[Entry]]:
    """Give what happened in some rounds with the reference."""
    variant = VARIANTS["reference"]
    settings = Settings(variant.profile, codecs=["json"])
    return [
        result.transcript.entries
        for result in conduct(variant.target, servers.rounds(seed, range(8)), settings)
    ]


@pytest.mark.parametrize("name", VARIANTS)
def test_lawful_servers(name: str) -> None:
    """No lawful server is complained of, whatever its users do, and nothing is left in doubt."""
    variant = VARIANTS[name]
    results = conduct(variant.target, servers.rounds(5, range(6)), Settings(variant.profile))
    assert [result.complaints for result in results if result.verdict is not Verdict.PASSED] == []
    assert len(results) == 6 * len(variant.profile.codecs)


@pytest.mark.parametrize(
    "name",
    [
        "everybody-invited",
        "history",
        "messages-doubled",
        "wrong-sender",
        "no-copy-for-the-sender",
        "errors-close",
    ],
)
def test_broken_servers(name: str) -> None:
    """A server that is wrong is found by what its users happen to do, with nothing left in doubt."""
    settings = Settings(Profile(["json"]), timeout=1.0)
    results = conduct(in_memory(BROKEN[name].copy()), servers.rounds(0, range(60)), settings)
    assert {result.verdict for result in results} == {Verdict.PASSED, Verdict.FAILED}


def test_rounds_come_again() -> None:
    """What is done depends on the seed, and on nothing else where the server does not differ."""
    assert played(1) == played(1) != played(2)


@pytest.mark.parametrize("name", lawful.CLIENTS)
def test_lawful_clients(name: str) -> None:
    """No lawful client is complained of, whatever its user asks for and its server says."""
    results = [
        one for one in tried_on(lawful.CLIENTS[name], clients.rounds(2, range(20))) if isinstance(one, Result)
    ]
    assert [result.complaints for result in results if result.verdict is not Verdict.PASSED] == []


def test_broken_clients() -> None:
    """Of the clients that are wrong, many are found by chance."""
    found = 0
    names = list(broken.CLIENTS)[::8]
    for name in names:
        results = tried_on(broken.CLIENTS[name], clients.rounds(2, range(60)))
        found += any(isinstance(one, Result) and one.verdict is Verdict.FAILED for one in results)
    assert found > len(names) / 4


def test_command(capsys: pytest.CaptureFixture[str]) -> None:
    """The commands have a server, and a client, play as many rounds as are asked for."""
    assert main(["fuzz", "server", SERVER, "--codec", "json", "--count", "7", "--jobs", "2"]) == 0
    assert "json: 7 of 7 checks passed" in capsys.readouterr().out
    driver = f"{sys.executable} {OWN}"
    assert main(["fuzz", "client", "--driver", driver, "--codec", "ascii", "--count", "3"]) == 0
    assert "ascii: 3 of 3 checks passed" in capsys.readouterr().out


def test_what_is_found_can_be_played_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A finding ends the run, with exit code 1, and the command that it is told with plays just its round."""
    (tmp_path / "mine.py").write_text(
        "from improto_conformance.zoo.broken import BROKEN\n"
        "def make():\n"
        "    return BROKEN['messages-doubled'].copy().service()\n"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    words = ["improto", "fuzz", "server", "inproc:mine:make", "--codec", "json", "--for", "60"]
    monkeypatch.setattr(sys, "argv", words)
    assert main(words[1:]) == 1
    said = capsys.readouterr().out
    assert "NOT CONFORMANT: violates " in said
    again = next(line for line in said.splitlines() if line.startswith("  again: improto "))
    assert main(again.split()[2:]) == 1
    assert "json: 0 of 1 checks passed" in capsys.readouterr().out


def test_for_some_seconds() -> None:
    """For how long to go on may be said as seconds: the rounds that have begun then are the last ones."""
    assert main(["fuzz", "server", SERVER, "--codec", "json", "--seed", "1", "--for", "0.001s"]) == 0


def test_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """Amounts that make no sense are told."""
    assert main(["fuzz", "server", SERVER, "--count", "0"]) == USAGE
    assert main(["fuzz", "client", "--driver", " "]) == USAGE
    assert "--count" in capsys.readouterr().err
