"""Tests of the server on uvloop, whose timers and transports differ from those of asyncio in small things."""

import asyncio
import socket
from functools import partial

import pytest
import uvloop

import serving
from improto.service import Bounds
from loops import on_loop

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
