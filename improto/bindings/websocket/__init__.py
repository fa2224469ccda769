"""WebSocket on asyncio: `listen` has a `Server` accept it beside its other listeners, `connect` gives a client's `Session`.

It needs the package `websockets`, of which it uses the part without I/O: HTTP and the frames.
"""

from improto.bindings.websocket.client import connect, dial
from improto.bindings.websocket.framing import subprotocol
from improto.bindings.websocket.pages import chat_page
from improto.bindings.websocket.server import listen

__all__ = ["chat_page", "connect", "dial", "listen", "subprotocol"]
