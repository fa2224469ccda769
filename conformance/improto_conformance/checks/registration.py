"""Checks of coming and going."""

from improto.messages import (
    Code,
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
from improto_conformance.check import Complaints, check
from improto_conformance.stage import Stage
from improto_conformance.transcript import Event, Transcript


@check("REGISTER-2", "REGISTER is answered with a roster that has the new user in it, with the status")
def first_roster(stage: Stage) -> None:
    ann = stage.connect("ann")
    ann.send(Register(ann.name, "at work"))
    ann.wait_for(OnlineUsers)
    ann.barrier()


@first_roster.judge
def _(seen: Transcript) -> Complaints:
    first = next(iter(seen.rosters("ann")), OnlineUsers({}))
    if first.users.get(seen.name("ann")) != "at work":
        yield f"the first roster was to say that ann is 'at work', and says {first.users.get(seen.name('ann'))!r}"
    yield from seen.expect("ann", [])


@check("REGISTER-3", "a second REGISTER is refused, the user keeps the name, and the other name stays free")
def second_register(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    ann.send(Register(stage.transcript.name("cy"), ""), deliberate=True)
    ann.barrier()
    stage.enter("bo", "cy")


@second_register.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.ALREADY_REGISTERED])
    yield from seen.expect_open("ann")
    yield from seen.expect("cy", [])
    for roster in seen.rosters("bo"):
        if seen.name("ann") not in roster.users or seen.name("cy") in roster.users:
            yield "after a refused second REGISTER the roster was to have the old name and not the new one"


@check("REGISTER-4", "the name of a user who is online is not given to another user")
def name_in_use(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    other = stage.connect("other")
    other.send(Register(ann.name, "fake"), deliberate=True)
    # Not registered, so this gets an ERROR too: what was caused before it has come by then.
    other.send(ListConversations(), deliberate=True)
    other.hear(2)
    ann.barrier()


@name_in_use.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("other", [Code.NAME_IN_USE, Code.NOT_REGISTERED])
    yield from seen.expect_open("ann")
    for roster in seen.rosters("ann"):
        if roster.users.get(seen.name("ann")) != "here":
            yield "a refused REGISTER was not to change the status of who has the name"


@check("REGISTER-5", "after REGISTERs that were refused another one may be sent on the same connection")
def try_again(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    bo = stage.connect("bo")
    for _ in range(5):
        bo.send(Register(ann.name, ""), deliberate=True)
    stage.register(bo)
    bo.barrier()


@try_again.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("bo", [Code.NAME_IN_USE] * 5)
    if not seen.lists("bo"):
        yield "bo was to be registered by the last REGISTER"


@check("CONN-14", "before REGISTER all other requests are refused, and the connection stays")
def before_register(stage: Stage) -> None:
    ann = stage.connect("ann")
    ann.send(
        Status("x"),
        Invite(("bo",)),
        ListConversations(),
        Join("1"),
        SendMessage("1", "x"),
        Leave("1"),
        deliberate=True,
    )
    stage.register(ann)
    ann.barrier()


@before_register.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.NOT_REGISTERED] * 6)
    yield from seen.expect_open("ann")


@check(
    "CONN-15",
    "before REGISTER an unknown command is answered, and the connection closed",
    codecs=("ascii", "json", "msgpack", "pickle"),
)
def stranger(stage: Stage) -> None:
    ann = stage.connect("ann")
    ann.send_bytes(_unknown(ann.codec.name))
    ann.read_to_end()


@stranger.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [Code.UNKNOWN_COMMAND])
    yield from seen.expect_closed("ann")


def _unknown(codec: str) -> bytes:
    return {
        "ascii": b"FROBNICATE x\n",
        "json": b'{"type":"FROBNICATE","x":1}\n',
        "msgpack": b"\0\0\0\x0e\x92\xaaFROBNICATE\xa1x",
        "pickle": b"FROBNICATE (S'x'\nl.",
    }[codec]


