"""Tests of the paths at which Unix sockets are: where none can be, and where something of others is."""

import socket
from pathlib import Path

import pytest

from improto.bindings import asyncio, threads
from improto.bindings.sockets import free_path, system_reason, unix_listener
from improto.codec import load
from improto.server import Hub
from improto.service import Service
from loops import on_loop


def test_path_that_cannot_be(tmp_path: Path) -> None:
    """Where no socket can be made, the error names its path."""
    path = str(tmp_path / "nowhere" / "socket")
    with pytest.raises(FileNotFoundError) as told:
        unix_listener(path)
    assert told.value.filename == path


def test_path_that_is_too_long(tmp_path: Path) -> None:
    """Of a path that is too long for the system, just that is told."""
    with pytest.raises(OSError, match="too long") as told:
        unix_listener(str(tmp_path / ("x" * 200)))
    assert system_reason(told.value) == "AF_UNIX path too long"


@on_loop
async def test_path_of_another_server(tmp_path: Path) -> None:
    """A server that ends leaves the socket alone that another one has put in the place of its own."""
    path = tmp_path / "socket"
    server = asyncio.Server(Service(Hub(), [load("pickle")]))
    await server.listen_unix(str(path))
    path.unlink()
    with unix_listener(str(path)):
        await server.close()
        assert path.exists()


def test_path_of_another_server_with_threads(tmp_path: Path) -> None:
    """With threads, too."""
    path = tmp_path / "socket"
    server = threads.Server(Service(Hub(), [load("pickle")]))
    server.listen_unix(str(path))
    path.unlink()
    with unix_listener(str(path)):
        server.close()
        assert path.exists()


def test_path_of_another_file(tmp_path: Path) -> None:
    """A file that is no socket is not removed to listen in its place."""
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(OSError, match="in use") as told:
        free_path(str(path))
    assert told.value.filename == str(path)
    assert path.exists()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "socket"))
    free_path(str(tmp_path / "socket"))
    assert not (tmp_path / "socket").exists()
