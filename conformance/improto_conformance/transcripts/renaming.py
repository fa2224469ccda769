"""Adapts a transcript to another run: other conversation ids, other ends of usernames, another codec."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from improto.codec import Codec, load
from improto.errors import DecodeError, UsageError
from improto.messages import (
    AnyMessage,
    Invitation,
    Invite,
    Join,
    Leave,
    Message,
    OnlineUsers,
    Register,
    Role,
    SendMessage,
)
from improto_conformance.transcripts.transcript import Entry, Event, Transcript

__all__ = ["Names", "Piece", "pieces", "translated"]

_LIMIT: Final = 16 * 1024 * 1024
_PARTS: Final = 100  # of one message that are put together


def translated(old: Transcript, codec: str) -> Transcript:
    """Give the transcript in another codec; UsageError if what the parties sent makes sense only in their own codec."""
    entries: list[Entry] = []
    for entry in old.entries:
        if entry.event is not Event.RAW or old.codecs.get(entry.party) == codec:
            entries.append(entry)
            continue
        messages = _read(entry.data, load(old.codecs.get(entry.party) or codec))
        if messages is None:
            raise UsageError(
                f"{entry.party} sent bytes that are no whole messages: replay it without --codec {codec}"
            )
        entries += [Entry(entry.party, Event.SENT, message, entry.time) for message in messages]
    spoken = dict.fromkeys(old.codecs, codec)
    plain = [replace(entry, data=b"") if entry.event is Event.SENT else entry for entry in entries]
    return replace(old, entries=plain, codecs=spoken)


def _read(data: bytes, codec: Codec) -> list[AnyMessage] | None:
    """Split bytes into whole messages of a client; None if that is not possible."""
    reader, messages = codec.reader(Role.CLIENT), list[AnyMessage]()
    reader.feed(data)
    behind = len(data)
    try:
        while (message := reader.next(_LIMIT)) is not None:
            messages.append(message)
            behind = reader.behind
    except DecodeError:
        return None
    return messages if messages and not behind else None


class Piece(NamedTuple):
    """A part of messages that were sent as bytes."""

    whole: bytes
    """All that the messages are."""
    start: int
    """How many bytes of that come from where the part begins …"""
    behind: int
    """… and from where it ends."""


def pieces(seen: Transcript) -> dict[int, Piece]:
    """Give for the entries of bytes that are, or together are, whole messages, what they are a part of."""
    found: dict[int, Piece] = {}
    parts: dict[str, list[tuple[int, bytes]]] = {}
    for index, entry in enumerate(seen.entries):
        if entry.event is Event.SENT:
            parts.pop(entry.party, None)
        if entry.event is not Event.RAW:
            continue
        mine = parts.setdefault(entry.party, [])
        mine.append((index, entry.data))
        whole = b"".join(data for _, data in mine)
        if len(mine) > _PARTS or _read(whole, load(seen.codecs.get(entry.party) or "json")) is None:
            continue
        rest = len(whole)
        for place, data in parts.pop(entry.party):
            found[place] = Piece(whole, rest, rest - len(data))
            rest -= len(data)
    return found


class Names:
    """The names and ids that those of a transcript have in another run."""

    def __init__(self, old: str, new: str) -> None:
        """Replace one end of usernames by another one."""
        self._old, self._new = old, new
        self._ids: dict[str, str] = {}

    def may_be(self, old: str, new: str) -> bool:
        """Tell whether two ids may belong to the same conversation."""
        return self._ids[old] == new if old in self._ids else new not in self._ids.values()

    def bind(self, old: str, new: str) -> None:
        """Note that two ids belong to the same conversation."""
        self._ids[old] = new

    def user(self, name: str) -> str:
        """Give a username."""
        return name.removesuffix(self._old) + self._new if self._old and name.endswith(self._old) else name

    def id(self, id: str) -> str:
        """Give the id of a conversation."""
        return self._ids.get(id, id)

    def message(self, message: AnyMessage) -> AnyMessage:
        """Give a message."""
        match message:
            case Register(username):
                return replace(message, username=self.user(username))
            case Invite(users):
                return Invite(tuple(map(self.user, users)))
            case Join(id) | Leave(id) | SendMessage(id):
                return replace(message, conversation=self.id(id))
            case Invitation(id, source):
                return Invitation(self.id(id), self.user(source))
            case Message(id, sender):
                return replace(message, conversation=self.id(id), sender=self.user(sender))
            case OnlineUsers(users):
                return OnlineUsers({self.user(name): status for name, status in users.items()})
            case _:
                return message

    def written(self, entry: Entry, codec: Codec, piece: Piece | None = None) -> bytes:
        """Give what was sent, in the form in which it was sent as far as that can be kept."""
        renamed = entry.data.replace(self._old.encode(), self._new.encode()) if self._old else entry.data
        if isinstance(entry.item, bytes):
            messages = None if piece is None else _read(piece.whole, codec)
            if piece is None or messages is None or self._plain(messages, codec) != piece.whole:
                return renamed
            new = self._plain([self.message(each) for each in messages], codec)
            start = 0 if piece.start == len(piece.whole) else max(0, len(new) - piece.start)
            return new[start : len(new) - piece.behind]
        assert not isinstance(entry.item, str)
        wanted = self.message(entry.item)
        return renamed if _read(renamed, codec) == [wanted] else self._plain([wanted], codec)

    def _plain(self, messages: Sequence[AnyMessage], codec: Codec) -> bytes:
        return b"".join(codec.frame(codec.encode(message)) for message in messages)
