"""Tests of the referee on real sockets: what it passes on, and whom it blames."""

import asyncio
import random
import signal
import socket
import struct
import subprocess
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme

from improto.cli import UNREAD, main
from improto.codec import available, load
from improto.messages import (
    Goodbye,
    Invite,
    Join,
    Leave,
    ListConversations,
    Message,
    Register,
    SendMessage,
    Status,
)
from improto_conformance.connections.links import CUTS
from improto_conformance.judging.verdict import SERVER, Judgement, judged
from improto_conformance.pairs.referee import Manner, Referee
from improto_conformance.pairs.wiretap import ENTRIES
from improto_conformance.servers.party import Stuck, Waits
from improto_conformance.servers.stage import Stage
from improto_conformance.servers.targets import tcp
from improto_conformance.transcripts.records import from_file
from improto_conformance.transcripts.transcript import Event, Transcript
from improto_conformance.zoo.broken import BROKEN
from programs import DEADLINE, IMPROTO, Program, Programs
from upstreams import at, looping, standing


class Watched:
    """A running referee."""

    def __init__(self, port: int) -> None:
        """Begin with no transcript."""
        self.port = port
        self.seen: list[Transcript] = []
        self.full: list[bool] = []
        self.lines: list[str] = []

    def connect(self) -> socket.socket:
        """Connect as a client."""
        return socket.create_connection(("127.0.0.1", self.port), DEADLINE)


@contextmanager
def refereed(upstream: int, manner: Manner | None = None) -> Generator[Watched]:
    """Run a referee before a port; its transcripts are complete when the block has ended."""
    watched = Watched(0)

    def report(seen: Transcript, full: bool) -> None:
        watched.seen.append(seen)
        watched.full.append(full)

    async def begin() -> Referee:
        referee = Referee(at(upstream), report, manner=manner, complain=watched.lines.append)
        _, watched.port = await referee.listen("127.0.0.1", 0)
        return referee

    with looping() as loop:
        referee = asyncio.run_coroutine_threadsafe(begin(), loop).result(DEADLINE)
        try:
            yield watched
        finally:
            asyncio.run_coroutine_threadsafe(referee.close(), loop).result(DEADLINE)
    assert watched.lines == []


@contextmanager
def pair(manner: Manner | None = None) -> Generator[tuple[socket.socket, socket.socket, Watched]]:
    """Give both ends of a connection through a referee, the client's first."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with (
            refereed(listener.getsockname()[1], manner) as watched,
            watched.connect() as client,
            listener.accept()[0] as server,
        ):
            server.settimeout(DEADLINE)
            yield client, server, watched


def drained(end: socket.socket) -> bytes:
    """Read up to the end of a stream."""
    return b"".join(iter(lambda: end.recv(65536), b""))


def sent(end: socket.socket, data: bytes) -> threading.Thread:
    """Send in a thread, and no more after it."""

    def send() -> None:
        end.sendall(data)
        end.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("delay", [0.0, 0.001])
def test_bytes_are_unchanged(cut: str, delay: float) -> None:
    """All bytes arrive in both directions as they were sent, however they are cut or late."""
    rng = random.Random(cut)
    up, down = rng.randbytes(300_000), rng.randbytes(200_000)
    with pair(Manner(cut, delay)) as (client, server, _):
        threads = [sent(client, up), sent(server, down)]
        assert drained(server) == up
        assert drained(client) == down
        for thread in threads:
            thread.join()


def test_at_once() -> None:
    """A part of a message is passed on without waiting for the rest."""
    with pair() as (client, server, _):
        client.sendall(b"REGIS")
        assert server.recv(100) == b"REGIS"
        server.sendall(b"ONL")
        assert client.recv(100) == b"ONL"


def test_half_close() -> None:
    """Who sends no more still receives."""
    with pair() as (client, server, _):
        client.shutdown(socket.SHUT_WR)
        assert server.recv(1) == b""
        server.sendall(b"still here")
        assert client.recv(100) == b"still here"
        server.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""


@pytest.mark.parametrize("breaking", ["client", "server"])
def test_reset(breaking: str) -> None:
    """A reset is passed on as one."""
    with pair() as (client, server, _):
        client.sendall(b"x")
        assert server.recv(1) == b"x"
        one, other = (client, server) if breaking == "client" else (server, client)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        one.close()
        with pytest.raises(ConnectionResetError):
            other.recv(1)


def test_slow_reader() -> None:
    """Who does not read is not read for: the sender has to wait, and nothing is lost."""
    data = random.Random(1).randbytes(1 << 20) * 32
    with pair() as (client, server, _):
        client.settimeout(0.5)
        taken = 0
        with suppress(TimeoutError):
            while taken < len(data):
                taken += client.send(data[taken : taken + 65536])
        assert taken < len(data)
        client.settimeout(DEADLINE)
        thread = sent(client, data[taken:])
        assert drained(server) == data
        thread.join()


def test_break() -> None:
    """A connection is broken off behind a given byte, on both sides, which the server sees as the client's doing."""
    with pair(Manner(breaks=5)) as (client, server, watched):
        client.sendall(b"REGISTER ann x\n")
        assert server.recv(100) == b"REGIS"
        for end in (client, server):
            with pytest.raises(ConnectionResetError):
                end.recv(1)
    assert [entry.event for entry in watched.seen[0].entries] == [Event.SENT, Event.RESET]


