"""The page for those who validate a server or client, and the action, are run as they stand."""

import os
import re
import subprocess
import textwrap
from pathlib import Path

import pytest

from programs import IMPROTO, Programs

TOP = Path(__file__).parent.parent
PAGE = (TOP / "docs" / "validate.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    (\S.*)$", PAGE.partition("## In CI")[0], re.MULTILINE)
SCRIPTS = [
    textwrap.dedent(found)
    for found in re.findall(
        r"^ +run: \|\n((?: {8}.*\n)+)", (TOP / "action.yml").read_text(encoding="utf-8"), re.MULTILINE
    )
]
BIN = Path(IMPROTO).parent

CLIENT = """#!/usr/bin/env python3
import socket, sys
host, port, user = sys.argv[1:]
with socket.create_connection((host, int(port))) as server:
    server.sendall(b'{"type":"REGISTER","username":"%s","status":""}\\n' % user.encode())
    while server.recv(4096):
        pass
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder as its reader has it: with a server and a client, which speak JSON as on the page, and the drivers."""
    folder = tmp_path_factory.mktemp("place")
    server, client = folder / "my-server", folder / "my-client"
    server.write_text(f'#!/bin/sh\nexec {IMPROTO} serve --codec json --settle 0.02 --port "$1"\n')
    client.write_text(CLIENT)
    server.chmod(0o755)
    client.chmod(0o755)
    (folder / "examples").mkdir()
    # Not all examples: pytest would run the tests among them.
    (folder / "examples" / "drivers").symlink_to(TOP / "examples" / "drivers")
    return folder


def bash(script: str, place: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script there, with improto on the path."""
    return subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=place,
        env=os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"} | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("command", COMMANDS[1:])
def test_command_of_the_page(command: str, place: Path, programs: Programs) -> None:
    """Each command of the page does what it says: the reference's server, and clients that are right, pass."""
    if ":6666" in command:
        _, url = programs.serve()
        command = command.replace("tcp://localhost:6666", url)
    done = bash(command.replace("--for 60", "--for 2"), place)  # the same, for less long
    assert done.returncode == 0, done.stdout + done.stderr


def test_installation() -> None:
    """The first command is the README's own, which is tried in a clean clone."""
    assert any(
        line.startswith(COMMANDS[0])
        for line in (TOP / "README.md").read_text().replace("    ", "").splitlines()
    )


def acted(place: Path, **inputs: str) -> subprocess.CompletedProcess[str]:
    """Run the action's step that checks, as the runner does."""
    (place / "improto" / "bin").mkdir(parents=True, exist_ok=True)
    program = place / "improto" / "bin" / "improto"
    if not program.exists():
        program.symlink_to(IMPROTO)
    names = {"SERVER": "", "DRIVER": "", "CLIENT": "", "OPTIONS": "", "REPORT": "out"}
    return bash(SCRIPTS[1], place, **(names | inputs), RUNNER_TEMP=str(place))


def test_action(place: Path) -> None:
    """The action checks what it is given, with each option as one word, and the summary comes onto the job's page."""
    inputs = {"SERVER": "cmd:./my-server {port}", "OPTIONS": "--codec\njson\n--only\nSEND-3\n"}
    done = acted(place, **inputs)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " json: " in done.stdout
    page = place / "page.md"
    assert bash(SCRIPTS[2], place, REPORT="out", GITHUB_STEP_SUMMARY=str(page)).returncode == 0
    assert "**CONFORMANT**" in page.read_text()


def test_action_without_a_report(place: Path) -> None:
    """The summary of a run that wrote none is no error of its own."""
    assert bash(SCRIPTS[2], place, REPORT="none", GITHUB_STEP_SUMMARY="none").returncode == 0


@pytest.mark.parametrize("inputs", [{}, {"SERVER": "tcp://x:1", "CLIENT": "./my-client"}])
def test_action_needs_one(inputs: dict[str, str], place: Path) -> None:
    """Nothing to check, or two things, is told in a line."""
    done = acted(place, **inputs)
    assert (done.returncode, done.stdout) == (2, "give one of server, driver and client\n")


def test_inputs_are_no_code(place: Path) -> None:
    """What a workflow puts into the inputs is taken as it is, never run by the shell."""
    done = acted(place, SERVER="tcp://$(touch broken):1", OPTIONS="$(touch broken)\n; touch broken")
    assert done.returncode == 2
    assert not (place / "broken").exists()
    assert not any("${{" in script for script in SCRIPTS)