@check(
    "CONN-15",
    "a client that was refused a name is a stranger still",
    codecs=("ascii", "json", "msgpack", "pickle"),
)
def still_a_stranger(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    other = stage.connect("other")
    other.send(Register(ann.name, ""), ListConversations(), deliberate=True)
    other.hear(2)
    other.send_bytes(_unknown(other.codec.name))
    other.read_to_end()


@still_a_stranger.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("other", [Code.NAME_IN_USE, Code.NOT_REGISTERED, Code.UNKNOWN_COMMAND])
    yield from seen.expect_closed("other")


@check("GOODBYE-4", "a name is free as soon as its user has seen the end of the stream")
def free_name(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    ann.send(Goodbye())
    ann.read_to_end()
    again = stage.connect("again")
    again.send(Register(ann.name, "back"))
    again.wait(lambda _: True, "an answer to REGISTER")


@free_name.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("again", [])
    if not any(roster.users.get(seen.name("ann")) == "back" for roster in seen.rosters("again")):
        yield "the freed name was to be registered again"


@check("GOODBYE-6", "whatever follows GOODBYE has no effect and no reply")
def after_goodbye(stage: Stage) -> None:
    ann, bo = stage.talk("ann", "bo")
    stage.mark("goodbye")
    late = SendMessage(stage.transcript.conversation, "late")
    ann.send(Goodbye(), late, ListConversations(), deliberate=True)
    ann.read_to_end()
    bo.barrier()


@after_goodbye.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [], since="goodbye")
    yield from seen.expect_closed("ann")
    yield from seen.expect("bo", [], since="goodbye")
    if seen.lists("ann", since="goodbye"):
        yield "a LIST_CONVERSATIONS after GOODBYE was answered"


@check("GOODBYE-7", "GOODBYE before REGISTER closes, without a reply")
def goodbye_first(stage: Stage) -> None:
    ann = stage.connect("ann")
    ann.send(Goodbye())
    ann.read_to_end()


@goodbye_first.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [])
    yield from seen.expect_closed("ann")


@check("GOODBYE-8", "a user who goes offline is no longer a member, and conversations without users end")
def memberships_end(stage: Stage) -> None:
    ann, bo, cy = stage.talk("ann", "bo", "cy")
    bo.send(Goodbye())
    bo.read_to_end()
    stage.mark("gone")
    ann.barrier()
    for party in (ann, cy):
        party.send(Goodbye())
        party.read_to_end()
    [di] = stage.enter("di")
    di.barrier()


@memberships_end.judge
def _(seen: Transcript) -> Complaints:
    names = (seen.name("ann"), seen.name("cy"))
    if [dict(listed.conversations) for listed in seen.lists("ann", since="gone")] != [
        {seen.conversation: names}
    ]:
        yield f"after bo's GOODBYE the members were to be {names}"
    if any(listed.conversations for listed in seen.lists("di")):
        yield "a conversation whose members have all gone offline was to end"


@check("GOODBYE-9", "a user who takes a freed name inherits no membership")
def no_inheritance(stage: Stage) -> None:
    ann, bo = stage.talk("ann", "bo")
    bo.send(Goodbye())
    bo.read_to_end()
    heir = stage.connect("heir")
    heir.send(Register(bo.name, ""))
    heir.wait_for(OnlineUsers)
    ann.send(SendMessage(stage.transcript.conversation, "for bo only"))
    stage.barrier(ann)
    heir.send(SendMessage(stage.transcript.conversation, "as bo"), deliberate=True)
    heir.barrier()


@no_inheritance.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("heir", [Code.NOT_MEMBER])