def test_no_server() -> None:
    """Where nobody listens, the client is put off and a line says so."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen, so that nobody else does
        with refereed(taken.getsockname()[1]) as watched:
            # Also `connect` may raise it.
            with pytest.raises(ConnectionResetError), watched.connect() as client:
                client.recv(1)
            assert "is the server still running?" in watched.lines.pop()


def talk(port: int, codec: str = "json", suffix: str = "") -> None:
    """Have two users do something of everything, and go."""
    stage = Stage(tcp("127.0.0.1", port).begin(), load(codec), suffix, Waits(2.0))
    try:
        ann, bo = stage.talk("ann", "bo")
        id = stage.transcript.conversation
        ann.send(SendMessage(id, " hi "))
        stage.barrier(ann, bo, ann)
        bo.send(Status("away"), Leave(id), ListConversations(), Leave(id))
        stage.barrier(bo, ann)
        ann.send(SendMessage(id, "still there?"), Leave(id))
        stage.barrier(ann, bo)
        for each in (ann, bo):
            each.send(Goodbye())
            each.read_to_end()
    except Stuck:
        pass  # a broken server may do so
    finally:
        stage.close()


@pytest.mark.parametrize("codec", available())
def test_nobody_is_blamed(codec: str) -> None:
    """Between the reference and the suite's parties nobody is blamed; when all are offline a transcript is complete."""
    with standing() as port, refereed(port) as watched:
        talk(watched.port, codec)
        talk(watched.port, codec)
    assert [judged(seen, alone=True) for seen in watched.seen] == [Judgement(())] * 2
    for seen in watched.seen:
        assert seen.codecs == {"ann": codec, "bo": codec}
        assert [entry.event for entry in seen.of("bo")][-2:] == [Event.CLOSED, Event.HALF_CLOSED]


@pytest.mark.parametrize(
    "name",
    [
        "no-copy-for-the-sender",
        "texts-stripped",
        "wrong-sender",
        "members-backwards",
        "second-leaves-pass",
    ],
)
def test_broken_servers_are_blamed(name: str) -> None:
    """A broken server is blamed for the clause that it violates, and nobody else for anything."""
    with standing(name) as port, refereed(port) as watched:
        talk(watched.port)
    blames = [blame for seen in watched.seen for blame in judged(seen, alone=True).blames]
    assert {blame.party for blame in blames} == {SERVER}
    assert BROKEN[name].clause in {blame.clause for blame in blames}


def test_broken_clients_are_blamed() -> None:
    """A client that violates a clause is blamed by its name, and not the server that refuses what it sends."""
    with standing() as port, refereed(port) as watched:
        stage = Stage(tcp("127.0.0.1", watched.port).begin(), load("json"), "", Waits(DEADLINE))
        (ann,) = stage.enter("ann")
        ann.send(SendMessage("7", "hello"))
        ann.send_bytes(b'{"type":"MESSAGE","conversation":"7","sender":"bo","text":""}\n')
        ann.send(Register("ann", ""))
        ann.barrier()
        stage.close()
    blames = [(blame.party, blame.clause) for blame in judged(watched.seen[0]).blames]
    assert blames == [("ann", "CLIENT-10"), ("ann", "CLIENT-3"), ("ann", "CLIENT-2")]


def test_strangers() -> None:
    """Nobody is blamed for what users do who are connected to the server itself."""
    with standing() as port, refereed(port) as watched:
        stage = Stage(tcp("127.0.0.1", port).begin(), load("json"), "", Waits(DEADLINE))
        zoe, _ = stage.enter("zoe", "ann")
        talk(watched.port, suffix="'")
        zoe.send(Invite(("bo'",)))  # who is offline
        beyond = Stage(tcp("127.0.0.1", watched.port).begin(), load("json"), "", Waits(DEADLINE))
        (bo,) = beyond.enter("bo")
        id = stage.invite(zoe, bo)
        bo.send(Join(id))
        bo.barrier()
        zoe.send(Join(id), SendMessage(id, "hello"))
        assert bo.wait_for(Message).sender == "zoe"
        beyond.close()
        stage.close()
    for seen in watched.seen:
        assert judged(seen).blames == ()


