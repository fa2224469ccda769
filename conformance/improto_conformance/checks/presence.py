"""Checks of who is shown to be online."""

from itertools import groupby

from improto.messages import Goodbye, OnlineUsers, Status
from improto_conformance.check import Complaints, check
from improto_conformance.stage import Stage
from improto_conformance.transcript import Transcript


@check("PRESENCE-2", "a newcomer's first roster has everybody who is online")
def full_roster(stage: Stage) -> None:
    stage.enter("ann", "bo", "cy")


@full_roster.judge
def _(seen: Transcript) -> Complaints:
    first = next(iter(seen.rosters("cy")), OnlineUsers({}))
    for party in ("ann", "bo", "cy"):
        if first.users.get(seen.name(party)) != "here":
            yield f"the first roster of cy was to have {party}, 'here'"


@check("PRESENCE-3", "every roster has its receiver")
def oneself(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    ann.wait_to_see(bo.name, "here")
    bo.send(Status("away"))
    ann.wait_to_see(bo.name, "away")
    bo.wait_to_see(bo.name, "away")


@oneself.judge
def _(seen: Transcript) -> Complaints:
    for party in ("ann", "bo"):
        if any(seen.name(party) not in roster.users for roster in seen.rosters(party)):
            yield f"{party} received a roster without itself"


@check("PRESENCE-4", "who was there before is told of who comes and goes")
def come_and_go(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    [bo] = stage.enter("bo")
    ann.wait_to_see(bo.name, "here")
    bo.send(Goodbye())
    ann.wait_to_see(bo.name, None)


@come_and_go.judge
def _(seen: Transcript) -> Complaints:
    shown = [seen.name("bo") in roster.users for roster in seen.rosters("ann")]
    if [key for key, _ in groupby(shown)] not in ([True, False], [False, True, False]):
        yield "bo was to appear once in the rosters of ann, and to disappear once"


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
    ann, bo = stage.enter("ann", "bo")
    bo.send(Status("changed"))
    stage.barrier(bo, ann)
    stage.mark("fresh")
    ann.wait_to_see(bo.name, "changed")


@fresh_roster.judge
def _(seen: Transcript) -> Complaints:
    if any(roster.users.get(seen.name("bo")) != "changed" for roster in seen.rosters("ann", since="fresh")):
        yield "a roster after the barrier showed an older status of bo"
