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
        """What waits.  Events may be appended here directly, which is all that `put` does with them."""
        self.blocked = False
        """Whether nothing can be written for now.  Then all waits here, where a snapshot can still be replaced."""
        self._snapshot: int | None = None  # where the waiting snapshot stands: there is at most one
        self._others = 0  # bytes of what is no event
        self._counted = 0  # so many pieces are counted in `_size`: the rest is when somebody asks
        self._size = 0

    @property
    def size(self) -> int:
        """How many bytes wait."""
        if self._counted < len(self.pieces):
            self._size += sum(map(len, self.pieces[self._counted :]))
            self._counted = len(self.pieces)
        return self._size

    @property
    def events(self) -> int:
        """How many of them are bytes of events."""
        return self.size - self._others

    def put(self, data: bytes, delivery: Delivery) -> None:
        """Append an encoded message; if it is a snapshot, remove the one that waits (FLOW-3)."""
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
        """Take all that waits, unless it is `blocked`: encoded and framed messages, in the order of writing."""
        if self.blocked:
            return []
        pieces, self.pieces = self.pieces, []
        if self._counted or self._others:  # of events alone nothing was noted
            self._snapshot = None
            self._others = self._counted = self._size = 0
        return pieces
