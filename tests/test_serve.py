"""Tests of `improto serve` as a program: what it prints, how it ends, what it logs."""

import asyncio
import os
import re
import signal
import socket
import ssl
import subprocess
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from improto.addresses import Address
from improto.bindings.asyncio import connect
from improto.cli.serve import cannot_listen
from network import link_local
from programs import DEADLINE, IMPROTO, Programs


def ask(port: int, data: bytes) -> bytes:
    """Send bytes, half-close, and read to the end."""
    with socket.create_connection(("127.0.0.1", port), 10.0) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


IGNORED = (
    signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
)  # then the programs that are started here ignore it, too


@pytest.mark.parametrize(
    "signum",
    [
        signal.SIGTERM,
        signal.SIGINT,
        pytest.param(signal.SIGHUP, marks=pytest.mark.skipif(IGNORED, reason="the tests run with `nohup`")),
    ],
)
def test_signals(programs: Programs, signum: signal.Signals) -> None:
    """Each signal that asks for the end ends the server in order: everybody is told, and the exit code is 0."""
    server, url = programs.serve()
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), 10.0) as connection:
        connection.sendall(b"REGISTER ann here\n")
        assert connection.recv(1000).startswith(b"ONLINE_USERS")
        server.process.send_signal(signum)
        rest = b"".join(iter(lambda: connection.recv(65536), b""))
    assert b'ERROR "shutting-down: ' in rest
    code, lines = server.end(stdin=False)
    assert code == 0
    assert lines == [f"improto: listening on {url}"]


def test_end_without_its_path(programs: Programs, tmp_path: Path) -> None:
    """Where its Unix socket can no longer be removed, as the folder is none any more, a server ends in order all the same."""
    folder = tmp_path / "folder"
    folder.mkdir()
    server, url = programs.serve("--unix", str(folder / "socket"))
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), 10.0) as connection:
        connection.sendall(b"REGISTER ann here\n")
        assert connection.recv(1000).startswith(b"ONLINE_USERS")
        folder.rename(tmp_path / "elsewhere")
        folder.touch()
        server.process.send_signal(signal.SIGTERM)
        rest = b"".join(iter(lambda: connection.recv(65536), b""))
    assert b'ERROR "shutting-down: ' in rest
    assert server.end(stdin=False) == (0, [f"improto: listening on {url} unix:{folder / 'socket'}"])


def test_log_of_nothing(programs: Programs) -> None:
    """A server at which nothing has happened says so in its log."""
    server = programs.start("serve", "-v", "--port", "0")
    server.expect(r"improto: listening on .*")
    server.process.send_signal(signal.SIGTERM)
    _, lines = server.end(stdin=False)
    assert lines[-1].endswith(" nobody has connected")


def test_nohup(programs: Programs) -> None:
    """A server that was started with `nohup` outlives its terminal."""
    server = programs.run("nohup", IMPROTO, "serve", "--port", "0")
    url = server.expect(r"improto: listening on (.*)")[1]
    server.process.send_signal(signal.SIGHUP)
    programs.registered(url, "ann")
    server.process.send_signal(signal.SIGTERM)
    assert server.end(stdin=False)[0] == 0


def test_end_while_it_begins(programs: Programs, tmp_path: Path) -> None:
    """A server that is told to end as soon as it listens somewhere, but not everywhere yet, ends in order, too."""
    path = tmp_path / "socket"
    server = programs.start("serve", "--port", "0", "--unix", str(path), "--websocket", "0")
    while not path.exists():
        assert server.process.poll() is None
    server.process.send_signal(signal.SIGTERM)
    assert server.end(stdin=False)[0] == 0
    assert not path.exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_nothing_is_left_where_nothing_can_be_printed(programs: Programs, tmp_path: Path) -> None:
    """A server that cannot say where it listens ends, and removes its Unix socket."""
    path = tmp_path / "socket"
    server = programs.run("sh", "-c", '"$0" serve --port 0 --unix "$1" >/dev/full', IMPROTO, path)
    code, lines = server.end()
    assert (code, len(lines)) == (141, 1)
    assert not path.exists()


