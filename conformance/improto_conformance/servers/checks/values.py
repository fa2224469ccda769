"""Checks of names, statuses and texts that programs take for something else, or alter on their way."""

from collections.abc import Iterator, Sequence
from typing import Final

from improto.messages import (
    Code,
    Conversations,
    Goodbye,
    Invitation,
    OnlineUsers,
    Register,
    SendMessage,
    Status,
)
from improto_conformance.servers.check import Complaints, check
from improto_conformance.servers.stage import Stage
from improto_conformance.transcripts.transcript import Transcript

_EMPTY: Final = ("0", "null", "None", "undefined", "false", "NaN")
"""What some languages take for nothing, or print for it."""

_VALUES: Final = (
    *_EMPTY,
    " ",
    "\n",
    "007",
    "1.50",
    "-0",
    "1e3",
    "/quit",
    ":x",
    ".",
    "GOODBYE",
    "a+b%20c %41 %% %s %n {0} {{x}} ${y} `z`",
    "&lt;b&gt; &amp; &#65; <i>",
    "-- ... '' :) (c) @a #b",
    "\\\\n \\\\ \\x41",
    "\ufeffa \xad\u200b\u200c\u200d\u2764\ufe0f",
    "\ue000\U000f0000\ufffd\U000e0001",
    "\ufdd0\ufffe\uffff\U0001fffe\U0010ffff",
    "\x0b\x0c\x1c\x1d\x1e",
    "a\0b",
    "e\u0301 \u1100\u1161 \ufb01 \u2126 \uff21 I\u0307 \xdf",
    "\U0001f600" * 256,
)
"""What is cut, trimmed, expanded, escaped, decoded or normalised by one program or another, or ignored as a whole; none is longer than a status."""

_NAMES: Final = (
    "#a/b",
    "@a",
    "@A",
    "<a>&amp;",
    "a:b;c",
    "it's",
    "+%41%s",
    "\u05d0\u0627\u200e",
    "\xad\u200d\ufe0f",
    "a  b",
    "\ue000\U000f0000",
    "~`$!?*|^",
)


@check("MESSAGE-4", "texts arrive unchanged that programs take for something else, or alter on their way")
def altered_texts(stage: Stage) -> None:
    ann, bo = stage.talk("ann", "bo")
    stage.mark("said")
    for text in _VALUES:
        ann.send(SendMessage(stage.transcript.conversation, text))
    stage.barrier(ann, bo)


@altered_texts.judge
def _(seen: Transcript) -> Complaints:
    yield from seen.expect("bo", [seen.said("ann", text) for text in _VALUES], since="said")


@check("REGISTER-2", "the first roster shows every status unchanged with which somebody registers")
def altered_first_statuses(stage: Stage) -> None:
    for number, status in enumerate(_VALUES):
        party = stage.connect(f"user {number}")
        party.send(Register(party.name, status))
        party.wait_for(OnlineUsers)
        party.send(Goodbye())
        party.read_to_end()


@check("STATUS-2", "rosters show every status unchanged to which somebody changes")
def altered_statuses(stage: Stage) -> None:
    [ann] = stage.enter("ann")
    for number, status in enumerate(_VALUES):
        ann.send(Status(status))
        ann.barrier()
        stage.register(stage.connect(f"user {number}")).close()


@check("STATUS-2", "newcomers are shown the status of the moment, not that of the last roster to all")
def status_of_the_moment(stage: Stage) -> None:
    ann, bo = stage.enter("ann", "bo")
    ann.wait_to_see(bo.name, "here")
    for number, status in enumerate(_CHANGES):
        ann.send(Status(status))
        ann.barrier()
        stage.register(stage.connect(f"user {number}"))


_CHANGES: Final = ("busy", "here", "busy", "", "here")


@altered_first_statuses.judge
def _(seen: Transcript) -> Complaints:
    yield from _shown(seen, "", _VALUES)


@altered_statuses.judge
def _(seen: Transcript) -> Complaints:
    yield from _shown(seen, "ann", _VALUES)


@status_of_the_moment.judge
def _(seen: Transcript) -> Complaints:
    yield from _shown(seen, "ann", _CHANGES)


def _shown(seen: Transcript, party: str, statuses: Sequence[str]) -> Iterator[str]:
    """Complain unless each user was shown the status of its number, of this party or of itself."""
    for number, status in enumerate(statuses):
        user = f"user {number}"
        name = seen.name(party or user)
        for roster in seen.rosters(user)[:1]:
            if roster.users.get(name) != status:
                yield f"{user} was to be shown {name!a} as {status!a}, and was shown {roster.users.get(name)!a}"


@check("LIMIT-5", "usernames of all sorts are taken, and stand unchanged wherever they are shown")
def altered_names(stage: Stage) -> None:
    parties = stage.talk(*_NAMES)
    for party in parties:
        party.send(SendMessage(stage.transcript.conversation, "hi"))
        party.barrier()
    stage.barrier(*parties)


@altered_names.judge
def _(seen: Transcript) -> Complaints:
    names = tuple(map(seen.name, _NAMES))
    said = [seen.said(name, "hi") for name in _NAMES]
    for party in _NAMES:
        yield from seen.expect(party, [Invitation(seen.conversation, names[0]), *said])
        if seen.lists(party)[-1:] != [Conversations({seen.conversation: names})]:
            yield f"{party} was to be shown the members {names!a}, and was shown {seen.lists(party)[-1:]!a}"
    for roster in seen.rosters(_NAMES[-1])[:1]:
        if missing := set(names) - roster.users.keys():
            yield f"{_NAMES[-1]} was to be shown {missing!a}, and was shown {sorted(roster.users)!a}"


@check("LIMIT-5", "a username may be what some languages take for nothing", alone=True)
def names_for_nothing(stage: Stage) -> None:
    for name in _EMPTY:
        party = stage.connect(f"as {name}")
        party.send(Register(name, name))
        party.wait_for(OnlineUsers)
    stage.enter("ann")


@names_for_nothing.judge
def _(seen: Transcript) -> Complaints:
    for roster in seen.rosters("ann")[:1]:
        for name in _EMPTY:
            if roster.users.get(name) != name:
                yield f"ann was to be shown {name!a} as {name!a}, and was shown {roster.users.get(name)!a}"
    for name in _EMPTY:
        yield from seen.expect(f"as {name}", [])


_TITLES: Final = ("server", "Server", "admin", "root", "system", "all", "everybody", "you")


@check("LIMIT-5", "no username is out of bounds, or in use, for what it says", alone=True)
def names_with_a_meaning(stage: Stage) -> None:
    for name in _TITLES:
        party = stage.connect(f"as {name}")
        party.send(Register(name, name), deliberate=True)
        party.wait(lambda _: True, "an answer to REGISTER")
        party.close()


@names_with_a_meaning.judge
def _(seen: Transcript) -> Complaints:
    for name in _TITLES:
        if seen.heard(f"as {name}") != [Code.FORBIDDEN]:  # the embedder may have its reasons (REGISTER-8)
            yield from seen.expect(f"as {name}", [])
