"""Tests of the judge: what it lets pass, and what it complains of, in transcripts that were written by hand."""

import subprocess
import sys
from dataclasses import replace

import pytest

from histories import History, changes, play
from improto.messages import (
    Conversations,
    Error,
    Invite,
    Join,
    ListConversations,
    Message,
    OnlineUsers,
    Register,
    SendMessage,
    Status,
)
from improto_conformance.judging.judge import Case, judge
from improto_conformance.profile import Profile
from improto_conformance.transcripts.complaints import Complaint, Inconclusive
from improto_conformance.transcripts.transcript import Entry, Event, Transcript
from programs import DEADLINE
from scripts import ANN, BO, CY, JOINED, STAY, TALK, seen

GOOD = {
    "nothing": "",
    "cut": ANN + BO + "ann > INVITE bo; ann > LIST;",
    "talk": JOINED + "ann > SEND 1 hi; ann < MESSAGE 1 ann hi; bo < MESSAGE 1 ann hi;" + STAY,
    "crossing": JOINED
    + "ann > SEND 1 a; bo > SEND 1 b; ann < MESSAGE 1 b b;".replace("1 b b", "1 bo b")
    + "ann < MESSAGE 1 ann a; bo < MESSAGE 1 bo b; bo < MESSAGE 1 ann a;",
    "late roster": ANN + "ann > STATUS y; ann > STATUS z; ann < ROSTER ann=y; ann < ROSTER ann=z;",
    "old roster": ANN + "ann > STATUS y; ann < ROSTER ann=x; ann < ROSTER ann=y;",
    "goodbye": ANN + "ann > GOODBYE; ann |; again > REGISTER ann y; again < ROSTER ann=y;",
    "half-close": ANN + "ann > LIST; ann /; ann < LISTED; ann |;",
    "kicked": ANN + "ann < ERROR forbidden; ann |;",
    "rate": ANN + "ann > STATUS y; ann < ERROR rate-limited; ann > LIST; ann < LISTED; ann < ROSTER ann=x;",
    "new code": ANN + "ann > STATUS y; ann < ERROR too-early; ann > LIST; ann < LISTED; ann < ROSTER ann=x;",
    "foreign": "ann > REGISTER ann x; ann < ROSTER ann=x; ann > LIST; ann < LISTED 77=zoe;",
    "foreign or none": ANN
    + "ann > LIST; ann < LISTED 7=zoe; ann > JOIN 7; ann > LEAVE 0; ann < ERROR no-such-conversation;"
    + "ann > LIST; ann < LISTED 7=zoe,ann;",
    "reset": ANN + BO + "bo > STATUS z; bo x; ann < ROSTER ann=x bo=z; ann < ROSTER ann=x;",
    "reset in time": ANN + BO + "bo > STATUS z; bo x; ann < ROSTER ann=x;",
    "unknown": ANN + "ann ! FROB x\\n; ann < ERROR unknown-command; ann > LIST; ann < LISTED;",
    "extension unknown": ANN + "ann ! _ACME_X y\\n; ann < ERROR unknown-command; ann > LIST; ann < LISTED;",
    "extension known": ANN + "ann ! _ACME_X y\\n; ann > LIST; ann < LISTED;",
    "extension refused": ANN + "ann ! _ACME_X y\\n; ann < ERROR too-early; ann > LIST; ann < LISTED;",
    "extension known, the next one unknown": ANN
    + "ann ! _ACME_X\\n; ann ! FROB\\n; ann < ERROR unknown-command; ann > LIST; ann < LISTED;",
    "malformed": ANN + 'ann ! STATUS "\\nSTATUS y\\n; ann < ERROR malformed; ann < ROSTER ann=y;',
    "in pieces": ANN
    + "ann ! STA; ann ! TUS y\\nLIST_CONV; ann ! ERSATIONS\\n; ann < LISTED; ann < ROSTER ann=y;",
    "stranger": "ann ! POST / HTTP\\n; ann < ERROR unknown-command; ann |;",
    "another protocol": "ann ! ?x; ann |;",
    "unfinished": ANN + "ann ! STATUS y; ann /; ann |; bo > REGISTER bo x; bo < ROSTER bo=x;",
    "refused": "ann > LIST; ann < ERROR not-registered; ann > REGISTER ann x; ann < ROSTER ann=x;",
}