@pytest.mark.parametrize(("option", "shown"), [("-v", False), ("--log-texts", True)])
def test_log(programs: Programs, option: str, shown: bool) -> None:
    """-v logs and counts commands and refusals, --log-texts also what messages hold, both escaped (CONN-30)."""
    server, url = programs.serve(option)
    answer = ask(int(url.rpartition(":")[2]), b'REGISTER ann "red \\u001b[31m"\nREDDISH\nGOODBYE\n')
    assert b"unknown-command" in answer
    server.process.send_signal(signal.SIGTERM)
    log = "\n".join(server.end(stdin=False)[1])
    for word in (" 1 connected from 127.0.0.1", "REGISTER", "unknown-command", "goodbye"):
        assert word in log
    assert ("red" in log) is shown
    assert ("REDDISH" in log) is shown
    assert "→ REGISTER: 1" in log
    assert "\x1b" not in log


@pytest.mark.parametrize("kind", ["unix", "ws"])
def test_log_of_addresses(programs: Programs, tmp_path: Path, kind: str) -> None:
    """-v says where each connection comes from: the user of a Unix socket, and the host on WebSocket, too."""
    path = str(tmp_path / "socket")
    server = programs.start("serve", "-v", "--port", "0", "--unix", path, "--websocket", "0")
    urls = server.expect(r"improto: listening on (.*)")[1].split(" ")
    programs.registered(next(url for url in urls if url.startswith(kind)), "ann")
    server.expect(rf".* 1 connected from {f'uid {os.getuid()}' if kind == 'unix' else '127.0.0.1'}")


