"""Checks of who is shown to be online."""

from collections.abc import Sequence
from itertools import groupby
from typing import Final

from improto.messages import (
    Code,
    Error,
    Goodbye,
    Join,
    Leave,
    OnlineUsers,
    Register,
    SendMessage,
    Status,
)
from improto_conformance.servers.check import Complaints, check
from improto_conformance.servers.party import Party
from improto_conformance.servers.stage import Stage
from improto_conformance.transcripts.transcript import Transcript


@check("PRESENCE-2", "a newcomer's first roster has everybody who is online")
def full_roster(stage: Stage) -> None:
    stage.enter("ann", "bo", "cy")


@full_roster.judge
def _(seen: Transcript) -> Complaints:
    first = next(iter(seen.rosters("cy")), OnlineUsers({}))
    for party in ("ann", "bo", "cy"):
        if first.users.get(seen.name(party)) != "here":
            yield f"the first roster of cy was to have {party}, 'here'"


_CROWDS: Final = {"ascii": ("\U0001f600", 19), "json": ("\1", 39)}
"""The character that takes most bytes in a codec, and how many users with a status of it make a roster of 64 KiB."""


def _crowd(stage: Stage) -> Sequence[Party]:
    """Register so many users that their roster is longer than 64 KiB."""
    character, number = _CROWDS[stage.codec.name]
    parties: list[Party] = []
    for label in map("{:02}".format, range(number)):
        room = 64 - len(stage.transcript.name(label))
        party = stage.connect(label + "\U0001f600" * room)
        party.send(Register(party.name, character * 256))
        party.wait_for(OnlineUsers)
        parties.append(party)
        stage.barrier(*parties)  # so that all have read what waits for them
    return parties


def _leave_one(stage: Stage, first: Party, *others: Party) -> None:
    """Have all but one of a crowd go: the interval is long while the roster is, and the next check may rely on a short one."""
    for party in others:
        party.close()
    for party in others:
        first.wait_to_see(party.name, None, within=stage.profile.crowded)


@check(
    "PRESENCE-2",
    "a roster may be longer than 64 KiB: a newcomer's first one has everybody even then",
    codecs=tuple(_CROWDS),
    varies=True,
    defaults=True,
    alone=True,
)
def long_roster(stage: Stage) -> None:
    _leave_one(stage, *_crowd(stage))


@long_roster.judge
def _(seen: Transcript) -> Complaints:
    for newcomer in list(seen.codecs)[-1:]:
        yield from _has_crowd(seen, newcomer, seen.rosters(newcomer)[:1])


def _has_crowd(seen: Transcript, party: str, rosters: Sequence[OnlineUsers]) -> Complaints:
    names = [seen.name(party) for party in seen.codecs]
    for roster in rosters:
        shown = {roster.users.get(name) for name in names}  # others may be online, too
        if len(shown) != 1 or None in shown:
            yield f"{party} was to be shown {len(names)} users, all with the same status"


@check(
    "PRESENCE-4",
    "a newcomer is shown to those who are there, with everybody else, also if the roster is longer than 64 KiB",
    codecs=tuple(_CROWDS),
    varies=True,
    defaults=True,
    alone=True,
    seconds="crowded",
)
def newcomer_to_a_crowd(stage: Stage) -> None:
    parties = _crowd(stage)
    first, status = parties[0], parties[-1].roster[parties[-1].name]
    stage.mark("crowded")
    first.wait_to_see(parties[-1].name, status, within=stage.profile.crowded)
    stage.mark("shown")
    _leave_one(stage, *parties)


@newcomer_to_a_crowd.judge
def _(seen: Transcript) -> Complaints:
    if not seen.marked("shown"):
        yield "the first user was to be shown the last one within the interval"
    for party in list(seen.codecs)[:1]:
        rosters = [entry.item for entry in seen.of(party, "crowded", "shown")]
        yield from _has_crowd(seen, party, [each for each in rosters if isinstance(each, OnlineUsers)][-1:])


@check("PRESENCE-3", "every roster has its receiver")
def oneself(stage: Stage) -> None:
    bo, ann = stage.enter("bo", "ann")
    ann.wait_to_see(bo.name, "here")
    bo.send(Status("away"))
    ann.wait_to_see(bo.name, "away")
    bo.wait_to_see(bo.name, "away")