@pytest.mark.parametrize("script", GOOD.values(), ids=GOOD)
def test_what_is_allowed_passes(script: str) -> None:
    """There is no complaint if some order of the requests explains what was received."""
    assert judge(seen(script)) == []


BAD = {
    "list before register": "ann > LIST; ann < LISTED;",
    "roster before register": "ann < ROSTER ann=x;",
    "no ERROR before register": "ann > JOIN 1; ann > REGISTER ann x; ann < ROSTER ann=x;",
    "first roster with another status": "ann > REGISTER ann x; ann < ROSTER ann=y;",
    "first roster without oneself": "ann > REGISTER ann x; ann < ROSTER bo=x;",
    "first roster without others": ANN + "bo > REGISTER bo x; bo < ROSTER bo=x; ann > LIST; ann < LISTED;",
    "name given twice": ANN + "bo > REGISTER ann x; bo < ROSTER ann=x; ann > LIST; ann < LISTED;",
    "second register passes": ANN + "ann > REGISTER bo x; ann > LIST; ann < LISTED;",
    "roster that was never true": ANN + "ann > LIST; ann < LISTED; ann < ROSTER ann=z;",
    "roster from before a barrier": ANN + "ann > STATUS y; ann > LIST; ann < LISTED; ann < ROSTER ann=x;",
    "roster of the future": ANN + "ann < ROSTER ann=y; ann > STATUS y;",
    "status answered": ANN + "ann > STATUS y; ann < ERROR invalid; ann > LIST; ann < LISTED;",
    "status of another changed": JOINED + "bo > STATUS y; ann < ROSTER ann=y bo=x;",
    "list unasked": ANN + "ann < LISTED;",
    "list twice": ANN + "ann > LIST; ann < LISTED; ann < LISTED;",
    "list dropped": ANN + "ann > LIST; ann > JOIN 9; ann < ERROR no-such-conversation;",
    "list lacks a member": JOINED + "ann > LIST; ann < LISTED 1=ann; bo > LIST; bo < LISTED 1=ann,bo;",
    "list in another order": JOINED + "ann > LIST; ann < LISTED 1=bo,ann; bo > LIST; bo < LISTED 1=ann,bo;",
    "list lacks an empty one": TALK + "ann > LIST; ann < LISTED; bo > LIST; bo < LISTED 1=;",
    "list has invited as members": TALK + "ann > LIST; ann < LISTED 1=ann,bo;",
    "initiator not invited": ANN
    + BO
    + "ann > INVITE bo; bo < INVITATION 1 ann; ann > LIST; ann < LISTED 1=;"
    + "bo > LIST; bo < LISTED 1=;",
    "others invited": ANN
    + BO
    + CY
    + "ann > INVITE bo; ann < INVITATION 1 ann; bo < INVITATION 1 ann;"
    + "cy < INVITATION 1 ann;",
    "wrong source": ANN + BO + "ann > INVITE bo; ann < INVITATION 1 bo; bo < INVITATION 1 bo;",
    "two ids": ANN + BO + "ann > INVITE bo; ann < INVITATION 1 ann; bo < INVITATION 2 ann;",
    "id used again": TALK + "ann > INVITE bo; ann < INVITATION 1 ann; bo < INVITATION 1 ann;",
    "unknown user invited": ANN + "ann > INVITE zoe; ann < INVITATION 1 ann;",
    "only oneself invited": ANN + "ann > INVITE ann; ann < ERROR no-such-user;",
    "join of nothing passes": ANN + "ann > JOIN 9; ann > LIST; ann < LISTED;",
    "join answered": TALK + "ann > JOIN 1; ann < ERROR not-member;",
    "send from outside": TALK + "ann > SEND 1 a; ann < MESSAGE 1 ann a;",
    "message to nobody's member": JOINED
    + CY
    + "ann > SEND 1 a; ann < MESSAGE 1 ann a; cy < MESSAGE 1 ann a;",
    "no copy": JOINED + "ann > SEND 1 a; bo < MESSAGE 1 ann a;" + STAY,
    "message lost": JOINED + "ann > SEND 1 a; ann < MESSAGE 1 ann a;" + STAY,
    "message twice": JOINED + "ann > SEND 1 a; ann < MESSAGE 1 ann a; ann < MESSAGE 1 ann a;",
    "wrong sender": JOINED + "ann > SEND 1 a; ann < MESSAGE 1 bo a;",
    "wrong text": JOINED + "ann > SEND 1 a; ann < MESSAGE 1 ann b;",
    "wrong conversation": JOINED + "ann > SEND 1 a; ann < MESSAGE 2 ann a;",
    "two orders": JOINED
    + "ann > SEND 1 a; bo > SEND 1 b; ann < MESSAGE 1 ann a; ann < MESSAGE 1 bo b;"
    + "bo < MESSAGE 1 bo b; bo < MESSAGE 1 ann a;",
    "effect before its cause": JOINED + "bo < MESSAGE 1 ann a; ann > SEND 1 a;",
    "leave ignored": JOINED + "bo > LEAVE 1; bo > LIST; bo < LISTED 1=ann,bo;",
    "second leave passes": JOINED + "bo > LEAVE 1; bo > LEAVE 1; bo > LIST; bo < LISTED 1=ann;",
    "ERROR for another": JOINED + "ann > JOIN 9; bo < ERROR no-such-conversation;",
    "ERROR twice": ANN + "ann > JOIN 9; ann < ERROR no-such-conversation; ann < ERROR no-such-conversation;",
    "GOODBYE answered": ANN + "ann > GOODBYE; ann < LISTED;",
    "after GOODBYE": ANN + "ann > GOODBYE; ann > LIST; ann < LISTED; ann |;",
    "lost at GOODBYE": ANN + "ann > LIST; ann > GOODBYE; ann |;",
    "lost at the end": ANN + "ann > LIST; ann |;",
    "name not freed": ANN + "ann > GOODBYE; ann |; b > REGISTER ann x; b < ERROR name-in-use;",
    "ended by nobody": ANN + "ann > LIST; ann < LISTED; ann |;",
    "malformed and deaf": ANN + 'ann ! STATUS "\\n; ann > LIST; ann < LISTED;',
    "unknown and silent": ANN + "ann ! FROB x\\n; ann > LIST; ann < LISTED;",
    "extension answered twice": ANN
    + "ann ! _ACME_X\\n; ann < ERROR invalid; ann < ERROR invalid; ann > LIST; ann < LISTED;",
    "extension of a stranger": "ann ! _ACME_X\\n; ann > REGISTER ann x; ann < ROSTER ann=x;",
    "stranger stays": "ann ! POST / HTTP\\n; ann < ERROR unknown-command; ann > REGISTER ann x; ann < ROSTER ann=x;",
    "unfinished but done": ANN + BO + "bo ! STATUS y; bo /; bo |; ann < ROSTER ann=x bo=y;",
    "reset but there": ANN
    + BO
    + "ann > LIST; ann < LISTED; bo x; ann < ROSTER ann=x; ann > LIST; ann < LISTED; ann < ROSTER ann=x bo=x;",
    "kicked but speaking": ANN + "ann > LIST; ann < ERROR timeout; ann < LISTED;",
}