@check("CONN-19", "a connection that is reset in mid-message frees the name", transport="stream")
def reset(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    bo.wait_to_see(ann.name, "here")
    ann.send_bytes(ann.encoded(Status("cut"))[:-3])
    ann.reset()
    bo.wait_to_see(ann.name, None)
    again = stage.connect("again")
    again.send(Register(ann.name, "back"))
    again.wait(lambda _: True, "an answer to REGISTER")


@reset.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("again", [])
    yield from seen.expect_open("bo")


@check("CONN-16", "a client that is not registered receives no roster, whatever others do")
def nothing_before_register(stage: Stage) -> None:
    stranger = stage.connect("stranger")
    ann, bo = stage.enter("ann", "bo")
    ann.send(Status("busy"))
    bo.wait_to_see(ann.name, "busy")
    stranger.send(ListConversations(), deliberate=True)
    stranger.wait_for(Error)


@nothing_before_register.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("stranger", [Code.NOT_REGISTERED])
    if seen.rosters("stranger") or seen.lists("stranger"):
        yield "stranger, who is not registered, was to receive neither rosters nor lists"


@check(
    "REGISTER-2",
    "the first roster comes before the replies to later requests, with the status that REGISTER gave",
)
def roster_first(stage: Stage) -> None:
    ann = stage.connect("ann")
    ann.send(Register(ann.name, "first"), ListConversations(), Status("second"), ListConversations())
    ann.wait(lambda _: len(stage.transcript.lists("ann")) == 2, "two CONVERSATIONS")


def _first_is_the_roster(seen: Transcript) -> Complaints:
    first = next((entry.item for entry in seen.of("ann") if entry.event is Event.RECEIVED), None)
    if not isinstance(first, OnlineUsers) or first.users.get(seen.name("ann")) != "first":
        yield f"ann was to receive a roster first, with ann as 'first', and received {str(first)[:200]!a}"
    yield from seen.expect("ann", [])


roster_first.judge(_first_is_the_roster)


@check("FLOW-1", "the first roster keeps its place, though a later one waits with it")
def first_roster_stays(stage: Stage) -> None:
    roster_first.stimulus(stage)


first_roster_stays.judge(_first_is_the_roster)


@check("REGISTER-3", "a user who sends a second REGISTER stays a member and keeps the status")
def stays_a_member(stage: Stage) -> None:
    ann, bo = stage.talk("ann", "bo")
    stage.mark("again")
    ann.send(
        Register(stage.transcript.name("cy"), "other"),
        SendMessage(stage.transcript.conversation, "it is I"),
        deliberate=True,
    )
    stage.barrier(ann, bo)
    bo.send(Status("busy"))
    ann.wait_to_see(bo.name, "busy")


@stays_a_member.judge
def _(seen: Transcript) -> Complaints:
    said = seen.said("ann", "it is I")
    yield from seen.expect("ann", [Code.ALREADY_REGISTERED, said], since="again")
    yield from seen.expect("bo", [said], since="again")
    if any(roster.users.get(seen.name("ann")) != "here" for roster in seen.rosters("ann")):
        yield "the status of ann was to stay 'here'"


@check("REGISTER-6", "a REGISTER with the name of a user changes nothing for this user")
def nothing_changes(stage: Stage) -> None:
    ann, bo = stage.talk("ann", "bo")
    stage.mark("taken")
    other = stage.connect("other")
    other.send(Register(ann.name, "fake"), deliberate=True)
    other.wait_for(Error)
    bo.send(Status("busy"))
    ann.wait_to_see(bo.name, "busy")
    ann.send(SendMessage(stage.transcript.conversation, "it is I"))
    stage.barrier(ann, bo)


@check("ERROR-3", "a REGISTER that is refused gives nobody another status")
def status_of_who_has_the_name(stage: Stage) -> None:
    nothing_changes.stimulus(stage)


def _ann_as_before(seen: Transcript) -> Complaints:
    for party in ("ann", "bo"):
        yield from seen.expect(party, [seen.said("ann", "it is I")], since="taken")
        if any(roster.users.get(seen.name("ann")) != "here" for roster in seen.rosters(party)):
            yield f"in the rosters of {party} ann was to stay 'here'"


nothing_changes.judge(_ann_as_before)
status_of_who_has_the_name.judge(_ann_as_before)


def _speak_to_an_heir(stage: Stage) -> None:
    """Have somebody who has taken the freed name of an initiator be invited, join, and be told something."""
    bo, ann, cy = stage.talk("bo", "ann", "cy")
    bo.send(Goodbye())
    bo.read_to_end()
    stage.mark("gone")
    ann.send(SendMessage(stage.transcript.conversation, "bo has gone"))
    stage.barrier(ann, cy)
    heir = stage.register(stage.connect("heir"), bo.name)
    ann.send(Invite((bo.name,)))
    id = heir.wait_for(Invitation).conversation
    for party in (heir, ann):
        party.send(Join(id))
        party.barrier()
    ann.send(SendMessage(id, "welcome"))
    stage.barrier(ann, heir)


@check("INVITATION-2", "who has taken a freed name is invited like everybody else")
def heir_is_invited(stage: Stage) -> None:
    _speak_to_an_heir(stage)


@check(
    "SEND-2", "who has taken a freed name hears what is said, and members do after their initiator has gone"
)
def heir_hears(stage: Stage) -> None:
    _speak_to_an_heir(stage)


def _heard_by_the_heir(seen: Transcript) -> Complaints:
    id, ann = "".join(seen.conversations[-1:]), seen.name("ann")
    yield from seen.expect("heir", [Invitation(id, ann), Message(id, ann, "welcome")])
    yield from seen.expect("cy", [seen.said("ann", "bo has gone")], since="gone")


heir_is_invited.judge(_heard_by_the_heir)
heir_hears.judge(_heard_by_the_heir)


@check("GOODBYE-8", "all memberships and invitations of a user who goes offline end")
def all_of_them_end(stage: Stage) -> None:
    ann, bo = stage.talk("ann", "bo")
    second, _third = stage.invite(ann, bo), stage.invite(ann, bo)
    for party in (ann, bo):
        party.send(Join(second))
        party.barrier()
    bo.send(Goodbye())
    bo.read_to_end()
    stage.mark("gone")
    ann.barrier()
    ann.send(*map(Leave, stage.transcript.conversations))
    ann.barrier()


@all_of_them_end.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("ann", [], since="gone")
    left = [dict(listed.conversations) for listed in seen.lists("ann", since="gone")]
    first, second, third = [*seen.conversations, "", "", ""][:3]
    alone = (seen.name("ann"),)
    if left != [{first: alone, second: alone, third: ()}, {}]:
        yield f"ann was to be alone in two conversations after bo had gone, and all three to end with her LEAVE; {left!a}"


@check("GOODBYE-9", "a user who takes a freed name inherits no invitation", policy="private")
def no_inherited_invitation(stage: Stage) -> None:
    ann, bo = stage.talk("ann", "bo")
    ann.barrier()
    bo.send(Goodbye())
    bo.read_to_end()
    heir = stage.connect("heir")
    heir.send(Register(bo.name, ""), Join(stage.transcript.conversation), deliberate=True)
    heir.barrier()


@no_inherited_invitation.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("heir", [Code.NOT_INVITED])


@check("CONN-16", "a client that was refused, and is not registered, receives no roster")
def nothing_after_a_refusal(stage: Stage) -> None:
    stranger = stage.connect("stranger")
    stranger.send(ListConversations(), deliberate=True)
    stranger.wait_for(Error)
    ann, bo = stage.enter("ann", "bo")
    ann.send(Status("busy"))
    bo.wait_to_see(ann.name, "busy")
    stranger.send(ListConversations(), deliberate=True)
    stranger.hear(2)


@nothing_after_a_refusal.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("stranger", [Code.NOT_REGISTERED] * 2)
    if seen.rosters("stranger") or seen.lists("stranger"):
        yield "stranger, who is not registered, was to receive neither rosters nor lists"


@check("REGISTER-6", "a client that was refused a name, and ends, takes no user offline")
def refused_ones_go(stage: Stage) -> None:
    ann, bo = stage.talk("ann", "bo")
    for label in ("leaver", "breaker"):
        other = stage.connect(label)
        other.send(Register(ann.name, "fake"), deliberate=True)
        other.wait_for(Error)
        if label == "leaver":
            other.send(Goodbye())
            other.read_to_end()
        other.reset()
    bo.barrier()
    stage.mark("gone")
    stage.enter("cy")
    ann.send(SendMessage(stage.transcript.conversation, "it is I"))
    stage.barrier(ann, bo)


@refused_ones_go.judge
def _(seen: Transcript) -> Complaints:
    for party in ("ann", "bo"):
        yield from seen.expect(party, [seen.said("ann", "it is I")], since="gone")
    yield from _expect_shown(seen, "cy", "ann", "here")


def _expect_shown(seen: Transcript, party: str, shown: str, status: str) -> Complaints:
    """Complain unless the first roster of a party has another one with a status."""
    first = next(iter(seen.rosters(party)), OnlineUsers({}))
    if first.users.get(seen.name(shown)) != status:
        yield f"{party} was to be shown {shown} as {status!r}, and was shown {first.users.get(seen.name(shown))!r}"


@check(
    "GOODBYE-4", "the end of an old connection does not take a user offline who has the freed name by then"
)
def old_connection_ends(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    ann.send(Goodbye())
    ann.read_to_end()
    heir = stage.connect("heir")
    heir.send(Register(ann.name, "back"))
    heir.wait_for(OnlineUsers)
    ann.reset()
    for _ in range(5):  # until the server has seen the end of the old connection, too
        heir.barrier()
    stage.enter("cy")
    heir.barrier()


@old_connection_ends.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("heir", [])
    yield from _expect_shown(seen, "cy", "ann", "back")


@check("REGISTER-4", "if several ask for one name at the same time, one gets it", varies=True)
def asked_for_at_once(stage: Stage) -> None:
    parties = [stage.connect(label) for label in _RIVALS]
    for party in parties:
        party.send(Register(stage.transcript.name("ann"), party.label), deliberate=True)
    for party in parties:
        party.wait(lambda _: True, "an answer to REGISTER")


@asked_for_at_once.judge
def _(seen: Transcript) -> Complaints:
    winners = [party for party in _RIVALS if seen.rosters(party)]
    if len(winners) != 1:
        yield f"one of {', '.join(_RIVALS)} was to get the name, and {', '.join(winners) or 'nobody'} got it"
    for party in _RIVALS:
        yield from seen.expect(party, [] if party in winners else [Code.NAME_IN_USE])


_RIVALS = ("bo", "cy", "di", "ed", "flo")
