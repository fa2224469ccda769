"""Tests of TLS: whom the certificates of either end let in, and what is said while TLS begins and ends."""

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
import trustme

from certificates import CA, client_side, server_side, show
from improto.bindings import threads, websocket
from improto.bindings.asyncio import Server, StreamLink, connect, dial
from improto.bindings.sockets import ServerTLS, certified_name
from improto.codec import load, load_all
from improto.errors import CannotConnect, Lost, Refused, UsageError
from improto.links import Phase
from improto.server import Hub, Policy
from improto.service import Bounds, Peer, Service
from loops import on_loop
from network import neighbours
from programs import DEADLINE


@asynccontextmanager
async def tls_server(tls: ServerTLS) -> AsyncGenerator[tuple[Server, str]]:
    """Run a server behind TLS, and give its URL."""
    service = Service(Hub(Policy(settle=0.02)), load_all(), bounds=Bounds(linger=0.2))
    server = Server(service)
    try:
        _, port = await server.listen("127.0.0.1", 0, tls=tls)
        yield server, f"tls://localhost:{port}"
    finally:
        await server.close()


class Ending:
    """A client behind TLS that says what it says when it is told to."""

    def __init__(self, url: str) -> None:
        """Connect and agree on TLS."""
        self._arriving, self._leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = client_side().wrap_bio(self._arriving, self._leaving, server_hostname="localhost")
        self._connection = socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), 10.0)
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._connection.sendall(self._leaving.read())
                self._arriving.write(self._connection.recv(65536))

    def end(self, words: bytes) -> None:
        """Say something and with it that nothing follows."""
        self._tls.write(words)
        with suppress(ssl.SSLWantReadError):  # which does not wait for the other end's word
            self._tls.unwrap()
        self._connection.sendall(self._leaving.read())

    def rest(self) -> bytes:
        """Give all that comes."""
        with self._connection:
            while data := self._connection.recv(65536):
                self._arriving.write(data)
        heard = b""
        with suppress(ssl.SSLZeroReturnError, ssl.SSLWantReadError):
            while True:
                heard += self._tls.read(65536)
        return heard


async def resumable(
    url: str, tls: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> ssl.SSLSession | None:
    """Speak to a server, perhaps in a session that began before, and give one that can be resumed; None if it hangs up."""

    def spoken() -> ssl.SSLSession | None:
        with (
            suppress(OSError),
            socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), DEADLINE) as tcp,
            tls.wrap_socket(tcp, server_hostname="localhost", session=session) as connection,
        ):
            connection.sendall(b"LIST_CONVERSATIONS\n")
            return connection.session if connection.recv(1000) else None
        return None

    return await asyncio.to_thread(spoken)


async def online(url: str, name: str, tls: ssl.SSLContext | None = None) -> list[str]:
    """Register and give who is there then."""
    async with connect(url, name, tls=tls) as me:
        return list(me.view.online)


@on_loop
async def test_certificate() -> None:
    """Who shows a certificate is known by its common name, and can register as nobody else."""
    async with tls_server(server_side()) as (_, url):
        assert await online(url, "ann", tls=client_side("ann")) == ["ann"]
        with pytest.raises(Refused, match="certificate is for 'ann'") as refused:
            await online(url, "bo", tls=client_side("ann"))
        assert refused.value.code == "forbidden"


@on_loop
async def test_certificate_without_a_name() -> None:
    """A certificate without a common name is good for no name at all."""
    async with tls_server(server_side()) as (_, url):
        with pytest.raises(Refused):
            await online(url, "someone@example.org", tls=client_side(""))


@pytest.mark.parametrize("shown", [None, "ann"])
@on_loop
async def test_certificate_that_is_not_trusted(shown: str | None) -> None:
    """Without a certificate, or with one of another authority, nobody comes in, and the server goes on."""
    async with tls_server(server_side()) as (_, url):
        with pytest.raises((CannotConnect, Lost), match=r"certificate .--tls-cert FILE, or tls="):
            await online(url, "ann", tls=client_side(shown, trustme.CA()))
        assert await online(url, "ann", tls=client_side("ann")) == ["ann"]


