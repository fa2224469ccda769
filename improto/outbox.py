"""What waits to be written to one peer.

A peer that reads slowly must neither delay others nor cost memory without bound.  What may be done about it
differs by message, and the message table says how: a waiting *snapshot* is superseded by the next one, a
*reply* and an *event* are never dropped, and too many waiting events mean that the connection has to go.
"""

from improto.messages import Delivery

__all__ = ["Outbox"]


class Outbox:
    """A queue of encoded messages in the order in which they are to be written."""

    __slots__ = ("_pieces", "_snapshot", "events", "size")

    def __init__(self) -> None:
        """Begin empty."""
        self._pieces: list[bytes] = []
        self._snapshot: int | None = None  # where the waiting snapshot stands: there is at most one
        self.size = 0
        """Bytes that wait."""
        self.events = 0
        """Bytes of events among them."""

    def put(self, data: bytes, delivery: Delivery) -> None:
        """Append an encoded message; a snapshot takes the place of the one that waits."""
        if delivery is Delivery.SNAPSHOT:
            if self._snapshot is not None:
                self.size -= len(self._pieces.pop(self._snapshot))
            self._snapshot = len(self._pieces)
        elif delivery is Delivery.EVENT:
            self.events += len(data)
        self._pieces.append(data)
        self.size += len(data)

    def take(self) -> list[bytes]:
        """Take everything out; it is the caller's to write, in this order."""
        pieces, self._pieces = self._pieces, []
        self._snapshot = None
        self.size = self.events = 0
        return pieces
