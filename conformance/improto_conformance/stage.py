"""Where the parties of one check meet: makes them, and brings about the situations with which many checks begin."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, cast

from improto.codec import Codec
from improto.messages import Invitation, Invite, Join, Message, OnlineUsers, Register, SendMessage
from improto_conformance.links import Connect
from improto_conformance.party import DEFAULTS, Party, Waits
from improto_conformance.profile import Profile
from improto_conformance.transcript import Transcript

if TYPE_CHECKING:  # it needs a package that may not be installed
    from improto_conformance.websocket import Dialer

__all__ = ["Stage"]


class Stage:
    """One check's parties, transcript and clean-up."""

    def __init__(
        self,
        connect: Connect,
        codec: Codec,
        suffix: str,
        waits: Waits,
        profile: Profile | None = None,
        *,
        declared: bool = False,
    ) -> None:
        """Begin with nobody connected; usernames end in `suffix`.

        With `declared`, all is made by the profile; else it is Unfit to send what only its limits allow or forbid.
        """
        self.profile = profile or Profile()
        """What the server declares."""
        self._limits = DEFAULTS if declared else self.profile.limits
        self.codec = codec
        self.transcript = Transcript(suffix)
        self._connect = connect
        self._waits = waits
        self._stack = ExitStack()

    def connect(self, label: str, codec: Codec | None = None) -> Party:
        """Connect a party, in the check's codec or another one."""
        party = Party(label, self._connect, codec or self.codec, self.transcript, self._waits, self._limits)
        self._stack.callback(party.close)
        return party

    def enter(self, *labels: str) -> Sequence[Party]:
        """Connect parties and register them, one after the other."""
        return [self.register(self.connect(label)) for label in labels]

    def register(self, party: Party) -> Party:
        """Register a party by its name."""
        party.send(Register(party.name, "here"))
        party.wait_for(OnlineUsers)
        return party

    def talk(self, *labels: str) -> Sequence[Party]:
        """Register parties, have the first invite the others, and all join, in this order."""
        parties = self.enter(*labels)
        self.invite(parties[0], *parties[1:])
        for party in parties:
            party.send(Join(self.transcript.conversation))
            party.barrier()
        return parties

    def invite(self, initiator: Party, *invited: Party) -> str:
        """Have a party invite others, and give the id once all of them have the invitation."""
        initiator.send(Invite(tuple(party.name for party in invited)))
        id = initiator.wait_for(Invitation).conversation
        for party in invited:
            party.wait_for(Invitation)
        return id

    def barrier(self, *parties: Party) -> None:
        """Have each of these receive all that those before it in the list, and itself, have caused so far."""
        for party in parties:
            party.barrier()

    def handshake(self, offered: Sequence[str], *, origin: str | None = None) -> str:
        """Offer subprotocols and compression on a new WebSocket, and tell what the server answered."""
        dialer = cast("Dialer", self._connect)
        return dialer.answer(self._waits.timeout, self.codec, offered, origin=origin)

    def sentinel(self, sender: Party, *receivers: Party) -> None:
        """Have these receive all that one of them has caused: they wait for something that it says after all else.

        All of them have to be members of the first conversation, and the receivers need to send nothing.
        """
        last = SendMessage(self.transcript.conversation, f"that is all from {sender.label}")
        sender.send(last)
        for party in (sender, *receivers):
            party.wait(lambda m: isinstance(m, Message) and m.text == last.text, "the last message")

    def drain(self, *parties: Party) -> None:
        """Have each of these receive all that any of them has caused so far."""
        self.barrier(*parties)  # now all of it has been handled …
        self.barrier(*parties)  # … and now it has arrived

    def mark(self, name: str) -> None:
        """Mark the present place in the transcript for the judgement."""
        self.transcript.mark(name)

    def close(self) -> None:
        """Close all connections."""
        self._stack.close()