@pytest.mark.parametrize("script", BAD.values(), ids=BAD)
def test_what_is_wrong_is_complained_of(script: str) -> None:
    """A violation that nothing explains is a complaint, at an entry of the transcript."""
    transcript = seen(script)
    try:
        found = judge(transcript)
    except Inconclusive as error:
        pytest.fail(str(error))
    assert len(found) == 1
    assert 0 <= found[0].index < len(transcript.entries)


@pytest.mark.parametrize(
    ("name", "clause"),
    [
        ("wrong sender", "MESSAGE-2"),
        ("wrong text", "MESSAGE-4"),
        ("no copy", "SEND-3"),
        ("message lost", "SEND-2"),
        ("wrong source", "INVITATION-5"),
        ("list in another order", "LIST-8"),
        ("list unasked", "LIST-4"),
        ("first roster without oneself", "PRESENCE-3"),
        ("roster before register", "CONN-16"),
    ],
)
def test_the_clause_is_named(name: str, clause: str) -> None:
    """A complaint names the clause that was violated."""
    assert [each.clause for each in judge(seen(BAD[name]))] == [clause]


def test_an_error_needs_a_code() -> None:
    """A plain text is no ERROR of this protocol."""
    transcript = Transcript("", [Entry("ann", Event.RECEIVED, Error("no"))])
    assert str(judge(transcript)[0]).startswith("ERROR-2: ")


