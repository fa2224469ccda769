"""Tests of `improto.addresses`."""

import pytest

from improto.addresses import Address, check_origin, parse_address, subnet
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


@pytest.mark.parametrize(
    "origin",
    [
        "https://chat.example.org",
        "http://chat.example.org:8080",
        "https://chat.example.org:80",
        "http://127.0.0.1:8080",
        "http://[::1]:8080",
        "https://xn--mnchen-3ya.example",
        "https://my_chat.example",
        "chrome-extension://abcdefghijklmnop",
    ],
)
def test_origin(origin: str) -> None:
    """What browsers send as the origin of a page is one."""
    check_origin(origin)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "foo",
        "chat.example",
        "//chat.example",
        "https://",
        "https://chat.example/",
        "https://chat.example?",
        "https://chat.example\n",
        "https://me@chat.example",
        "https://Chat.example",
        "HTTPS://chat.example",
        "https://münchen.example",
        "https://*.chat.example",
        "https://chat.example:443",
        "http://chat.example:80",
        "https://chat.example:",
        "https://chat.example:08080",
        "https://chat.example:x",
        "http://[::1",
    ],
)
def test_no_origin(text: str) -> None:
    """What no browser sends as the origin of a page, or any page can have, is refused with an example of one."""
    with pytest.raises(UsageError, match=r"no origin; .* https://chat\.example\.org"):
        check_origin(text)


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("::1", "::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::FFFF:c000:201", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::/64"),
        ("uid 1000", "uid 1000"),
        ("local", "local"),
        ("", ""),
        ("1:2:3", "1:2:3"),
    ],
)
def test_subnet(address: str, counted: str) -> None:
    """Connections are counted by the /64 of an IPv6 address, and else by what they come from (FLOW-13)."""
    assert subnet(address) == counted
