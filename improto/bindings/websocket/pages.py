"""The web page on which people talk in a browser: some files, which a server serves beside its WebSocket."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Final

from websockets.datastructures import Headers
from websockets.http11 import Response

__all__ = ["chat_page"]

_TYPES: Final = {
    "index.html": "text/html; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "client.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
# So the page loads nothing from elsewhere, and runs no script that peers manage to write into it.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def chat_page() -> Mapping[str, Response]:
    """Give the files of the page, each by the path at which `listen` is to serve it; the page itself is at `/`."""
    folder = files("improto.bindings.websocket").joinpath("page")
    found = {f"/{name}": _response(folder.joinpath(name).read_bytes(), kind) for name, kind in _TYPES.items()}
    return {"/": found.pop("/index.html"), **found}


def _response(body: bytes, kind: str) -> Response:
    headers = {
        "Content-Type": kind,
        "Content-Length": str(len(body)),
        "Content-Security-Policy": _POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-cache",
        "Connection": "close",
    }
    return Response(200, "OK", Headers(headers), body)