@on_loop
async def test_neighbours_begin_together() -> None:
    """IPv6 addresses of one /64 have together as many connections that are about TLS as one address may (FLOW-13)."""
    with neighbours() as (here, there):
        server = Server(Service(Hub(), [load("json")]), per_address=1)
        _, port = await server.listen("::1", 0, tls=server_side())
        _, first = await asyncio.open_connection("::1", port, local_addr=(here, 0))
        reader, second = await asyncio.open_connection("::1", port, local_addr=(there, 0))
        assert await reader.read() == b""
        first.close()
        second.close()
        await server.close()


@on_loop
async def test_another_authority() -> None:
    """A function as `tls` gives the context of each new connection, so an authority can be taken away, sessions included."""
    other = trustme.CA()
    contexts = [server_side()]
    async with tls_server(lambda: contexts[-1]) as (_, url):
        ann = client_side("ann")
        async with connect(url, "ann", tls=ann) as before:
            session = await resumable(url, ann)
            assert session is not None
            contexts.append(server_side(trusted=other))
            assert await online(url, "bo", client_side("bo", other)) == ["ann", "bo"]
            with pytest.raises((CannotConnect, Lost), match=r"certificate .--tls-cert FILE, or tls="):
                await online(url, "cy", client_side("cy"))
            assert await resumable(url, ann, session) is None
            assert await before.list_conversations() == {}


@on_loop
async def test_no_context(caplog: pytest.LogCaptureFixture) -> None:
    """A connection for which there is no context is closed, as the log says, and keeps none from being made later."""
    contexts: list[ssl.SSLContext] = []
    async with tls_server(lambda: contexts[-1]) as (server, url):
        server.links.per_address = 1
        with pytest.raises(CannotConnect, match="no TLS"):
            await dial(url, tls=client_side())
        assert "IndexError" in caplog.text
        contexts.append(server_side(demanding=False))
        async with connect(url, "ann", tls=client_side()) as ann:
            assert list(ann.view.online) == ["ann"]


@on_loop
async def test_context_of_another_kind(caplog: pytest.LogCaptureFixture) -> None:
    """What a function gives in place of a context for servers is like none at all: the connection is closed, as the log says."""
    contexts: list[ssl.SSLContext] = [client_side(), cast(ssl.SSLContext, None)]
    async with tls_server(lambda: contexts.pop()) as (server, url):
        server.links.per_address = 1
        for found in ("None", "PROTOCOL_TLS_CLIENT"):
            with pytest.raises(CannotConnect, match="no TLS"):
                await dial(url, tls=client_side())
            assert found in caplog.text
        contexts.append(server_side(demanding=False))
        async with connect(url, "ann", tls=client_side()) as ann:
            assert list(ann.view.online) == ["ann"]


@pytest.mark.parametrize("tls", [client_side(), cast(ssl.SSLContext, "server.pem")])
@on_loop
async def test_no_context_for_servers(tls: ssl.SSLContext) -> None:
    """Who gives what can let in nobody, such as a context for clients, is told so before anybody connects."""
    with pytest.raises(UsageError, match="CLIENT_AUTH"):
        async with tls_server(tls):
            pass


@on_loop
async def test_no_time_to_linger() -> None:
    """A server that waits for no peer's end (CONN-22) speaks TLS as any other."""
    service = Service(Hub(Policy(settle=0.02)), load_all(), bounds=Bounds(linger=0.0))
    server = Server(service)
    _, port = await server.listen("127.0.0.1", 0, tls=server_side(demanding=False))
    async with connect(f"tls://localhost:{port}", "ann", tls=client_side()) as ann:
        assert list(ann.view.online) == ["ann"]
    await server.close()


@pytest.mark.parametrize(
    ("subject", "name"),
    [
        ([[("commonName", "ann")]], "ann"),
        ([[("organizationName", "x")], [("commonName", "ann")]], "ann"),
        ([[("commonName", "ann")], [("commonName", "bo")]], ""),
        ([], ""),
    ],
)
def test_common_name(subject: list[list[tuple[str, str]]], name: str) -> None:
    """A certificate names a user if it has one common name; with several or none it names nobody."""
    assert certified_name({"subject": subject}) == name
    assert certified_name({}) is None
    assert certified_name(None) is None


@on_loop
async def test_untrusted_server() -> None:
    """A client does not talk to a server whose certificate it does not trust, and says so."""
    async with tls_server(server_side(demanding=False)) as (_, url):
        with pytest.raises(
            CannotConnect, match=r"certificate of tls://localhost:.* is not trusted .*--ca FILE, or tls="
        ):
            await online(url, "ann")


