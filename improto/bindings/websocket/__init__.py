"""WebSocket on asyncio: `listen` lets an asyncio `Server` accept it, too; `connect` gives a client's `Session`.

This needs the package `websockets`, and uses its part without I/O: HTTP and the frames.
"""

try:
    from improto.bindings.websocket.client import connect, dial
except ImportError as error:
    raise ImportError("WebSocket needs the package websockets; pip install 'improto[websocket]'") from error
from improto.bindings.websocket.framing import subprotocol
from improto.bindings.websocket.pages import chat_page
from improto.bindings.websocket.server import listen

__all__ = ["chat_page", "connect", "dial", "listen", "subprotocol"]
