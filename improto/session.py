"""One client's end of one connection, without I/O: what `service.Service` is for servers.

A `Session` puts the bytes (`wire.Connection`) and what the user knows (`client.Client`) together.  Requests go in and
their bytes come out; bytes go in, and what the user is to be told comes out:

    session = Session(codec, now)

    session.request(request, now)    → the bytes to write; UsageError, and nothing is changed, if it may not be sent
    session.feed(data)               bytes arrived, cut into pieces of any size
    session.next(now)                → a Response, or a Fault, or None when more bytes are needed
    session.close()                  the connection has ended, or is to end without another word

A Fault is something that the server sent and that makes no sense; after one that is `fatal` the binding closes the
connection.  `view` is what the user knows by then.  Bindings bring the bytes and the time.
"""

from typing import cast

from improto.client import Client
from improto.codec import Codec
from improto.errors import UsageError
from improto.messages import Code, Request, Response, Role
from improto.states import State
from improto.wire import Connection, Fault

__all__ = ["Session"]


class Session:
    """One client's end.  See the module's text for the order of calls."""

    def __init__(self, codec: Codec, now: float) -> None:
        """Begin with nobody registered."""
        self._wire = Connection(Role.CLIENT, [codec])
        self.view = Client(now)

    @property
    def state(self) -> State:
        """The state of the connection."""
        return self._wire.state

    def request(self, request: Request, now: float) -> bytes:
        """Give the bytes of a request that is sent now.  UsageError, and nothing is changed, if it may not be sent."""
        objection = self.view.objection(request)
        if objection is not None:
            raise UsageError(objection)
        data = self._wire.encode(request)
        self._wire.sent(request)
        self.view.sent(request, now)
        return data

    def feed(self, data: bytes) -> None:
        """Store bytes that arrived."""
        self._wire.feed(data)

    def next(self, now: float) -> Response | Fault | None:
        """Take the next message that arrived.  One that makes no sense becomes a Fault that is not fatal (CLIENT-19)."""
        item = self._wire.next(now)
        if item is None or isinstance(item, Fault):
            return item
        response = cast(Response, item)  # the wire of a client gives no requests
        nonsense = self.view.received(response, now)
        return response if nonsense is None else Fault(Code.INVALID, nonsense, fatal=False)

    def close(self) -> None:
        """Note that the connection has ended, or is to end."""
        self._wire.close()