@on_loop
@pytest.mark.parametrize(
    ("begins", "ends", "why"), [(-2, -1, "certificate has expired"), (1, 2, "certificate is not yet valid")]
)
async def test_certificate_out_of_its_time(begins: int, ends: int, why: str) -> None:
    """Of a server whose certificate is not valid at this time a client says that, and nothing of addresses and trust."""
    now = datetime.now(UTC)
    certificate = CA.issue_cert(
        "localhost", not_before=now + timedelta(begins), not_after=now + timedelta(ends)
    )
    async with tls_server(show(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), certificate)) as (_, url):
        with pytest.raises(CannotConnect, match=f"{why}.* needs a new one, unless the clock here") as told:
            await online(url, "ann", tls=client_side())
    assert "trust" not in str(told.value)


@on_loop
@pytest.mark.parametrize("end", [b"", b"GOODBYE\n"])
async def test_last_words(end: bytes) -> None:
    """What a client has asked for just before its end of TLS is still answered (CONN-22)."""
    async with tls_server(server_side(demanding=False)) as (_, url):
        words = b"REGISTER ann x\n" + b"LIST_CONVERSATIONS\n" * 200 + end
        client = await asyncio.to_thread(Ending, url)
        client.end(words)
        heard = await asyncio.to_thread(client.rest)
        assert heard.splitlines()[1:] == [b"CONVERSATIONS"] * 200


@on_loop
async def test_many_last_words() -> None:
    """However many end TLS at once with much to be handled, all that the loop does is done between their turns (FLOW-5)."""
    loop = asyncio.get_running_loop()
    turns = [0]  # in each turn of the loop

    class Counting(Service):
        def turn(self, now: float) -> list[Peer]:
            turns[-1] += 1
            return super().turn(now)

    def tick() -> None:
        turns.append(0)
        loop.call_soon(tick)

    server = Server(Counting(Hub(), [load("ascii")]))
    _, port = await server.listen("127.0.0.1", 0, tls=server_side(demanding=False))
    clients = [await asyncio.to_thread(Ending, f"tls://localhost:{port}") for _ in range(20)]
    tick()
    for number, client in enumerate(clients):
        client.end(b"REGISTER ann%d x\n" % number + b"STATUS x\n" * 300)
    await asyncio.gather(*(asyncio.to_thread(client.rest) for client in clients))
    assert max(turns) <= 5
    await server.close()


@on_loop
async def test_plain_words_to_tls() -> None:
    """What is no TLS, or TLS to a plain port, ends the connection, and others are served."""
    async with tls_server(server_side(demanding=False)) as (server, url):
        with pytest.raises(Lost):
            await online(url.replace("tls://", "tcp://"), "ann")
        _, port = await server.listen("127.0.0.1", 0)
        with pytest.raises(CannotConnect, match="no TLS"):
            await online(f"tls://127.0.0.1:{port}", "ann", tls=client_side())
        assert await online(url, "ann", tls=client_side()) == ["ann"]


@on_loop
@pytest.mark.parametrize("url", ["tcp://localhost:1", "localhost:1", "unix:/nowhere"])
async def test_certificates_where_there_is_no_tls(url: str) -> None:
    """Who gives a context at a URL without TLS is told so, and nothing is said in the clear."""
    with pytest.raises(UsageError, match="there is no TLS"):
        await dial(url, tls=client_side())
    with pytest.raises(UsageError, match="there is no TLS"):
        threads.dial(url, tls=client_side())
    with pytest.raises(UsageError, match="there is no TLS"):
        await websocket.dial("ws://localhost:1", tls=client_side())


@on_loop
async def test_end_in_several_ways_at_once() -> None:
    """A connection of which the server learns in one turn, in several ways, that it is over is closed as any other."""
    made: list[StreamLink] = []

    def link() -> StreamLink:
        made.append(StreamLink(server))
        return made[-1]

    async with tls_server(server_side(demanding=False)) as (server, _):
        _, port = await server.listen("127.0.0.1", 0, tls=server_side(demanding=False), link=link)
        async with connect(f"tls://localhost:{port}", "ann", tls=client_side()) as ann:
            for _ in range(3):
                made[0].broken()
            server.wake()
            with pytest.raises(Lost):
                async for _ in ann:
                    pass
    assert made[0].phase is Phase.OVER
