"""Tests of targets: what each of them can carry, and which checks fit it."""

import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from improto.codec import load
from improto.errors import UsageError
from improto.server import Hub
from improto.service import Service
from improto_conformance.addresses import Tls
from improto_conformance.check import Check
from improto_conformance.checks import CHECKS
from improto_conformance.probe import probe
from improto_conformance.profile import Profile
from improto_conformance.results import Result
from improto_conformance.runner import Settings, run
from improto_conformance.targets import NoTarget, free_port, in_process, opened
from programs import DEADLINE, IMPROTO
from relays import Relays, relays

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


@pytest.fixture(scope="module")
def server() -> Iterator[Relays]:
    """Give the reference and its relays."""
    with relays() as started:
        yield started


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    """Give an authority that signs certificates."""
    return trustme.CA()


@pytest.fixture
def trusted(ca: trustme.CA, tmp_path: Path) -> str:
    """Give the file with the authority's own certificate."""
    path = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(path)
    return str(path)


@pytest.mark.parametrize(("target", "port"), [("tcp://localhost", 6666), ("tcp://localhost:7", 7)])
def test_default_port(target: str, port: int) -> None:
    """Where no port is given, the one is meant on which servers listen (CONN-3)."""
    with opened(target) as found:
        assert found.address == ("localhost", port)


def check_all(target: str, codec: str, tls: Tls) -> list[Result]:
    """Run all checks that fit and expect that they pass, and that nothing is waited for in vain."""
    with opened(target, tls) as found:
        results = run(found, CHECKS, Settings(Profile([codec]), jobs=16))
        left_out = [check.half_close for check in CHECKS if not found.fits(check)]
    assert {result.check.name: result.complaints for result in results if result.complaints} == {}
    assert not any(result.expired for result in results)
    assert any(left_out) is target.startswith("tls:")
    return results


def test_tls(server: Relays, ca: trustme.CA, trusted: str) -> None:
    """All checks that fit pass behind TLS, with a certificate that is trusted; those that half-close do not fit."""
    check_all(f"tls://localhost:{server.tls(ca)}", "msgpack", Tls(trusted))


def test_unix(server: Relays, tmp_path: Path) -> None:
    """All checks pass on a Unix socket."""
    path = str(tmp_path / "socket")
    server.unix(path)
    check_all(f"unix:{path}", "pickle", Tls())


@pytest.mark.parametrize("tls", [Tls(insecure=True), Tls(server_name="localhost")], ids=["insecure", "name"])
@pytest.mark.parametrize("scheme", ["tls", "wss"])
def test_names_in_certificates(server: Relays, ca: trustme.CA, trusted: str, scheme: str, tls: Tls) -> None:
    """A certificate for another name is trusted if that name is given, and without it if any is."""
    port = server.tls(ca) if scheme == "tls" else server.websocket(ca=ca)
    with opened(f"{scheme}://127.0.0.1:{port}", tls if tls.insecure else replace(tls, ca=trusted)) as target:
        probe(target, load("json"), "ann", DEADLINE)
    with (
        opened(f"{scheme}://127.0.0.1:{port}", Tls(trusted)) as target,
        pytest.raises(NoTarget, match=r"certificate .* not trusted .*IP address mismatch.*--server-name"),
    ):
        probe(target, load("json"), "ann", DEADLINE)


@pytest.mark.parametrize(
    "target", ["ftp://x:1", "tcp://x:0", "tcp://:1", "tls://x", "tcp://x:99999", "ws://", "x", "unix"]
)
def test_no_target(target: str) -> None:
    """What is no target is a wrong use of the command, and the message says what to write."""
    with pytest.raises(UsageError, match="is no target; write tcp://HOST:PORT, tls://"), opened(target):
        pass


def test_no_certificates(tmp_path: Path) -> None:
    """A file with certificates has to exist and to hold some."""
    (tmp_path / "empty.pem").touch()
    for name, reason in (("missing.pem", "No such file"), ("empty.pem", "it holds no certificate")):
        with pytest.raises(UsageError, match=rf"{name}: {reason}"):
            Tls(str(tmp_path / name)).context()


def test_without_websockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package for WebSocket the message says how to install it."""
    monkeypatch.delitem(sys.modules, "improto_conformance.websocket", raising=False)
    monkeypatch.setitem(sys.modules, "websockets.client", None)
    with pytest.raises(UsageError, match=r"pip install 'improto\[websocket\]'"), opened("ws://localhost"):
        pass


def test_no_function() -> None:
    """A target in this process without the name of a function is a wrong use of the command."""
    for target in ("inproc:mine", "inproc::make", "inproc:mine:"):
        with pytest.raises(UsageError, match="is no target; write inproc:MODULE:FUNCTION"), opened(target):
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
        assert target.address is not None
        socket.create_connection(target.address).close()
