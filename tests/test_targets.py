"""Tests of targets: what each of them can carry, and which checks fit it."""

import io
import socket
import sys
from contextlib import ExitStack, redirect_stderr, suppress
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from improto.cli import USAGE, main
from improto.codec import load
from improto.errors import UsageError
from improto.server import Hub
from improto.service import Service
from improto_conformance.connections.addresses import Tls
from improto_conformance.profile import Profile
from improto_conformance.servers.check import Check
from improto_conformance.servers.checks import CHECKS
from improto_conformance.servers.probe import probe
from improto_conformance.servers.runner import Settings, run
from improto_conformance.servers.targets import NoTarget, free_port, in_process, opened
from programs import DEADLINE, IMPROTO, Programs

IN_PROCESS = in_process(lambda: Service(Hub(), [load("json")]))


@pytest.mark.parametrize(
    ("stream", "half_closes", "transport", "half_close", "fits"),
    [
        (True, True, "any", True, True),
        (True, True, "stream", False, True),
        (True, True, "websocket", False, False),
        (True, False, "stream", True, False),
        (False, False, "any", False, True),
        (False, False, "stream", False, False),
        (False, False, "websocket", False, True),
    ],
)
def test_fits(stream: bool, half_closes: bool, transport: str, half_close: bool, fits: bool) -> None:
    """A check fits a transport that carries what it sends and can end as it ends."""
    target = replace(IN_PROCESS, stream=stream, half_closes=half_closes)
    check = Check("X-1/x", "X-1", "", lambda stage: None, transport=transport, half_close=half_close)
    assert target.fits(check) is fits


def test_what_does_not_fit_is_left_out() -> None:
    """A run has no results of checks that do not fit its target."""
    target = replace(IN_PROCESS, half_closes=False)
    results = run(target, CHECKS, Settings(Profile(["json"])))
    assert results
    assert not any(isinstance(result.check, Check) and result.check.half_close for result in results)


@pytest.mark.parametrize(("target", "port"), [("tcp://localhost", 6666), ("tcp://localhost:7", 7)])
def test_default_port(target: str, port: int) -> None:
    """Where no port is given, the one is meant on which servers listen (CONN-3)."""
    with opened(target) as found:
        assert found.upstream is not None
        assert found.upstream.where == f"localhost:{port}"


@pytest.mark.parametrize("tls", [Tls(insecure=True), Tls(server_name="localhost")], ids=["insecure", "name"])
def test_names_in_certificates(programs: Programs, tmp_path: Path, tls: Tls) -> None:
    """A certificate for another name is trusted if that name is given, and without it if any is."""
    ca = trustme.CA()
    ca.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(tmp_path / "cert.pem")
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    trusted = str(tmp_path / "ca.pem")
    for url in programs.addresses("--tls-cert", str(tmp_path / "cert.pem"), "--websocket", "0"):
        with opened(url, tls if tls.insecure else replace(tls, ca=trusted)) as target:
            probe(target, load("json"), "ann", DEADLINE)
        with (
            opened(url, Tls(trusted)) as target,
            pytest.raises(NoTarget, match=r"certificate .* not trusted .*IP address mismatch.*--server-name"),
        ):
            probe(target, load("json"), "ann", DEADLINE)


@pytest.mark.parametrize(
    "target",
    [
        "ftp://x:1",
        "tcp://x:0",
        "tcp://:1",
        "tcp://a..b:1",
        "tls://x",
        "tcp://x:99999",
        "ws://",
        "x",
        "unix",
        "unix:",
    ],
)
def test_no_target(target: str) -> None:
    """What is no target is a wrong use of the command, and the message says what to write."""
    with pytest.raises(UsageError, match="is not a target; write tcp://HOST:PORT, tls://"), opened(target):
        pass


def test_quotation_mark_without_a_partner() -> None:
    """A command that no shell could take apart is a wrong use of the command line, for servers and for clients."""
    with (
        pytest.raises(UsageError, match="a quotation mark is not closed, or a backslash"),
        opened("cmd:o'neill {port}"),
    ):
        pass
    for role in ("--driver", "--cmd"):
        said = io.StringIO()
        with redirect_stderr(said):
            assert main(["check", "client", role, "o'neill {port}"]) == USAGE
        assert "a quotation mark is not closed" in said.getvalue()
    with redirect_stderr(io.StringIO()):
        assert main(["check", "pair", "--server", "tcp://localhost:1", "--client", "o'neill"]) == USAGE


