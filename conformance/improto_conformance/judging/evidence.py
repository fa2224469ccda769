"""What proves a violation by itself, in whatever order the requests took effect."""

from collections.abc import Iterator, Sequence

from improto.limits import Limits
from improto.messages import ERROR_TEXT, Error, Invitation, Join, Message, OnlineUsers, Register, SendMessage
from improto_conformance.judging.asked import Hearing
from improto_conformance.judging.scope import Scope
from improto_conformance.transcripts.complaints import Complaint, brief

__all__ = ["evidence", "unsaid"]


def evidence(hearings: Sequence[Hearing], limits: Limits) -> Iterator[Complaint]:
    """Complain about each item that no server may ever send."""
    for one in hearings:
        names = {asked.item.username for asked in one.asked if isinstance(asked.item, Register)}
        for each in one.heard:
            match each.item:
                case str(text):
                    yield Complaint(
                        "CODEC-7", f"{one.party} received what is no message of a server: {text}", each.index
                    )
                case Error(message) as error:
                    if error.code is None:
                        text = f"{one.party} received an ERROR without a code: {message!a}"
                        yield Complaint("ERROR-2", text, each.index)
                    if len(message) > ERROR_TEXT:
                        text = f"{one.party} received an ERROR of {len(message)} code points"
                        yield Complaint("LIMIT-16", text, each.index)
                case Invitation(id) if limits.complaint(Join(id)) is not None:
                    text = f"{one.party} received the id {id!a}, which is out of bounds"
                    yield Complaint("CONV-4", text, each.index)
                case None:
                    pass
                case _ if not names:
                    text = f"{one.party} received something else than ERROR before it registered"
                    yield Complaint("CONN-16", text, each.index)
                case OnlineUsers(users) if names.isdisjoint(users):
                    yield Complaint("PRESENCE-3", f"{one.party} received a roster without itself", each.index)
                case _:
                    pass


def unsaid(hearings: Sequence[Hearing], scope: Scope) -> Iterator[Complaint]:
    """Complain about each message that nobody had sent by then, or that came more often than it was sent.

    This needs no search, so it works even where there are too many orders to try.
    """
    asked = [each for one in hearings for each in one.asked]
    names = {each.item.username for each in asked if isinstance(each.item, Register)}
    for one in hearings:
        came: list[Message] = []
        for each in one.heard:
            match each.item:
                case Message(id, sender, text) as got if sender in names and id in scope.announced:
                    came.append(got)
                    said = SendMessage(id, text)
                    times = sum(before.index < each.index and before.item == said for before in asked)
                    found = f"{one.party} received {brief(got)}, which "
                    if not times:
                        yield Complaint("MESSAGE-4", f"{found}nobody had said", each.index)
                    elif times < came.count(got):
                        yield Complaint("MESSAGE-6", f"{found}was said {times} times", each.index)
                case _:
                    pass