def test_too_much() -> None:
    """A recording that is full is handed in; then bytes are just passed on, until all users are offline."""
    asked = b"LIST_CONVERSATIONS\n"
    with standing() as port, refereed(port) as watched:
        with watched.connect() as client:
            thread = sent(client, b"REGISTER ann x\n" + asked * 11_000 + b"GOODBYE\n")
            assert drained(client).count(b"CONVERSATIONS\n") == 11_000
            thread.join()
        talk(watched.port)
    assert watched.full == [True, False]
    assert len(watched.seen[0].entries) == ENTRIES
    assert judged(watched.seen[1], alone=True) == Judgement(())


def test_reset_is_remembered() -> None:
    """Where somebody broke off, the transcript goes on until the server has shown that it knows."""
    with standing() as port, refereed(port) as watched:
        stage = Stage(tcp("127.0.0.1", watched.port).begin(), load("json"), "", Waits(DEADLINE))
        stage.enter("ann")[0].reset()
        stage.close()
        stage = Stage(tcp("127.0.0.1", watched.port).begin(), load("json"), "", Waits(DEADLINE))
        (bo,) = stage.enter("bo")
        bo.wait_to_see("ann", None)
        bo.send(Goodbye())
        bo.read_to_end()
        stage.close()
        talk(watched.port, suffix="'")
    assert [seen.codecs.keys() for seen in watched.seen] == [{"ann", "bo"}, {"ann'", "bo'"}]
    assert [judged(seen, alone=True) for seen in watched.seen] == [Judgement(())] * 2


def refereeing(programs: Programs, *options: str) -> tuple[Program, str]:
    """Run `improto referee`, and give its address."""
    program = programs.start("referee", "--listen", "127.0.0.1:0", *options)
    return program, program.expect(r"improto: listening on (tcp://127\.0\.0\.1:\d+)")[1]


def interrupted(program: Program) -> tuple[int, list[str]]:
    """Interrupt a program as Ctrl-C does, and give its exit code and all lines."""
    program.process.send_signal(signal.SIGINT)
    return program.end(stdin=False)


def test_command(programs: Programs, tmp_path: Path) -> None:
    """Between the reference and its own client nobody is wrong; the transcript is written, and is the traffic."""
    server = f"cmd:{IMPROTO} serve --settle 0 --port {{port}}"
    referee, url = refereeing(programs, "--upstream", server, "--report", str(tmp_path))
    ann, bo = programs.registered(url, "ann"), programs.registered(url, "bo")
    ann.expect(r"\* bo is online")
    ann.type("/invite bo", "/join 1", "hello")
    ann.expect("<ann> hello|.*ann.*hello")
    for each in (ann, bo):
        each.type("/quit")
        assert each.end()[0] == 0
    referee.expect(r"written: .*live-1\.jsonl")
    code, lines = interrupted(referee)
    assert (code, lines[-1]) == (0, "CONFORMANT: nobody was seen to be wrong")
    record = from_file(tmp_path / "transcripts" / "live-1.jsonl")
    assert (record.codec, record.about["verdict"]) == ("json", "passed")
    assert SendMessage("1", "hello") in [entry.item for entry in record.transcript.of("ann")]


