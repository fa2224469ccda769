"""Tests of the programs in the README."""

import re
import signal
import subprocess
import sys
from pathlib import Path

from programs import Programs

README = Path(__file__).parent.parent / "README.md"
SERVER, CLIENT = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def test_embedding() -> None:
    """The program that embeds a server runs as it stands there."""
    done = subprocess.run(
        [sys.executable, "-c", SERVER], capture_output=True, text=True, timeout=30, check=False
    )
    assert re.fullmatch(r"listening on 127\.0\.0\.1:\d+\n", done.stdout), done.stderr


def test_client(programs: Programs) -> None:
    """The client runs as it stands there, but for the address: it joins, and says everything once more."""
    _, url = programs.serve()
    ann = programs.registered(url, "ann")
    echo = programs.run(sys.executable, "-c", CLIENT.replace("tcp://localhost", url))
    ann.expect(r"\* echo is online")
    ann.type("/invite echo")
    id = ann.expect(r"\* conversation (\S+) is yours: .*")[1]
    ann.type(f"/join {id}", "/list")
    while "echo" not in ann.expect(rf"\* conversation {id}: .*")[0]:
        ann.type("/list")
    ann.type("hello")
    ann.expect(rf"\[{id}\] echo: hello")
    echo.process.send_signal(signal.SIGINT)
    assert echo.end(stdin=False) == (0, [])
    ann.expect(r"\* echo went offline")


def test_interrupted_server(programs: Programs) -> None:
    """Ctrl-C ends the embedded server in order and without a traceback."""
    server = programs.run(sys.executable, "-u", "-c", SERVER.replace("sleep(1)", "sleep(1000)"))
    url = "tcp://" + server.expect(r"listening on (127\.0\.0\.1:\d+)")[1]
    ann = programs.registered(url, "ann")
    server.process.send_signal(signal.SIGINT)
    ann.expect("! shutting-down: .*")
    code, lines = server.end(stdin=False)
    assert (code, len(lines)) == (0, 1)
