"""Checks of what a client makes of rosters."""

from functools import partial

from improto.messages import Error, Invitation, ListConversations, OnlineUsers, Status
from improto_conformance.clients.check import check
from improto_conformance.clients.stage import Stage

_CHANGES = {
    "only-oneself-is-left": {},
    "a-new-status": {"bo": "back", "cy": "there"},
    "an-empty-status": {"bo": "", "cy": "there"},
    "everybody-else-new": {"dan": "x", "eve": "y"},
    "one-more": {"bo": "there", "cy": "there", "dan": "x"},
    "names-that-differ-in-case": {"bo": "1", "Bo": "2", "BO": "3"},
    "names-that-differ-in-their-normal-form": {"\u00e9": "1", "e\u0301": "2"},
    "names-that-each-object-has": {"constructor": "x", "__proto__": "y", "__class__": "z"},
    "marks-of-other-languages": {'<bo> & "co"': "<b>&amp;</b> \\n %s", "'cy'": " a\r\nb\tc "},
    "a-thousand": {f"user-{number}": "there" for number in range(1000)},
}


def _changed(others: dict[str, str], stage: Stage) -> None:
    stage.enter("bo", "cy")
    stage.deliver(OnlineUsers({stage.name: "here", **others}))


for _name, _others in _CHANGES.items():
    check(
        "CLIENT-7",
        f"a roster replaces the one before: {_name.replace('-', ' ')}",
        name=f"roster-{_name}",
        alone=True,
    )(partial(_changed, _others))


@check("CLIENT-7", "a user who went and comes back is shown again")
def back_again(stage: Stage) -> None:
    stage.enter("bo")
    for others in ((), ("bo",), (), ("bo", "cy")):
        stage.deliver(stage.roster(*others))


@check("CLIENT-7", "a roster without the client's own name changes nothing, and the next one counts")
def roster_of_others(stage: Stage) -> None:
    stage.enter("bo")
    stage.serve(OnlineUsers({"bo": "x", "cy": "y"}), OnlineUsers({}), stage.roster("cy"))


@check("CLIENT-7", "a roster that still shows the status from before STATUS is told of as it is")
def roster_of_before(stage: Stage) -> None:
    stage.enter("bo")
    stage.request(Status("busy"))
    stage.deliver(stage.roster("cy"))
    stage.serve(stage.roster("cy", status="busy"))


@check("PRESENCE-9", "the order of a roster's entries means nothing: oneself may be last", alone=True)
def oneself_last(stage: Stage) -> None:
    stage.enter("bo")
    stage.serve(OnlineUsers({"zoe": "x", "bo": "y", stage.name: "here"}))
    stage.serve(OnlineUsers({stage.name: "here", "zoe": "x", "bo": "y"}))


@check("CLIENT-8", "three hundred rosters that nobody asked for are all taken", alone=True)
def many_rosters(stage: Stage) -> None:
    stage.enter()
    for number in range(100):
        stage.serve(stage.roster(f"user-{number}"), stage.roster(), stage.roster())


@check("CLIENT-8", "a roster between a question and its reply is taken, and so is the reply")
def roster_before_the_reply(stage: Stage) -> None:
    stage.enter()
    stage.ask(ListConversations())
    stage.serve(stage.roster("bo"))
    stage.sends(ListConversations)
    stage.serve(stage.roster("cy"))
    stage.serve_list()
    stage.serve(stage.roster())


@check("CLIENT-8", "rosters go on after an ERROR", alone=True)
def roster_after_an_error(stage: Stage) -> None:
    stage.enter()
    stage.serve(Error("invalid: status"), stage.roster("bo"), Error("invalid: status"), stage.roster("cy"))


@check("STATUS-1", "STATUS carries the new status, and the roster that shows it is told of")
def new_status(stage: Stage) -> None:
    stage.enter("bo")
    stage.request(Status("at lunch"))
    stage.serve(stage.roster("bo", status="at lunch"))


@check("STATUS-1", "STATUS may be sent again and again, an empty one too")
def many_statuses(stage: Stage) -> None:
    stage.enter()
    for status in ("busy", "away", "", "busy"):
        stage.request(Status(status))


