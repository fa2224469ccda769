"""Tests of the files of the page for browsers, as a server with WebSocket gives them out."""

import pytest
from websockets.http11 import Request

import serving
from frames import connected, request
from improto.bindings import websocket
from loops import on_loop


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/?from=somewhere", "text/html; charset=utf-8"),
        ("/page.js", "text/javascript; charset=utf-8"),
        ("/client.js", "text/javascript; charset=utf-8"),
        ("/page.css", "text/css; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
    ],
)
@on_loop
async def test_page(path: str, kind: str) -> None:
    """Browsers get the page's files on the same port, with headers that let nothing of others run in it."""
    data = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    async with serving.on_websocket(page=websocket.chat_page()) as (_, port), connected(port, data) as client:
        status, headers = await client.head()
        assert status == "HTTP/1.1 200 OK"
        assert headers["content-type"] == kind
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'; ")
        assert "unsafe" not in headers["content-security-policy"]
        assert len(await client.rest()) == int(headers["content-length"]) > 100


@pytest.mark.parametrize(
    "path", ["/index.html", "/pages.py", "/../pages.py", "/page/page.js", "//", "*", "/%70age.js"]
)
@on_loop
async def test_no_such_page(path: str) -> None:
    """Nothing but those files is served, and WebSocket is at every path."""
    data = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    async with serving.on_websocket(page=websocket.chat_page()) as (_, port):
        async with connected(port, data) as client:
            assert (await client.head())[0] == "HTTP/1.1 404 Not Found"
        async with connected(port, request(path=path)) as client:
            assert (await client.head())[0] == "HTTP/1.1 101 Switching Protocols"


with_methods = pytest.mark.skipif(
    not hasattr(Request, "method"), reason="this version of websockets refuses every method but GET by itself"
)


@with_methods
@pytest.mark.parametrize("path", ["/", "/page.js", "/nothing"])
@on_loop
async def test_head(path: str) -> None:
    """HEAD gets what GET gets, without the body."""
    found: list[tuple[str, str]] = []
    async with serving.on_websocket(page=websocket.chat_page()) as (_, port):
        for method in ("GET", "HEAD"):
            data = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
            async with connected(port, data) as client:
                status, headers = await client.head()
                found.append((status, headers["content-length"]))
                assert len(await client.rest()) == (int(headers["content-length"]) if method == "GET" else 0)
    assert found[0] == found[1]


@with_methods
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
@on_loop
async def test_other_methods(method: str) -> None:
    """A page can only be read; who tries something else is told so."""
    data = f"{method} / HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    async with serving.on_websocket(page=websocket.chat_page()) as (_, port), connected(port, data) as client:
        status, headers = await client.head()
        assert status == "HTTP/1.1 405 Method Not Allowed"
        assert headers["allow"] == "GET, HEAD"


def test_page_is_small() -> None:
    """The page stays as small as it has been promised to be: under 500 lines, without a build."""
    assert sum(response.body.count(b"\n") for response in websocket.chat_page().values()) < 500