@oneself.judge
def _(seen: Transcript) -> Complaints:
    for party in ("ann", "bo"):
        if any(seen.name(party) not in roster.users for roster in seen.rosters(party)):
            yield f"{party} received a roster without itself"


@check("PRESENCE-4", "users are shown who comes, who goes and who comes back, who is shown all of it, too")
def come_and_go(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    [bo] = stage.enter("bo")
    ann.wait_to_see(bo.name, "here")
    bo.send(Goodbye())
    ann.wait_to_see(bo.name, None)
    back = stage.register(stage.connect("back"), bo.name)
    ann.wait_to_see(bo.name, "here")
    ann.send(Status("busy"))
    back.wait_to_see(ann.name, "busy")


@come_and_go.judge
def _(seen: Transcript) -> Complaints:
    shown = [seen.name("bo") in roster.users for roster in seen.rosters("ann")]
    if [key for key, _ in groupby(shown)][-3:] != [True, False, True]:
        yield "bo was to appear in the rosters of ann, to disappear, and to appear again"
    if not any(roster.users.get(seen.name("ann")) == "busy" for roster in seen.rosters("back")):
        yield "who has come back was to be shown the new status of ann"


@check("CONN-18", "users are shown that somebody has gone whose stream has ended", half_close=True)
def gone_without_goodbye(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    ann.wait_to_see(bo.name, "here")
    bo.half_close()
    bo.read_to_end()
    ann.wait_to_see(bo.name, None)


@gone_without_goodbye.judge
def _(seen: Transcript) -> Complaints:
    if all(seen.name("bo") in roster.users for roster in seen.rosters("ann")):
        yield "ann was to be shown that bo had gone"


@check("STATUS-2", "a STATUS shows in the rosters of all, and has no reply of its own")
def status_shows(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    stage.mark("status")
    ann.send(Status("out to lunch"))
    ann.barrier()
    bo.wait_to_see(ann.name, "out to lunch")
    ann.wait_to_see(ann.name, "out to lunch")


@status_shows.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [], since="status")
    if not any(roster.users.get(seen.name("ann")) == "out to lunch" for roster in seen.rosters("bo")):
        yield "the new status of ann was to show in a roster of bo"


@check("STATUS-3", "a STATUS changes nobody else's status")
def others_status(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    ann.send(Status("busy"))
    bo.wait_to_see(ann.name, "busy")


@others_status.judge
def _(seen: Transcript) -> Complaints:
    if any(roster.users.get(seen.name("bo")) != "here" for roster in seen.rosters("bo")):
        yield "bo was to stay 'here'"


@check("ORDER-4", "a roster that follows a CONVERSATIONS shows what took effect before it")
def fresh_roster(stage: Stage) -> None:
    ann, bo, cy = stage.enter("ann", "bo", "cy")
    ann.wait_to_see(cy.name, "here")
    cy.send(Goodbye())
    cy.read_to_end()
    ann.send(Status("changed"))
    bo.send(Status("changed"))
    stage.barrier(bo, ann)
    stage.mark("fresh")
    ann.wait_to_see(bo.name, "changed")


@fresh_roster.judge
def _(seen: Transcript) -> Complaints:
    for roster in seen.rosters("ann", since="fresh"):
        for party in ("ann", "bo"):
            if roster.users.get(seen.name(party)) != "changed":
                yield f"a roster after the barrier showed an older status of {party}"
        if seen.name("cy") in roster.users:
            yield "a roster after the barrier showed cy, who had gone"


@check("PRESENCE-2", "rosters after a change have everybody too, also those without a status")
def full_after_a_change(stage: Stage) -> None:
    ann, bo, _cy = stage.enter("ann", "bo", "cy")
    di = stage.connect("di")
    di.send(Register(di.name, ""))
    di.wait_for(OnlineUsers)
    ann.wait_to_see(di.name, "")  # so that what changes then is not all new
    bo.send(Status("busy"))
    for party in (ann, di):
        party.wait_to_see(bo.name, "busy")


@full_after_a_change.judge
def _(seen: Transcript) -> Complaints:
    names = [seen.name(party) for party in ("ann", "bo", "cy", "di")]
    for roster in seen.rosters("di"):
        if (
            not roster.users.keys() >= set(names)
            or roster.users[names[0]] != "here"
            or roster.users[names[3]]
        ):
            yield f"a roster of di was to have ann 'here', di without a status, bo and cy, and has {dict(roster.users)!a}"
            return


@check("PRESENCE-4", "a STATUS is shown to everybody, also to its sender and to users who send nothing")
def status_is_shown(stage: Stage) -> None:
    ann, bo, cy = parties = stage.enter("ann", "bo", "cy")
    for party in parties:
        party.wait_to_see(cy.name, "here")
    ann.send(Status("busy"))
    for party in (cy, bo, ann):
        party.wait_to_see(ann.name, "busy")


@status_is_shown.judge
def _(seen: Transcript) -> Complaints:
    for party in ("ann", "bo", "cy"):
        if not any(roster.users.get(seen.name("ann")) == "busy" for roster in seen.rosters(party)):
            yield f"{party} was to be shown the new status of ann"


@check("STATUS-2", "an empty STATUS replaces the one before, and so does another one")
def emptied(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    for status in ("", "back"):
        ann.send(Status(status))
        bo.wait_to_see(ann.name, status)


@emptied.judge
def _(seen: Transcript) -> Complaints:
    shown = [roster.users.get(seen.name("ann")) for roster in seen.rosters("bo")]
    if [key for key, _ in groupby(shown)][-3:] != ["here", "", "back"]:
        yield f"bo was to see ann 'here', without a status, and 'back', and saw {shown!a}"


@check("STATUS-3", "a STATUS ends no membership and no invitation, and moves nobody in the list")
def still_a_member(stage: Stage) -> None:
    ann, bo = stage.talk("ann", "bo")
    second = stage.invite(bo, ann)
    stage.mark("status")
    ann.send(Status("busy"), SendMessage(stage.transcript.conversation, "still in"), Leave(second))
    stage.barrier(ann, bo)


@still_a_member.judge
def _(seen: Transcript) -> Complaints:
    for party in ("ann", "bo"):
        said = seen.said("ann", "still in")
        yield from seen.expect(party, [said], since="status")
        for listed in seen.lists(party, since="status"):
            if listed.conversations.get(seen.conversation) != (seen.name("ann"), seen.name("bo")):
                yield "ann and bo were to stay members, in this order"


@check("STATUS-4", "no member of a conversation is told of a STATUS, and no list comes")
def told_to_nobody(stage: Stage) -> None:
    ann, bo = stage.talk("ann", "bo")
    stage.mark("status")
    ann.send(Status("busy"), Status("back"), Join("no-such-id"), deliberate=True)
    ann.wait_for(Error)
    bo.send(Join("no-such-id"), deliberate=True)
    bo.wait_for(Error)


@told_to_nobody.judge
def _(seen: Transcript) -> Complaints:
    for party in ("ann", "bo"):
        yield from seen.expect(party, [Code.NO_SUCH_CONVERSATION], since="status")
        if seen.lists(party, since="status"):
            yield f"{party} was to receive no CONVERSATIONS for a STATUS"


@check("STATUS-4", "the same STATUS again is allowed")
def same_again(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    ann.send(Status("here"), Status("busy"), Status("busy"))
    ann.barrier()


@same_again.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [])


@check("ORDER-4", "of two changes a roster that follows a CONVERSATIONS shows the later one")
def latest_of_two(stage: Stage) -> None:
    bo, ann = stage.enter("bo", "ann")
    for round in ("first", "second"):
        ann.wait_to_see(bo.name, "here" if round == "first" else "two of first")
        bo.send(Status(f"one of {round}"), Status(f"two of {round}"))
        stage.barrier(bo, ann)
        stage.mark(round)
        ann.wait_to_see(bo.name, f"two of {round}")
        stage.mark(f"{round} seen")


@latest_of_two.judge
def _(seen: Transcript) -> Complaints:
    for round in ("first", "second"):
        for entry in seen.of("ann", round, f"{round} seen"):
            if isinstance(entry.item, OnlineUsers):
                shown = entry.item.users.get(seen.name("bo"))
                if shown != f"two of {round}":
                    yield f"a roster after the barrier was to show 'two of {round}', and shows {shown!a}"