@pytest.mark.parametrize("scheme", ["tls", "unix"])
def test_other_transports(scheme: str, programs: Programs, tmp_path: Path) -> None:
    """Clients on plain TCP talk through the referee to a server behind TLS, or on a Unix socket."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(tmp_path / "cert.pem")
    certificate = ("--tls-port", "0", "--tls-cert", str(tmp_path / "cert.pem"))
    addresses = programs.addresses("--unix", str(tmp_path / "socket"), *certificate)
    (upstream,) = (each for each in addresses if each.startswith(f"{scheme}:"))
    trust = ("--ca", str(tmp_path / "ca.pem"), "--server-name", "localhost") if scheme == "tls" else ()
    referee, url = refereeing(programs, "--upstream", upstream, "--report", str(tmp_path), *trust)
    port = urlsplit(url).port or 0
    talk(port)
    referee.expect(r"written: .*live-1\.jsonl")
    with socket.create_connection(("127.0.0.1", port), DEADLINE) as client:
        client.sendall(b"REGISTER ann x\nLIST_CONVERSATIONS\n")
        client.shutdown(socket.SHUT_WR)
        came = drained(client)
    assert scheme == "tls" or came.endswith(b"CONVERSATIONS\n")  # behind TLS, the client's end is that of all
    code, lines = interrupted(referee)
    assert (code, lines[-1]) == (0, "CONFORMANT: nobody was seen to be wrong")


def test_command_blames(programs: Programs) -> None:
    """Whoever is wrong is named on the terminal, and the exit code is 1."""
    with standing("texts-stripped") as port:
        referee, url = refereeing(programs, "--upstream", f"127.0.0.1:{port}", "--codec", "json")
        talk(urlsplit(url).port or 0)
        referee.expect(r"the server violates MESSAGE-4: ann was to receive .* \(entry \d+\)")
        code, lines = interrupted(referee)
    assert (code, lines[-1]) == (1, "NOT CONFORMANT: the server violates MESSAGE-4")


def test_nonsense_without_end(programs: Programs, tmp_path: Path) -> None:
    """Of a client that sends nonsense on and on the first is told; a transcript that cannot be written takes no verdict away."""
    with standing() as port:
        options = ("--codec", "json", "--report", str(tmp_path))
        referee, url = refereeing(programs, "--upstream", f"127.0.0.1:{port}", *options)
        (tmp_path / "transcripts").touch()
        with socket.create_connection(("127.0.0.1", urlsplit(url).port or 0), DEADLINE) as client:
            client.sendall(b"".join(b"nonsense %d\n" % number for number in range(1000)))
            client.shutdown(socket.SHUT_WR)
            drained(client)
        referee.expect("improto: .*live-1.jsonl cannot be written .*; choose another place")
        code, lines = interrupted(referee)
    assert (code, lines[-1]) == (1, "NOT CONFORMANT: a client violates CODEC-7")
    assert sum("violates CODEC-7: " in line for line in lines) == 20
    assert "… and 980 more" in lines


def test_nobody_reads() -> None:
    """Where nobody reads what is printed, that is no fault of the referee; it ends as all commands do then."""
    with standing() as port:
        command = [str(IMPROTO), "referee", "--listen", "127.0.0.1:0", "--upstream", f"127.0.0.1:{port}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as referee:
            assert referee.stdout is not None
            assert referee.stderr is not None
            listening = urlsplit(str(referee.stdout.readline()).split()[-1]).port or 0
            referee.stdout.close()
            with socket.create_connection(("127.0.0.1", listening), DEADLINE) as client:
                client.sendall(b"nonsense\n")
                client.shutdown(socket.SHUT_WR)
                drained(client)
            referee.send_signal(signal.SIGINT)
            assert referee.wait(DEADLINE) == UNREAD
            assert referee.stderr.read() == ""


def test_command_sees_nothing(programs: Programs) -> None:
    """Without traffic there is no verdict."""
    with standing() as port:
        code, lines = interrupted(refereeing(programs, "--upstream", f"tcp://127.0.0.1:{port}")[0])
    assert (code, lines[-1]) == (4, "NO VERDICT: no message was seen")


def test_taken_port(capsys: pytest.CaptureFixture[str]) -> None:
    """A port that is taken is told of in the system's words alone."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        assert main(["referee", "--listen", listen, "--upstream", "127.0.0.1:1"]) == 3
    told = capsys.readouterr().out.splitlines()[0]
    assert told == f"improto: cannot listen on {listen} (Address already in use); choose another --listen"


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        (["--listen", "nowhere", "--upstream", "127.0.0.1:1"], 2, "write HOST:PORT"),
        (["--listen", "a..b:0", "--upstream", "127.0.0.1:1"], 2, "write HOST:PORT"),
        (["--listen", "127.0.0.1:0", "--upstream", "7777"], 2, "is not a target"),
        (["--listen", "127.0.0.1:0", "--upstream", "ws://x"], 2, "no stream of bytes"),
        (["--listen", "127.0.0.1:0", "--upstream", "127.0.0.1:1", "--break-after", "0"], 2, "1 or more"),
        (
            ["--listen", "127.0.0.1:0", "--upstream", "127.0.0.1:1", "--delay", "nan"],
            2,
            "'nan' is not a number",
        ),
        (["--listen", "127.0.0.1:0", "--upstream", "127.0.0.1:1", "--ca", "x"], 2, "do not use TLS"),
        (
            ["--listen", "127.0.0.1:0", "--upstream", "127.0.0.1:1", "--report", "/dev/null/x"],
            2,
            "name another place",
        ),
        (["--listen", "127.0.0.1:0", "--upstream", "cmd:no-such-program"], 3, "cannot be started"),
        (["--listen", "192.0.2.1:1", "--upstream", "127.0.0.1:1"], 3, "choose another --listen"),
    ],
)
def test_usage(options: list[str], code: int, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What is wrong with the options is said with what to write instead."""
    try:
        got = main(["referee", *options])
    except SystemExit as error:
        got = int(str(error.code))
    assert got == code
    printed = capsys.readouterr()
    assert text in printed.out + printed.err
