"""Transcripts that are written by hand, as scripts of one line each, and how some scripts begin."""

from typing import Final

from improto.messages import (
    AnyMessage,
    Conversations,
    Error,
    Goodbye,
    Invitation,
    Invite,
    Join,
    Leave,
    ListConversations,
    Message,
    OnlineUsers,
    Register,
    SendMessage,
    Status,
)
from improto_conformance.transcripts.transcript import Entry, Event, Transcript

__all__ = ["ANN", "BO", "CY", "JOINED", "STAY", "TALK", "seen"]

ANN: Final = "ann > REGISTER ann x; ann < ROSTER ann=x;"
BO: Final = "bo > REGISTER bo x; bo < ROSTER ann=x bo=x;"
CY: Final = "cy > REGISTER cy x; cy < ROSTER ann=x bo=x cy=x;"
TALK: Final = ANN + BO + "ann > INVITE bo; ann < INVITATION 1 ann; bo < INVITATION 1 ann;"
# Each ends with a barrier of all, so that nobody can have gone unseen before it.
JOINED: Final = (
    TALK + "ann > JOIN 1; ann > LIST; ann < LISTED 1=ann; bo > JOIN 1; bo > LIST; bo < LISTED 1=ann,bo;"
)
STAY: Final = "ann > LIST; ann < LISTED 1=ann,bo; bo > LIST; bo < LISTED 1=ann,bo;"


def _item(words: list[str]) -> AnyMessage:
    """Read a message; `_` stands for an empty text, commas part names, and = the sides of a map."""
    command, rest = words[0], ["" if word == "_" else word for word in words[1:]]
    pairs = dict(word.split("=") for word in rest if "=" in word)
    match command:
        case "REGISTER":
            return Register(rest[0], rest[1])
        case "STATUS":
            return Status(rest[0])
        case "INVITE":
            return Invite(tuple(rest))
        case "JOIN":
            return Join(rest[0])
        case "LEAVE":
            return Leave(rest[0])
        case "SEND":
            return SendMessage(rest[0], rest[1])
        case "LIST":
            return ListConversations()
        case "GOODBYE":
            return Goodbye()
        case "ROSTER":
            return OnlineUsers(pairs)
        case "LISTED":
            return Conversations({id: tuple(filter(None, who.split(","))) for id, who in pairs.items()})
        case "INVITATION":
            return Invitation(rest[0], rest[1])
        case "MESSAGE":
            return Message(rest[0], rest[1], rest[2])
        case _:
            return Error(f"{rest[0]}: ")


def seen(script: str) -> Transcript:
    """Make a transcript, in which `;` parts lines and all are in ascii.

    `ann > REQUEST`, `ann ! bytes`, `ann /` for half-closed, `ann x` for reset, `ann < RESPONSE`, `ann |` for closed.
    """
    entries = list[Entry]()
    for line in filter(None, map(str.strip, script.replace("\n", ";").split(";"))):
        party, arrow, *words = line.split()
        match arrow:
            case ">":
                entries.append(Entry(party, Event.SENT, _item(words)))
            case "<":
                entries.append(Entry(party, Event.RECEIVED, _item(words)))
            case "!":
                data = line.partition("! ")[2].replace("\\n", "\n").encode()
                entries.append(Entry(party, Event.RAW, data, data=data))
            case "/":
                entries.append(Entry(party, Event.HALF_CLOSED))
            case "x":
                entries.append(Entry(party, Event.RESET))
            case _:
                entries.append(Entry(party, Event.CLOSED, "closed"))
    return Transcript("", entries, {entry.party: "ascii" for entry in entries})
