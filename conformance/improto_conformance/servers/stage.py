"""Where the parties of one check meet: makes them, and brings about the situations with which many checks begin."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, cast

from improto.codec import Codec
from improto.messages import Invitation, Invite, Join, Message, OnlineUsers, Register, SendMessage
from improto_conformance.connections.links import Connect
from improto_conformance.profile import DEFAULTS, Profile
from improto_conformance.servers.party import Party, Waits
from improto_conformance.transcripts.transcript import Transcript

if TYPE_CHECKING:  # it needs a package that may not be installed
    from improto_conformance.connections.websocket import Dialer

__all__ = ["Stage"]


class Stage:
    """The parties, the transcript and the clean-up of one check."""

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

        With `declared`, messages are made by the limits of the profile.  Otherwise it is Unfit to send something that these
        limits and the default limits judge differently.
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

    def register(self, party: Party, name: str = "") -> Party:
        """Register a party by its name, or by one that was somebody else's."""
        party.send(Register(name or party.name, "here"))
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
        """Let a party invite others, and give the id when all of them have the invitation."""
        initiator.send(Invite(tuple(party.name for party in invited)))
        id = initiator.wait_for(Invitation).conversation
        for party in invited:
            party.wait_for(Invitation)
        return id

    def barrier(self, *parties: Party) -> None:
        """Let each party receive everything that it and those before it in the list have caused so far."""
        for party in parties:
            party.barrier()

    def handshake(self, offered: Sequence[str], *, origin: str | None = None) -> str:
        """Offer subprotocols and compression on a new WebSocket, and give the server's answer."""
        dialer = cast("Dialer", self._connect)
        return dialer.answer(self._waits.timeout, self.codec, offered, origin=origin)

    def sentinel(self, sender: Party, *receivers: Party) -> None:
        """Let these parties receive everything that one of them has caused: they wait for something that it sends last.

        All of them must be members of the first conversation.  The receivers need not send anything.
        """
        last = SendMessage(self.transcript.conversation, f"that is all from {sender.label}")
        sender.send(last)
        for party in (sender, *receivers):
            party.wait(lambda m: isinstance(m, Message) and m.text == last.text, "the last message")

    def drain(self, *parties: Party) -> None:
        """Let each party receive everything that any of them has caused so far."""
        self.barrier(*parties)  # now everything has been handled …
        self.barrier(*parties)  # … and now it has arrived

    def mark(self, name: str) -> None:
        """Mark the current place in the transcript, for the judgement."""
        self.transcript.mark(name)

    def close(self) -> None:
        """Close all connections."""
        self._stack.close()
