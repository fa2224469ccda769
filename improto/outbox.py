"""What waits to be written to one peer.

A peer that reads slowly must neither delay others nor cost memory without bound.  What may be done about it
differs by message, and the message table says how: a waiting *snapshot* is superseded by the next one, a
*reply* and an *event* are never dropped, and too many waiting events mean that the connection has to go.
"""

from improto.messages import Delivery

__all__ = ["Outbox"]


class Outbox:
    """A queue of encoded messages in the order in which they are to be written."""

    __slots__ = ("_counted", "_others", "_size", "_snapshot", "blocked", "pieces")

    def __init__(self) -> None:
        """Begin empty."""
        self.pieces: list[bytes] = []
        """What waits.  An event may as well be appended here: `put` does no more for it, and is called less often."""
        self.blocked = False
        """Whether nothing can be written for now: then all stays here, so that a snapshot may still be superseded."""
        self._snapshot: int | None = None  # where the waiting snapshot stands: there is at most one
        self._others = 0  # bytes of what is no event
        self._counted = 0  # so many pieces are counted in `_size`: the rest is when somebody asks
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes that wait."""
        if self._counted < len(self.pieces):
            self._size += sum(map(len, self.pieces[self._counted :]))
            self._counted = len(self.pieces)
        return self._size

    @property
    def events(self) -> int:
        """Bytes of events among them."""
        return self.size - self._others

    def put(self, data: bytes, delivery: Delivery) -> None:
        """Append an encoded message; a snapshot takes the place of the one that waits."""
        if delivery is Delivery.SNAPSHOT:
            if self._snapshot is not None:
                self._remove(self._snapshot)
            self._snapshot = len(self.pieces)
        if delivery is not Delivery.EVENT:
            self._others += len(data)
        self.pieces.append(data)

    def _remove(self, at: int) -> None:
        size = self.size - len(self.pieces[at])
        self._others -= len(self.pieces.pop(at))
        self._size, self._counted = size, len(self.pieces)

    def take(self) -> list[bytes]:
        """Take what is to be written now: messages, encoded and framed, in this order."""
        if self.blocked:
            return []
        pieces, self.pieces = self.pieces, []
        if self._counted or self._others:  # of events alone nothing was noted
            self._snapshot = None
            self._others = self._counted = self._size = 0
        return pieces
