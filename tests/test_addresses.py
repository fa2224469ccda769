"""Tests of `improto.addresses`."""

import pytest

from improto.addresses import Address, parse_address
from improto.errors import UsageError


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("tcp://localhost", "tcp://localhost:6666"),
        ("tcp://localhost:7", "tcp://localhost:7"),
        ("tcp://localhost:7/", "tcp://localhost:7"),
        ("localhost:7", "tcp://localhost:7"),
        ("127.0.0.1", "tcp://127.0.0.1:6666"),
        ("tcp://[::1]:7", "tcp://[::1]:7"),
        ("TLS://h", "tls://h:6666"),
        ("tls://h:7", "tls://h:7"),
        ("unix:/run/a b", "unix:/run/a b"),
        ("unix:a", "unix:a"),
    ],
)
def test_address(url: str, expected: str) -> None:
    """The scheme and the port of an address may be left out; written out, it means the same."""
    assert str(parse_address(url)) == expected
    assert parse_address(expected) == parse_address(url)


def test_parts() -> None:
    """An address holds what a socket needs."""
    assert parse_address("tls://[::1]:7") == Address("tls", "::1", 7)
    assert parse_address("unix:/a") == Address("unix", path="/a")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "tcp://",
        "http://localhost",
        "tcp://h:0",
        "tcp://h:x",
        "tcp://h:99999",
        "tcp://h/x",
        "me@h",
        "a..b",
        "unix:",
        "unix:\0a",
        "tls://",
    ],
)
def test_no_address(url: str) -> None:
    """What is no address is refused with an example of one."""
    with pytest.raises(UsageError, match="tcp://localhost"):
        parse_address(url)


@pytest.mark.parametrize("url", ["ws://h", "wss://h:7/chat"])
def test_websocket(url: str) -> None:
    """Whoever gives the URL of a WebSocket is told what takes it."""
    with pytest.raises(UsageError, match=r"improto\.bindings\.websocket\.connect"):
        parse_address(url)