def test_taken_port() -> None:
    """A port that is taken gives one clear line and exit code 3."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [IMPROTO, "serve", "--port", port], capture_output=True, text=True, timeout=30, check=False
        )
    assert done.returncode == 3
    assert done.stderr == (
        f"improto: cannot listen on tcp://127.0.0.1:{port} (Address already in use); choose another --port\n"
    )


@pytest.mark.parametrize("host", ["", "192.0.2.1"])
def test_host_of_somebody_else(programs: Programs, host: str) -> None:
    """Where nothing can listen since the host is strange, no other port would help."""
    code, lines = programs.start("serve", "--port", "0", "--host", host).end()
    assert code == 3
    assert re.fullmatch(rf"improto: cannot listen on tcp://{host}:0 \(.*\); choose another --host", lines[-1])


@pytest.mark.parametrize("host", ["fe80::1", "::ffff:127.0.0.1"])
def test_host_that_no_socket_takes(programs: Programs, host: str) -> None:
    """Where the system finds fault with the host, the message names the option for it."""
    code, lines = programs.start("serve", "--port", "0", "--host", host).end()
    assert code == 3
    assert lines[-1].endswith("; choose another --host")


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no socket takes IPv6 and IPv4 here")
def test_all_addresses(programs: Programs) -> None:
    """At ::, a server serves those who come by IPv6 or IPv4, and tells the address of either as it is."""
    server = programs.start("serve", "-v", "--port", "0", "--host", "::")
    port = server.expect(r"improto: listening on tcp://\[::\]:(\d+)")[1]
    for host, seen in (("127.0.0.1", r"127\.0\.0\.1"), ("[::1]", "::1")):
        programs.registered(f"tcp://{host}:{port}", f"ann at {host}")
        server.expect(rf".* connected from {seen}")


def test_host_with_an_interface(programs: Programs) -> None:
    """The address that is told is one at which clients can connect, with the interface if it needs one."""
    host = link_local()
    server = programs.start("serve", "--port", "0", "--host", host)
    url = server.expect(r"improto: listening on (.*)")[1]
    assert url.startswith(f"tcp://[{host}]:")
    programs.registered(url, "ann")


def test_host_without_address() -> None:
    """What the system says of a host that it does not know is told, too."""
    error = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    told = cannot_listen(Address("tcp", "nowhere", 1), error)
    assert told == "cannot listen on tcp://nowhere:1 (Name or service not known)"


def test_one_codec(programs: Programs) -> None:
    """With --codec only that codec is spoken."""
    _, url = programs.serve("--codec", "json")
    assert ask(int(url.rpartition(":")[2]), b"REGISTER ann x\n").startswith(
        b'{"type":"ERROR","message":"malformed: '
    )


def test_some_codecs(programs: Programs) -> None:
    """With --codec given again, each connection speaks one of those codecs, and none speaks another."""
    _, url = programs.serve("--codec", "json", "--codec", "ascii", "--codec", "json")
    for codec in ("json", "ascii"):
        programs.registered(url, codec, "--codec", codec)
    code, lines = programs.chat(url, "pickle", "--codec", "pickle").end()
    assert code == 1
    assert lines[-1].endswith("or another codec")


def test_private(programs: Programs) -> None:
    """With --private, who was not invited cannot join."""
    _, url = programs.serve("--private")
    port = int(url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), 10.0) as ann:
        ann.sendall(b"REGISTER ann x\n")
        ann.recv(1000)
        with socket.create_connection(("127.0.0.1", port), 10.0) as bo:
            bo.sendall(b"REGISTER bo x\n")
            bo.recv(1000)
            ann.sendall(b"INVITE bo\nLIST_CONVERSATIONS\n")
            received = b""
            while b"CONVERSATIONS" not in received:
                received += ann.recv(1000)
            answer = ask(port, b"REGISTER cy x\nJOIN 1\nLIST_CONVERSATIONS\n")
    assert b"not-invited" in answer
    assert b"\nCONVERSATIONS\n" in answer


def test_rate(programs: Programs) -> None:
    """With --rate, requests beyond the burst are refused (FLOW-11)."""
    _, url = programs.serve("--rate", "0.001", "--burst", "3")
    answer = ask(int(url.rpartition(":")[2]), b"REGISTER ann x\n" + b"LIST_CONVERSATIONS\n" * 5)
    assert answer.count(b"CONVERSATIONS") == 2
    assert answer.count(b"rate-limited") == 3


def key_pair(folder: Path, name: str, certificate: trustme.LeafCert) -> str:
    """Write a certificate with its key into one file."""
    path = folder / f"{name}.pem"
    certificate.private_key_and_cert_chain_pem.write_to_path(path)
    return str(path)


def test_listeners(programs: Programs, tmp_path: Path) -> None:
    """One server listens on TCP, TLS and a Unix socket, and all who come are in one hub."""
    ca = trustme.CA()
    certificate = key_pair(tmp_path, "server", ca.issue_cert("localhost"))
    path = tmp_path / "socket"
    server = programs.start(
        "serve", "--port", "0", "--unix", str(path), "--tls-port", "0", "--tls-cert", certificate
    )
    urls = server.expect(r"improto: listening on (.*)")[1].split(" ")
    assert [url.partition(":")[0] for url in urls] == ["tcp", "tls", "unix"]
    context = ssl.create_default_context(cadata=ca.cert_pem.bytes().decode())

    async def meet() -> None:
        async with (
            connect(urls[0], "ann"),
            connect(urls[1].replace("127.0.0.1", "localhost"), "bo", tls=context),
            connect(urls[2], "cy") as cy,
        ):
            assert list(cy.view.online) == ["ann", "bo", "cy"]

    asyncio.run(meet())
    server.process.send_signal(signal.SIGTERM)
    assert server.end(stdin=False)[0] == 0
    assert not path.exists()


@pytest.mark.parametrize("scheme", ["tls", "wss"])
def test_client_certificates(programs: Programs, tmp_path: Path, scheme: str) -> None:
    """With --require-client-cert a user is who the certificate names, and nobody else."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    server = programs.start(
        "serve", "--port", "0", "--tls-cert", key_pair(tmp_path, "server", ca.issue_cert("localhost")),
        "--require-client-cert", str(tmp_path / "ca.pem"), "--websocket", "0",
    )  # fmt: skip
    listening = server.expect(r"improto: listening on (?P<tls>tls://\S+) (?P<wss>wss://\S+)")
    own = key_pair(tmp_path, "ann", ca.issue_cert("ann@localhost", common_name="ann"))
    options = ("--ca", str(tmp_path / "ca.pem"), "--tls-cert", own)
    url = listening[scheme].replace("127.0.0.1", "localhost")
    programs.registered(url, "ann", *options)
    _, lines = programs.chat(url, "ann", *options[:2]).end()
    assert re.search("certificate .*--tls-cert FILE", lines[-1])
    _, lines = programs.chat(url, "ann", *options[2:]).end()
    assert re.search("not trusted .*--ca FILE", lines[-1])
    _, lines = programs.chat(url, "ann", *options[:2], "--tls-cert", options[1]).end()
    assert re.fullmatch(r"improto: --tls-cert .*ca\.pem: .* name PEM files, .* its key", lines[-1])
    other = programs.chat(url, "bo", *options)
    other.expect(r"! forbidden: your certificate is for 'ann'; register as that")
    assert other.end()[0] == 1


