"""Tests of servers and clients on uvloop, whose timers and transports differ from those of asyncio in small things."""

import asyncio
import socket
import ssl
from contextlib import suppress
from functools import partial

import pytest
import uvloop

import serving
from certificates import client_side, server_side
from improto.bindings.asyncio import connect
from improto.messages import Invitation
from improto.service import Bounds
from loops import on_loop, upto

on_uvloop = partial(on_loop, factory=uvloop.new_event_loop)


async def turns(count: int) -> None:
    """Let the loop have some turns."""
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.parametrize("count", range(8))
@on_uvloop
async def test_close_with_work_left(count: int) -> None:
    """A server is closed whatever it has to do, also between a turn and the next one that is due at once."""
    async with serving.on_asyncio(Bounds(batch=1, linger=0.2)) as (server, port):
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"REGISTER ann x\n" + b"LIST_CONVERSATIONS\n" * 100)
            while not server.service.hub.online:
                await turns(1)
            await turns(count)
            await server.close()


@pytest.mark.parametrize("count", range(8))
@on_uvloop
async def test_close_while_somebody_connects(count: int) -> None:
    """A server is closed however far the connection has come that was accepted last."""
    async with serving.on_asyncio() as (server, port):
        with socket.create_connection(("127.0.0.1", port)):
            await turns(count)
            await server.close()


def end_behind_much(listener: socket.socket) -> None:
    """Serve one client behind TLS: with much that ends in an INVITATION, and with the end together with that."""
    accepted, _ = listener.accept()
    with server_side(demanding=False).wrap_socket(accepted, server_side=True) as secure:
        secure.recv(9999)
        roster = b'{"type":"ONLINE_USERS","users":{"ann":""}}\n'
        error = b'{"type":"ERROR","message":"a: %s"}\n' % (1000 * b"x")
        secure.sendall(roster + 800 * error + b'{"type":"INVITATION","conversation":"1","source":"bo"}\n')
        secure.setblocking(False)
        with suppress(ssl.SSLError):  # the client has not said that it closes
            secure.unwrap()
        socket.socket.shutdown(secure, socket.SHUT_WR)
        secure.setblocking(True)
        while socket.socket.recv(secure, 9999):
            pass


@on_uvloop
async def test_end_behind_much_on_tls() -> None:
    """A client behind TLS gets all of almost a megabyte that has come together with the server's end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving_one = asyncio.create_task(asyncio.to_thread(end_behind_much, listener))
        url = f"tls://localhost:{listener.getsockname()[1]}"
        async with connect(url, "ann", codec="json", tls=client_side()) as ann:
            assert (await upto(ann, Invitation)).source == "bo"
        await serving_one