def test_nonsense_is_a_fault() -> None:
    """What a client cannot read is a complaint."""
    transcript = Transcript("", [Entry("ann", Event.FAULT, "bytes")])
    assert judge(transcript) == [
        Complaint("CODEC-7", "ann received what is no message of a server: bytes", 0)
    ]


@pytest.mark.parametrize(
    ("codec", "data"),
    [("json", b"[\n"), ("ascii", b'"\n'), ("msgpack", b"\0\0\0\0"), ("pickle", b"STATUS c")],
)
def test_messages_keep_apart_what_is_malformed(codec: str, data: bytes) -> None:
    """On a transport of messages the next one is read, whatever was wrong with the one before (WS-9)."""
    nonsense = [Entry("ann", Event.RAW, data, data=data), Entry("ann", Event.RECEIVED, Error("malformed: "))]
    listed = [Entry("ann", Event.SENT, ListConversations()), Entry("ann", Event.RECEIVED, Conversations({}))]
    start = seen(ANN).entries
    assert judge(Transcript("", [*start, *nonsense, *listed], {"ann": codec}, messages=True)) == []
    assert judge(Transcript("", [*start, *listed, nonsense[1]], {"ann": codec}, messages=True)) != []
    stream = Transcript("", [*start, *nonsense, *listed], {"ann": codec})
    assert bool(judge(stream)) is (codec == "pickle")


def test_many_streams_in_another_codec() -> None:
    """Each of many connections may have been read and answered in the codec that its first bytes decide (CODEC-17)."""
    data, answer = b"GOp0\nODBYE ]q\x01.", b'ERROR "malformed: "\n'
    names = [f"noise{number}" for number in range(8)]
    entries = [
        entry
        for name in names
        for entry in (
            Entry(name, Event.RAW, data, data=data),
            Entry(name, Event.FAULT, "no pickle", data=answer),
            Entry(name, Event.CLOSED),
        )
    ]
    assert judge(Transcript("", entries, dict.fromkeys(names, "pickle")), Profile(["pickle"])) == []


def test_too_many_ways_to_read_streams() -> None:
    """There is no verdict if none of the ways that were tried explains what happened, and there are more of them."""
    data = b"STATUS (X\x00\x00\x00\x0dabc"  # a server may wait for so many bytes, or refuse them at once
    names = [f"noise{number}" for number in range(5)]
    entries = [
        entry
        for name in names
        for entry in (
            Entry(name, Event.RAW, data, data=data),
            Entry(name, Event.HALF_CLOSED),
            Entry(name, Event.CLOSED),
        )
    ]
    codecs = dict.fromkeys(names, "pickle")
    assert judge(Transcript("", entries[:12], codecs)) == []
    with pytest.raises(Inconclusive, match="ways to read"):
        judge(Transcript("", entries, codecs))


@pytest.mark.parametrize(
    ("code", "lawful"), [("malformed", True), ("no-such-conversation", True), ("invalid", False)]
)
def test_doubled_keys(code: str, lawful: bool) -> None:
    """An object with a key twice may be refused as malformed, also where it was read as a request (JSON-14)."""
    data = b'{"type":"JOIN","conversation":"8","conversation":"9"}\n'
    join = [Entry("ann", Event.SENT, Join("9"), data=data), Entry("ann", Event.RECEIVED, Error(f"{code}: "))]
    complaints = judge(Transcript("", [*seen(ANN).entries, *join], {"ann": "json"}))
    assert (complaints == []) is lawful
    pieces = [Entry("ann", Event.RAW, piece, data=piece) for piece in (data[:30], data[30:])]
    complaints = judge(Transcript("", [*seen(ANN).entries, *pieces, join[1]], {"ann": "json"}))
    assert (complaints == []) is lawful