def test_renewed_certificate(programs: Programs, tmp_path: Path) -> None:
    """On SIGHUP the certificate is read again, for new connections; what cannot be used changes nothing."""
    cas = [trustme.CA() for _ in range(2)]
    file = Path(key_pair(tmp_path, "server", cas[0].issue_cert("localhost")))
    server = programs.start("serve", "--port", "0", "--tls-cert", str(file))
    port = int(server.expect(r"improto: listening on tls://127.0.0.1:(\d+)")[1])

    def met(trusted: trustme.CA) -> ssl.SSLSocket:
        context = ssl.create_default_context(cadata=trusted.cert_pem.bytes().decode())
        tcp = socket.create_connection(("127.0.0.1", port), DEADLINE)
        return context.wrap_socket(tcp, server_hostname="localhost")

    def answered(connection: ssl.SSLSocket) -> bool:
        connection.sendall(b"LIST_CONVERSATIONS\n")
        return connection.recv(1000).startswith(b'ERROR "not-registered: ')

    with met(cas[0]) as before:
        assert answered(before)
        key_pair(tmp_path, "server", cas[1].issue_cert("localhost"))
        server.process.send_signal(signal.SIGHUP)
        server.expect(rf".* read again: {file}")
        file.write_bytes(file.read_bytes()[:-100])
        server.process.send_signal(signal.SIGHUP)
        server.expect(r".* TLS stays as it was: .*server\.pem: .*; name PEM files, .*")
        with met(cas[1]) as after:
            assert answered(after)
        assert answered(before)
    with pytest.raises(ssl.SSLCertVerificationError):
        met(cas[0])


def test_key_with_a_passphrase(programs: Programs, tmp_path: Path) -> None:
    """A server does not wait at a terminal for the passphrase of its key, but says what to do."""
    private, certificate = trustme.CA().issue_cert("localhost"), tmp_path / "server.pem"
    key = load_pem_private_key(private.private_key_pem.bytes(), None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    certificate.write_bytes(locked + private.cert_chain_pems[0].bytes())
    code, lines = programs.start("serve", "--port", "0", "--tls-cert", str(certificate)).end()
    assert code == 2
    assert re.fullmatch(r"improto: .*server\.pem: the key needs a passphrase, .*", lines[-1])


@pytest.mark.parametrize("scheme", ["tls", "wss"])
def test_renewed_authorities(programs: Programs, tmp_path: Path, scheme: str) -> None:
    """On SIGHUP the authorities are read again, too: those that are no longer named let nobody in any more."""
    old, new = trustme.CA(), trustme.CA()
    old.cert_pem.write_to_path(tmp_path / "old.pem")
    authorities = tmp_path / "authorities.pem"
    old.cert_pem.write_to_path(authorities)
    certificate = key_pair(tmp_path, "server", old.issue_cert("localhost"))
    server = programs.start(
        "serve", "--port", "0", "--websocket", "0", "--tls-cert", certificate, "--require-client-cert", str(authorities)
    )  # fmt: skip
    listening = server.expect(r"improto: listening on (?P<tls>tls://\S+) (?P<wss>wss://\S+)")
    url = listening[scheme].replace("127.0.0.1", "localhost")

    def shown(name: str, ca: trustme.CA) -> tuple[str, ...]:
        issued = ca.issue_cert("someone@localhost", common_name=name)
        return "--ca", str(tmp_path / "old.pem"), "--tls-cert", key_pair(tmp_path, name, issued)

    ann = programs.registered(url, "ann", *shown("ann", old))
    new.cert_pem.write_to_path(authorities)
    server.process.send_signal(signal.SIGHUP)
    server.expect(rf".* read again: {certificate}, {authorities}")
    programs.registered(url, "bo", *shown("bo", new))
    code, lines = programs.chat(url, "cy", *shown("cy", old)).end()
    assert code != 0
    assert "--tls-cert FILE" in lines[-1]
    ann.expect(r"\* bo is online")  # who is there stays


def test_idle_timeout(programs: Programs) -> None:
    """With --idle-timeout, users who send nothing for so long are told and closed (CONN-29)."""
    _, url = programs.serve("--idle-timeout", "0.2")
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), DEADLINE) as connection:
        connection.sendall(b"REGISTER ann x\n")
        said = b"".join(iter(lambda: connection.recv(1000), b""))
    assert said.splitlines()[-1].startswith(b'ERROR "timeout: ')


