"""Checks of registering, and of what a client may do before."""

from improto.messages import (
    Code,
    Error,
    Invite,
    Join,
    Leave,
    ListConversations,
    OnlineUsers,
    Register,
    SendMessage,
    Status,
)
from improto_conformance.servers.check import Complaints, check
from improto_conformance.servers.stage import Stage
from improto_conformance.transcripts.transcript import Event, Transcript


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


@check(
    "CONN-17",
    "a client that has registered, or ended, in time gets no `timeout`; one that only tries and asks gets it in time",
    seconds="register",
)
def in_time(stage: Stage) -> None:
    stranger = stage.connect("stranger")
    stranger.send(ListConversations(), deliberate=True)  # so that the server knows the codec
    stranger.wait_for(Error)
    stranger.reset()
    [ann] = stage.enter("ann")
    entries, profile = stage.transcript.entries, stage.profile
    repeat = max(profile.repeat, profile.presence)
    late = stage.connect("late")
    late.send(Register(ann.name, ""), deliberate=True)
    late.wait_for(Error)
    begun = entries[-1].time
    stage.mark("in time")
    while (passed := entries[-1].time - begun) < 0.3 * profile.register:
        ann.wait_for(OnlineUsers, within=repeat)
    if passed < 0.8 * profile.register:  # else there may be no time to answer
        late.send(ListConversations(), deliberate=True)
        late.wait_for(Error)
    late.read_to_end(within=max(0.0, begun + profile.register - entries[-1].time))
    while entries[-1].time < begun + 1.1 * profile.register:
        ann.wait_for(OnlineUsers, within=repeat)
    ann.barrier()


@in_time.judge
def _(seen: Transcript) -> Complaints:
    asked = [entry for entry in seen.of("late") if isinstance(entry.item, ListConversations)]
    yield from seen.expect("late", [Code.NAME_IN_USE, *[Code.NOT_REGISTERED for _ in asked], Code.TIMEOUT])
    yield from seen.expect_closed("late")
    yield from seen.expect("ann", [], since="in time")
    if not seen.lists("ann", since="in time"):
        yield "ann was to be served beyond the time to register"


@check(
    "CODEC-16",
    "who says too little to tell the codec is not told that the time to register is over",
    codecs=("ascii",),
    transport="stream",
    seconds="register",
)
def never_known(stage: Stage) -> None:
    silent, hesitant = stage.connect("silent"), stage.connect("hesitant")
    hesitant.send_bytes(b"GOOD")
    for party in (silent, hesitant):
        party.read_to_end(within=stage.profile.register)


never_known.needs = ("json", "pickle")


@never_known.judge
def _(seen: Transcript) -> Complaints:
    for party in ("silent", "hesitant"):
        if any(entry.event in (Event.RECEIVED, Event.FAULT) for entry in seen.of(party)):
            yield f"{party} was to receive nothing, since nobody knew the codec"
        yield from seen.expect_closed(party)