@pytest.mark.parametrize("role", ["--driver", "--cmd"])
def test_no_program(role: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An empty command for a client is a wrong use of the command line, and the message says what to give."""
    assert main(["check", "client", role, ""]) == USAGE
    assert "give a program and its arguments" in capsys.readouterr().err


def test_no_certificates(tmp_path: Path) -> None:
    """A file with certificates has to exist and to hold some."""
    (tmp_path / "empty.pem").touch()
    for name, reason in (("missing.pem", "No such file"), ("empty.pem", "it holds no certificate")):
        with pytest.raises(UsageError, match=rf"{name}: {reason}"):
            Tls(str(tmp_path / name)).context()


@pytest.mark.parametrize("option", [["--ca", "ca.pem"], ["--insecure"], ["--server-name", "localhost"]])
def test_trust_without_tls(option: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """To say whom to trust makes no sense where there is no TLS, and is refused, as `improto chat` does."""
    assert main(["check", "server", "tcp://localhost:1", *option]) == USAGE
    assert main(["check", "pair", "--server", "unix:x", "--driver", "x", *option]) == USAGE
    assert capsys.readouterr().err.count("for tls:// and wss:// only") == 2


def test_without_websockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package for WebSocket the message says how to install it."""
    monkeypatch.delitem(sys.modules, "improto_conformance.connections.websocket", raising=False)
    monkeypatch.setitem(sys.modules, "websockets.client", None)
    with pytest.raises(UsageError, match=r"pip install 'improto\[websocket\]'"), opened("ws://localhost"):
        pass


def test_no_function() -> None:
    """A target in this process without the name of a function is a wrong use of the command."""
    for target in ("inproc:mine", "inproc::make", "inproc:mine:"):
        with pytest.raises(UsageError, match="is not a target; write inproc:MODULE:FUNCTION"), opened(target):
            pass


@pytest.mark.parametrize(("fresh", "ids"), [(True, {"1"}), (False, {"1", "2"})])
def test_a_program_for_each_check(*, fresh: bool, ids: set[str]) -> None:
    """With `fresh` each check has a program of its own, whose first conversation is its first; else they share one."""
    checks = [
        check for check in CHECKS if check.name in ("INVITATION-2/invited", "INVITATION-3/initiator-invited")
    ]
    with opened(f"cmd:{IMPROTO} serve --port {{port}}", fresh=fresh) as target:
        results = run(target, checks, Settings(Profile(["json"]), jobs=1))
    assert {result.transcript.conversation for result in results} == ids


def test_only_programs_are_started_anew() -> None:
    """What runs already cannot be started for each check."""
    with pytest.raises(UsageError, match="cmd:"), opened("tcp://127.0.0.1:1", fresh=True):
        pass


def test_ports_of_their_own() -> None:
    """Programs that start at the same time get different ports, though none of them listens yet."""
    with ExitStack() as stack:
        ports = [stack.enter_context(free_port()) for _ in range(500)]
    assert len(set(ports)) == len(ports)


def test_held_ports() -> None:
    """A port that is held is nobody else's, but a program with SO_REUSEADDR, as servers have it, can listen there."""
    with free_port(held=True) as port, socket.socket() as other:
        with pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))
        with socket.create_server(("127.0.0.1", port)):
            socket.create_connection(("127.0.0.1", port)).close()


def test_programs_that_cannot_share_a_port(tmp_path: Path) -> None:
    """A program that listens without SO_REUSEADDR is started too."""
    program = tmp_path / "strict.py"
    program.write_text(
        "import socket, sys\n"
        "listener = socket.socket()\n"
        "listener.bind(('127.0.0.1', int(sys.argv[1])))\n"
        "listener.listen()\n"
        "while True:\n"
        "    listener.accept()\n"
    )
    with opened(f"cmd:{sys.executable} {program} {{port}}") as target:
        assert target.upstream is not None
        host, _, port = target.upstream.where.rpartition(":")
        socket.create_connection((host, int(port))).close()


def taken(connection: socket.socket) -> int:
    """Give how many bytes, of a megabyte, a connection takes at once."""
    connection.settimeout(0.0)
    count = 0
    with suppress(BlockingIOError):
        while count < 2**20:
            count += connection.send(bytes(4096))
    return count


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems keep as much as they like")
def test_little_is_kept_for_who_does_not_read() -> None:
    """On this machine the system keeps so little of what nobody reads that a server soon meets a full connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        with opened(f"tcp://127.0.0.1:{listening.getsockname()[1]}") as target:
            link = target.begin()(DEADLINE, load("json"))
        with listening.accept()[0] as accepted:
            assert 0 < taken(accepted) < 200_000
        link.close()