def test_client_certificate_in_two_files(programs: Programs, tmp_path: Path) -> None:
    """The key of a user's certificate may be in a file of its own, as that of a server's may."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    server = programs.start(
        "serve", "--port", "0", "--tls-cert", key_pair(tmp_path, "server", ca.issue_cert("localhost")),
        "--require-client-cert", str(tmp_path / "ca.pem"),
    )  # fmt: skip
    url = server.expect(r"improto: listening on (tls://\S+)")[1].replace("127.0.0.1", "localhost")
    issued = ca.issue_cert("ann@localhost", common_name="ann")
    certificate, key = tmp_path / "ann.crt", tmp_path / "ann.key"
    issued.cert_chain_pems[0].write_to_path(certificate)
    issued.private_key_pem.write_to_path(key)
    options = ("--ca", str(tmp_path / "ca.pem"), "--tls-key", str(key))
    programs.registered(url, "ann", *options, "--tls-cert", str(certificate))
    code, lines = programs.chat(url, "ann", *options).end()
    assert (code, lines[-1]) == (2, "improto: --tls-key needs --tls-cert")


def test_websocket(programs: Programs) -> None:
    """With --websocket one meets by WebSocket those who came by TCP, and browsers get a page there."""
    server = programs.start("serve", "--port", "0", "--websocket", "0", "--origin", "http://chat.example")
    listening = server.expect(r"improto: listening on (tcp://\S+) (ws://127\.0\.0\.1:(\d+))")
    programs.registered(listening[1], "ann")
    programs.registered(listening[2], "bo").expect(r"\* ann is online")
    page = ask(int(listening[3]), b"GET / HTTP/1.1\r\n\r\n")
    assert page.startswith(b"HTTP/1.1 200 OK\r\n")
    for origin, status in ((b"http://chat.example", b"400"), (b"http://elsewhere.example", b"403")):
        upgrade = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        key = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        head = b"GET / HTTP/1.1\r\n" + upgrade + key + b"Origin: " + origin + b"\r\n\r\n"
        assert ask(int(listening[3]), head).startswith(b"HTTP/1.1 " + status)


def test_taken_port_for_websocket(programs: Programs) -> None:
    """The message about a port that is taken names the option that chooses another."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, lines = programs.start("serve", "--port", "0", "--websocket", str(port)).end()
    assert code == 3
    assert lines == [
        f"improto: cannot listen on ws://127.0.0.1:{port} (Address already in use); choose another --websocket"
    ]


def test_tls_port(programs: Programs, tmp_path: Path) -> None:
    """With a certificate and no port for TLS, there is TLS only."""
    certificate = key_pair(tmp_path, "server", trustme.CA().issue_cert("localhost"))
    server = programs.start("serve", "--port", "0", "--tls-cert", certificate)
    server.expect(r"improto: listening on tls://127\.0\.0\.1:\d+")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("--tls-port 1", "needs --tls-cert"),
        ("--require-client-cert {cert}", "needs --tls-cert"),
        ("--tls-cert {cert} --require-client-cert {cert} --unix x", "leave --tls-port and --unix out"),
        ("--tls-cert {cert} --require-client-cert {cert} --tls-port 1", "leave --tls-port and --unix out"),
        ("--origin http://localhost", "needs --websocket"),
        ("--websocket 0 --origin chat.example", "no origin; write it as browsers do: https://"),
        ("--websocket 0 --origin https://chat.example/", "no origin"),
        ("--websocket 0 --origin https://Chat.example", "no origin"),
        (
            "--websocket 0 --origin https://chat.example:443",
            "argument --origin: 'https://chat.example:443' is no origin",
        ),
        ("--websocket 0 --origin https://chat.example:x", "no origin"),
        ("--connections 0", "not a whole number"),
        ("--port 0 --host chat..example", "'chat..example' is neither an address nor a name of a host"),
        ("--port 0 --unix ", "'' is no path of a Unix socket; name a file that need not exist yet"),
        ("--tls-cert missing.pem", "missing.pem: No such file or directory"),
    ],
)
def test_options_that_do_not_fit(programs: Programs, tmp_path: Path, options: str, told: str) -> None:
    """Options that do not fit together, or name no certificate, are refused as wrong usage."""
    certificate = key_pair(tmp_path, "server", trustme.CA().issue_cert("localhost"))
    code, lines = programs.start("serve", *options.format(cert=certificate).split(" ")).end()
    assert code == 2
    assert told in lines[-1]


def test_taken_path(programs: Programs, tmp_path: Path) -> None:
    """A socket on which somebody listens is left alone; one that a killed server has left is taken over."""
    path = str(tmp_path / "socket")
    first = programs.start("serve", "--port", "0", "--unix", path)
    first.expect(r"improto: listening on .*")
    code, lines = programs.start("serve", "--port", "0", "--unix", path).end()
    assert code == 3
    assert lines == [f"improto: cannot listen on unix:{path} (Address already in use); choose another --unix"]
    first.process.kill()
    first.process.wait()
    programs.start("serve", "--port", "0", "--unix", path).expect(r"improto: listening on .*")