_BEYOND = {
    "a-name-of-300-characters": {"n" * 300: "x"},
    "an-empty-name": {"": "x"},
    "a-name-with-blanks-around": {" bo ": "x"},
    "a-name-with-controls": {"b\x07o\x1b[2J": "x"},
    "a-status-of-10000-characters": {"bo": "s" * 10_000},
}


def _roster_beyond(others: dict[str, str], stage: Stage) -> None:
    stage.enter()
    stage.deliver(OnlineUsers({stage.name: "here", **others}))


for _name, _others in _BEYOND.items():
    check("LIMIT-26", f"a client takes {_name.replace('-', ' ')} from its server", name=_name, alone=True)(
        partial(_roster_beyond, _others)
    )


@check("LIMIT-26", "a client takes an id of 200 characters with blanks from its server")
def an_odd_id(stage: Stage) -> None:
    stage.enter()
    stage.serve(Invitation("id \u00e9 " * 40, "bo"))


@check("LIMIT-26", "a client takes an ERROR of 5,000 characters from its server", alone=True)
def a_long_error(stage: Stage) -> None:
    stage.enter()
    stage.serve(Error("invalid: " + "y" * 5000))


@check("LIMIT-20", "a roster of 1 MiB is taken", alone=True)
def roster_of_1_mib(stage: Stage) -> None:
    stage.enter()
    stage.deliver(
        OnlineUsers({stage.name: "here", **{f"user-{number}": "s" * 16_000 for number in range(64)}})
    )


_MOST = 16 * 1024 * 1024


@check(
    "LIMIT-20",
    "a message of more than 16 MiB is told of as too large, and the client closes; but not before it is that long",
    codecs=("ascii", "json", "msgpack", "pickle"),
    alone=True,
)
def more_than_16_mib(stage: Stage) -> None:
    stage.enter()
    if stage.codec.name == "msgpack":
        stage.serve_bytes((_MOST + 1).to_bytes(4) + b"\x92\xa5ERROR")
    else:
        begun = {"ascii": b'ERROR "', "json": b'{"type":"ERROR","message":"', "pickle": b"ERROR S'"}
        stage.serve_bytes(begun[stage.codec.name].ljust(_MOST, b"x"))
        _see_it_there(stage)
        stage.serve_bytes(b"xx")
    stage.read_to_end()


@check(
    "LIMIT-20",
    "the 16 MiB are bytes, however few characters they are",
    codecs=("json",),
    alone=True,
)
def more_than_16_mib_of_long_characters(stage: Stage) -> None:
    stage.enter()
    stage.serve_bytes(b'{"type":"ERROR","message":"' + "\u00e9".encode() * (_MOST // 2))
    stage.read_to_end()


@check(
    "LIMIT-20",
    "a frame of 4 GiB is told of as too large, and the client closes",
    codecs=("msgpack",),
    alone=True,
)
def frame_of_4_gib(stage: Stage) -> None:
    stage.enter()
    stage.serve_bytes(b"\xff\xff\xff\xff\x92\xa5ERROR")
    stage.read_to_end()


@check("LIMIT-20", "a roster of 16 MiB is taken, to the last byte", alone=True)
def roster_of_16_mib(stage: Stage) -> None:
    stage.enter()
    users = {stage.name: "here", **{f"user-{number}": "s" * 500_000 for number in range(33)}}
    missing = _MOST - len(stage.codec.encode(OnlineUsers(users)))
    stage.deliver(OnlineUsers({**users, "user-0": "s" * (500_000 + missing)}))


@check("LIMIT-20", "a frame may have 16 MiB", codecs=("msgpack",))
def frame_of_16_mib(stage: Stage) -> None:
    stage.enter()
    stage.serve_bytes(_MOST.to_bytes(4) + b"\x92\xa5ERROR")
    _see_it_there(stage)


def _see_it_there(stage: Stage) -> None:
    """Have the client send something, if it can be told to."""
    if stage.driven:
        stage.request(Status("still here"))