@pytest.mark.parametrize(("status", "lawful"), [("a", True), ("b", True), ("a b", False), ("here", False)])
def test_either_of_doubled_keys(status: str, lawful: bool) -> None:
    """Of two keys a server may take the first or the last, and nothing else (JSON-14)."""
    data = b'{"type":"STATUS","status":"a","status":"b"}\n'
    sent = Entry("ann", Event.SENT, Status("b"), data=data)
    shown = Entry("ann", Event.RECEIVED, OnlineUsers({"ann": status}))
    listed = [
        Entry("ann", Event.SENT, ListConversations()),
        Entry("ann", Event.RECEIVED, Conversations({})),
    ]
    complaints = judge(Transcript("", [*seen(ANN).entries, sent, *listed, shown], {"ann": "json"}))
    assert (complaints == []) is lawful


@pytest.mark.parametrize(
    ("later", "presence", "told"), [(0.5, 1.0, False), (2.9, 1.0, False), (9.0, 1.0, True), (9.0, 5.0, False)]
)
@pytest.mark.parametrize(
    "change", ["bo > STATUS y; bo > LIST; bo < LISTED;", "bo > GOODBYE; bo |;", "bo /; bo |;"]
)
def test_changes_are_shown_in_time(change: str, later: float, presence: float, told: bool) -> None:
    """Who asks for a list long after a change, and was not shown it, was not shown it in time."""
    before, after = seen(ANN + BO + change), seen("ann > LIST; ann < LISTED; ann < ROSTER ann=x;")
    entries = [*before.entries, *(replace(entry, time=later) for entry in after.entries[:2])]
    complaints = judge(replace(before, entries=entries), Profile(presence=presence))
    assert [complaint.clause for complaint in complaints] == ["PRESENCE-4"] * told
    shown = Entry(
        "ann", Event.RECEIVED, OnlineUsers({"ann": "x"} if "LIST" not in change else {"ann": "x", "bo": "y"})
    )
    assert judge(replace(before, entries=[*before.entries, shown, *entries[-2:]]), Profile()) == []


def test_a_search_may_take_too_long() -> None:
    """It ends with no verdict when its budget is used up."""
    with pytest.raises(Inconclusive, match="states"):
        judge(seen(BAD["two orders"]), budget=3)


@pytest.mark.parametrize(
    ("script", "clause"),
    [
        (BAD["wrong text"], "MESSAGE-4"),
        (JOINED + "ann > SEND 1 a; ann < MESSAGE 1 ann a; ann < MESSAGE 1 ann a;", "MESSAGE-6"),
    ],
)
def test_what_needs_no_search(script: str, clause: str) -> None:
    """A message that nobody had said so often is wrong, however many orders are left to try."""
    assert [each.clause for each in judge(seen(script), budget=3)] == [clause]


@pytest.mark.parametrize(
    ("first", "codecs", "lawful"),
    [
        (b"NaN\n", ("json",), True),
        (b"NaN\n", ("json", "msgpack"), True),
        (b"NaN\n", ("json", "ascii"), False),
        (b"{NaN\n", ("json",), False),
    ],
)
def test_first_bytes_of_a_codec_that_is_not_served(
    first: bytes, codecs: tuple[str, ...], lawful: bool
) -> None:
    """Who speaks what is not served may be left without a word, though only some of what is served is known (CODEC-15)."""
    entries = [Entry("ann", Event.RAW, first), Entry("ann", Event.CLOSED, "closed")]
    complaints = judge(Transcript(".s", entries, {"ann": "json"}), Profile(codecs=codecs))
    assert (complaints == []) is lawful


def test_private_servers_are_judged_by_their_policy() -> None:
    """What is right under one policy is wrong under the other."""
    script = TALK + CY + "cy > JOIN 1; cy < ERROR not-invited; cy > LIST; cy < LISTED;"
    assert judge(seen(script), Profile(private=True)) == []
    assert judge(seen(script)) != []


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("private", [False, True], ids=["open", "private"])
def test_what_the_model_does_is_accepted(seed: int, private: bool) -> None:
    """Any interleaving of requests and responses that follows the model has an order that explains it."""
    assert judge(play(seed, resets=seed % 2 == 1, private=private), Profile(private=private)) == []


@pytest.mark.parametrize("seed", range(8))
def test_what_was_changed_is_told(seed: int) -> None:
    """A history in which one reply is lost, doubled or altered has no order that explains it."""
    wrong = dict(changes(play(seed, moves=160), seed))
    assert len(wrong) > 3
    assert [what for what, seen in wrong.items() if not judge(seen)] == []


