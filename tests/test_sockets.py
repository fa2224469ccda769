"""Tests of the paths at which Unix sockets are: where none can be, and where something of others is."""

import errno
import fcntl
import os
import socket
from pathlib import Path

import pytest

from improto.bindings import asyncio, threads
from improto.bindings.sockets import file_id, free_path, remove_socket, system_reason, unix_listener
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


@on_loop
async def test_closing_again(tmp_path: Path) -> None:
    """A server that is closed twice removes its path once: the next one's socket may have the same id."""
    path, kept = tmp_path / "socket", tmp_path / "kept"
    server = asyncio.Server(Service(Hub(), [load("pickle")]))
    await server.listen_unix(str(path))
    kept.hardlink_to(path)
    await server.close()
    kept.rename(path)
    await server.close()
    assert path.exists()


def test_closing_again_with_threads(tmp_path: Path) -> None:
    """With threads, too."""
    path, kept = tmp_path / "socket", tmp_path / "kept"
    server = threads.Server(Service(Hub(), [load("pickle")]))
    server.listen_unix(str(path))
    kept.hardlink_to(path)
    server.close()
    kept.rename(path)
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


class Other:
    """Another server, which listens at a path just before this process makes a certain call for the first time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, path: Path, owner: object, call: str) -> None:
        """Lie in wait."""
        self.listener: socket.socket | None = None
        self.error: int | None = None
        real = getattr(owner, call)

        def come(*args: object) -> None:
            monkeypatch.undo()
            try:
                self.listener = unix_listener(str(path))
            except OSError as error:
                self.error = error.errno
            real(*args)

        monkeypatch.setattr(owner, call, come)


@pytest.mark.parametrize(
    ("owner", "call"), [(os, "unlink"), (socket.socket, "bind"), (socket.socket, "listen")]
)
def test_two_take_one_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, owner: object, call: str) -> None:
    """Of two servers that find a socket that was left behind, one listens in its place, and the other one is told so."""
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    other = Other(monkeypatch, path, owner, call)
    with unix_listener(str(path)), socket.socket(socket.AF_UNIX) as client:
        assert (other.listener, other.error) == (None, errno.EADDRINUSE)
        client.connect(str(path))
    assert os.listdir(tmp_path) == ["socket"]


def test_path_that_is_taken_from_one_that_ends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A server that ends does not remove the socket of one that comes just then."""
    path = tmp_path / "socket"
    with unix_listener(str(path)):
        made = file_id(str(path))
    other = Other(monkeypatch, path, os, "unlink")
    remove_socket(str(path), made)
    assert (other.listener, other.error) == (None, errno.EADDRINUSE)
    assert os.listdir(tmp_path) == []


def test_lock_that_was_left_behind(tmp_path: Path) -> None:
    """The lock of a server that was killed while it took a path is in nobody's way."""
    (tmp_path / "socket.improto-lock").touch()
    with unix_listener(str(tmp_path / "socket")):
        assert os.listdir(tmp_path) == ["socket"]


def test_lock_that_is_just_removed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever gets a lock whose file is gone does not count on it, since others take a new one."""
    real = fcntl.flock

    def late(lock: int, operation: int) -> None:
        (tmp_path / "socket.improto-lock").unlink()
        real(lock, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(OSError, match="in use"):
        unix_listener(str(tmp_path / "socket"))
    assert os.listdir(tmp_path) == []
