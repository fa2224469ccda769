"""Checks of inviting: who is told, and what becomes of it."""

from improto.messages import (
    Code,
    Conversations,
    Invitation,
    Invite,
)
from improto_conformance.servers.check import Complaints, check
from improto_conformance.servers.stage import Stage
from improto_conformance.transcripts.transcript import Transcript


@check("INVITATION-2", "each invited user gets exactly one INVITATION, which names the initiator")
def invited(stage: Stage) -> None:
    ann, bo, cy = stage.enter("ann", "bo", "cy")
    stage.invite(ann, bo, cy)
    stage.barrier(ann, bo, cy)


@invited.judge
def _(seen: Transcript) -> Complaints:
    for party in ("bo", "cy"):
        yield from seen.expect(party, [Invitation(seen.conversation, seen.name("ann"))])


@check("INVITATION-3", "the initiator gets exactly one INVITATION too")
def initiator_invited(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    ann.send(Invite((bo.name,)))
    stage.barrier(ann, bo)


@initiator_invited.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Invitation(seen.conversation, seen.name("ann"))])


@check("INVITATION-4", "nobody else gets an INVITATION")
def others_not_invited(stage: Stage) -> None:
    ann, bo, _ = parties = stage.enter("ann", "bo", "cy")
    ann.send(Invite((bo.name,)))
    stage.barrier(*parties)


@others_not_invited.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("cy", [])


@check("INVITE-3", "each INVITE makes a conversation of its own")
def new_each_time(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    ann.send(Invite((bo.name,)), Invite((bo.name,)))
    stage.barrier(ann, bo)


@new_each_time.judge
def _(seen: Transcript) -> Complaints:
    if len(seen.conversations) != 2:
        yield f"two INVITEs were to make two conversations, and made {len(seen.conversations)}"


@check("INVITE-3", "if several invite at the same time, each of them makes a conversation", varies=True)
def invited_at_once(stage: Stage) -> None:
    [guest] = stage.enter("guest")
    parties = stage.enter(*_HOSTS)
    for party in parties:
        party.send(Invite((guest.name,)))
    stage.barrier(*parties, guest)


@invited_at_once.judge
def _(seen: Transcript) -> Complaints:
    wanted = {seen.name(party) for party in _HOSTS}
    made = {item.conversation: item.source for item in seen.heard("guest") if isinstance(item, Invitation)}
    if set(made.values()) != wanted:
        yield f"{len(wanted)} users were to invite the guest, each to a conversation of its own, and these did: {made!a}"


_HOSTS = ("ann", "bo", "cy", "di", "ed")


@check("INVITE-4", "one's own name and doubles in INVITE are ignored")
def doubles(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    ann.send(Invite((bo.name, ann.name, bo.name)))
    stage.barrier(ann, bo)


@doubles.judge
def _(seen: Transcript) -> Complaints:
    for party in ("ann", "bo"):
        yield from seen.expect(party, [Invitation(seen.conversation, seen.name("ann"))])


@check("INVITE-5", "an INVITE of only oneself is refused")
def only_oneself(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    ann.send(Invite((ann.name,)), deliberate=True)
    ann.barrier()


@only_oneself.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.INVALID])


@check("INVITE-6", "with one unknown name in INVITE nobody is invited")
def unknown_name(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    ann.send(Invite((bo.name, stage.transcript.name("nobody"))), deliberate=True)
    stage.barrier(ann, bo)


@unknown_name.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.NO_SUCH_USER])
    yield from seen.expect("bo", [])


@check("INVITE-6", "an INVITE with an unknown name makes no conversation", policy="private")
def nothing_made(stage: Stage) -> None:
    unknown_name.stimulus(stage)


@check("ERROR-3", "an INVITE that is refused makes no conversation", policy="private")
def nothing_made_by_a_refused_one(stage: Stage) -> None:
    unknown_name.stimulus(stage)


def _no_conversation(seen: Transcript) -> Complaints:
    for party in ("ann", "bo"):
        lists = [entry.item for entry in seen.of(party) if isinstance(entry.item, Conversations)]
        if any(listed.conversations for listed in lists):
            yield f"{party} was to have no conversation after a refused INVITE"


nothing_made.judge(_no_conversation)

nothing_made_by_a_refused_one.judge(_no_conversation)