def test_a_long_transcript() -> None:
    """Hundreds of messages of several users take few steps: each has one place in the order."""
    history = History(0, ("ann", "bo", "cy"))
    for label in history.labels:
        history.ask(label, Register(label, "x"))
    history.settle()
    history.ask("ann", Invite(("bo", "cy")))
    history.settle()
    for label in history.labels:
        history.ask(label, Join("1"))
    history.settle()
    for number in range(100):
        for label in history.labels:
            history.ask(label, SendMessage("1", f"{label} {number}"))
    history.settle()
    assert judge(history.seen, budget=1000) == []
    assert judge(_without(history.seen, -20), budget=1000)


def _without(seen: Transcript, place: int) -> Transcript:
    """Leave out one of the messages that were received."""
    messages = [index for index, entry in enumerate(seen.entries) if isinstance(entry.item, Message)]
    return replace(seen, entries=[e for index, e in enumerate(seen.entries) if index != messages[place]])


JUDGES = (
    "model",
    "asked",
    "scope",
    "outcomes",
    "search",
    "evidence",
    "freshness",
    "faults",
    "blame",
    "judge",
)


@pytest.mark.parametrize("name", JUDGES)
def test_the_judge_shares_nothing_with_a_server(name: str) -> None:
    """Neither a module of the judge nor what it imports holds the server's own idea of the specification."""
    loaded = subprocess.run(
        [sys.executable, "-c", f"import sys, improto_conformance.judging.{name}; print(*sys.modules)"],
        capture_output=True, text=True, check=True, timeout=DEADLINE,
    ).stdout.split()  # fmt: skip
    assert f"improto_conformance.judging.{name}" in loaded
    own = {"server", "service", "states", "wire", "outbox", "client", "bindings"}
    assert {module.split(".")[1] for module in loaded if module.startswith("improto.")}.isdisjoint(own)


@pytest.mark.parametrize(
    ("others", "private", "clauses"),
    [(" zoe=x", True, []), ("", True, ["JOIN-8"]), (" zoe=x", False, ["JOIN-8"])],
)
def test_conversations_of_others(others: str, private: bool, clauses: list[str]) -> None:
    """Under the private policy others may have conversations that no list shows; nobody else may."""
    script = f"ann > REGISTER ann.s x; ann < ROSTER ann.s=x{others}; ann > JOIN 7; ann < ERROR not-invited;"
    entries = seen(script).entries
    found = judge(Transcript(".s", entries, {"ann": "ascii"}), Profile(private=private))
    assert [each.clause for each in found] == clauses


def test_many_parties() -> None:
    """What a judgement remembers is bounded: with thousands of parties it is rather not sure."""
    seen = Transcript(".x")
    for number in range(2500):
        party = f"u{number}"
        seen.codecs[party] = "json"
        seen.entries.append(Entry(party, Event.SENT, ListConversations()))
        seen.entries.append(Entry(party, Event.RECEIVED, Error("not-registered: register first")))
    with pytest.raises(Inconclusive, match="first 800 states"):
        judge(seen)


def _in(codec: str, script: str) -> Case:
    """Read a script as what happened in a codec."""
    transcript = seen(script)
    return Case.of(replace(transcript, codecs=dict.fromkeys(transcript.codecs, codec)))


@pytest.mark.parametrize("name", [name for name in GOOD if "!" not in GOOD[name]])
def test_equal_cases(name: str) -> None:
    """What happens the same in two codecs is one case, which has to be judged once."""
    assert _in("ascii", GOOD[name]) == _in("msgpack", GOOD[name])
    assert _in("ascii", GOOD[name]) != _in("ascii", GOOD[name] + "zoe > REGISTER zoe x;")


def test_cases_that_differ_by_their_size() -> None:
    """A message that only one codec makes too large for a stranger is not the same case in another."""
    long = f"ann > REGISTER ann {'é' * 2000};"
    assert _in("json", long) != _in("ascii", long)


def test_cases_that_differ_by_their_bytes() -> None:
    """Bytes mean what the codec makes of them."""
    raw = ANN + "ann ! STATUS y\\n;"
    assert _in("json", raw) != _in("ascii", raw)
