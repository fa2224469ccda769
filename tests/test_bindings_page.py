"""Tests of the programs and commands in `docs/bindings.md`, as they stand there."""

import re
import runpy
import shutil
import signal
import ssl
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from improto.bindings.threads import Server, connect
from improto.codec import load
from improto.errors import CannotConnect, Lost
from improto.server import Hub
from improto.service import Service
from programs import Programs

PAGE = (Path(__file__).parent.parent / "docs/bindings.md").read_text(encoding="utf-8")
SERVER, TLS, ADMIT, CLIENT, TRUST = (
    textwrap.dedent(found)
    for found in re.findall(r"^ *```python\n(.*?)^ *```", PAGE, re.DOTALL | re.MULTILINE)
)
OPENSSL = re.findall(r"^ +(openssl .*)$", PAGE, re.MULTILINE)


def test_server(tmp_path: Path) -> None:
    """The server runs and ends in order, but for the port."""
    done = subprocess.run(
        [sys.executable, "-c", SERVER.replace("6666", "0")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_client(programs: Programs) -> None:
    """The client invites, joins, tells what is said and what fails, and is online again after a loss."""
    server, url = programs.serve()
    program = CLIENT.replace("tcp://localhost", url)
    lonely = programs.run(sys.executable, "-u", "-c", program.replace('"ann"', '"cy"'))
    lonely.expect("no-such-user: .*")
    bo = programs.registered(url, "bo")
    ann = programs.run(sys.executable, "-u", "-c", program)
    ann.expect("online: .*bo.*")
    id = bo.expect(r"\* ann invites you .*?(\S+)\W*")[1]
    bo.type(f"/join {id}", "/list")
    while "ann" not in bo.expect(rf"\* conversation {id}: (.*)")[1]:  # else she may join after it is said
        bo.type("/list")
    bo.type("hello")
    ann.expect("bo: hello")
    ann.process.send_signal(signal.SIGINT)
    assert ann.end(stdin=False)[0] == 0
    port = url.rpartition(":")[2]
    server.process.kill()
    server.process.wait()
    programs.start("serve", "--port", port).expect("improto: listening on .*")
    lonely.expect(r"in none of these any more: \(\)")


def names(program: str, folder: Path) -> dict[str, object]:
    """Run a program here and give what it has defined."""
    path = folder / "program.py"
    path.write_text(program, encoding="utf-8")
    return runpy.run_path(str(path))


def test_admission(tmp_path: Path) -> None:
    """The hooks lack nothing but the look-up."""
    assert "admit" in names(ADMIT, tmp_path)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work where the page's commands have made certificates."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    monkeypatch.chdir(tmp_path)
    for command in OPENSSL:
        subprocess.run(command.split(), check=True, capture_output=True)


def context(program: str) -> ssl.SSLContext:
    """Run what makes a context, and give that."""
    made = names(program, Path())["context"]
    assert isinstance(made, ssl.SSLContext)
    return made


@pytest.mark.usefixtures("folder")
def test_certificates(programs: Programs) -> None:
    """With the certificates of the page, the commands and the contexts on it understand each other."""
    serve, chat = (
        re.findall(rf"^ +improto ({name} .*)$", PAGE, re.MULTILINE)[0].split() for name in ("serve", "chat")
    )
    server = programs.start(*serve, "--port", "0")
    url = server.expect(r"improto: listening on (.*)")[1].replace("127.0.0.1", "localhost")
    programs.start(*[url if word == "tls://localhost" else word for word in chat]).expect(
        r"\* registered as ann"
    )


@pytest.mark.usefixtures("folder")
def test_contexts() -> None:
    """The server's context of the page takes a client with the one for clients, and no other."""
    server = Server(Service(Hub(), [load("pickle")]))
    _, port = server.listen("127.0.0.1", 0, tls=context(TLS))
    url = f"tls://localhost:{port}"
    with connect(url, "ann", tls=context(TRUST)) as me:
        assert list(me.view.online) == ["ann"]
    nobody = ssl.create_default_context(cafile="server.pem")
    with pytest.raises((CannotConnect, Lost)), connect(url, "ann", tls=nobody):
        pass
    server.close()
