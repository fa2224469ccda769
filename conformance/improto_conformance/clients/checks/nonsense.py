"""Checks of what a client makes of what it does not know, cannot read, or cannot make sense of."""

import pickle
from collections.abc import Mapping
from functools import partial

from improto.messages import (
    Conversations,
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
    Request,
    SendMessage,
    Status,
)
from improto_conformance.clients.check import check, framed
from improto_conformance.clients.lines import IGNORED
from improto_conformance.clients.stage import Stage

_Bytes = Mapping[str, bytes]
"""The bytes of something in each codec that has it."""


def _packed(text: bytes) -> bytes:
    return b"\xda" + len(text).to_bytes(2) + text


_UNKNOWN: dict[str, _Bytes] = {
    "without-fields": {
        "ascii": b"PING\n",
        "json": b'{"type":"PING"}\n',
        "msgpack": framed(b"\x91\xa4PING"),
        "pickle": b"PING (l.",
    },
    "of-20-letters": {
        "ascii": b"A_COMMAND_OF_20_CHAR \n".replace(b"20", b"XX"),
        "json": b'{"type":"A_COMMAND_OF_XX_CHAR","x":"y"}\n',
        "msgpack": framed(b"\x92\xb4A_COMMAND_OF_XX_CHAR\xa1y"),
        "pickle": b"A_COMMAND_OF_XX_CHAR (S'y'\nl.",
    },
    "with-fields-of-all-types": {
        "ascii": b'WEATHER today "a b" x= \n',
        "json": b'{"type":"WEATHER","a":1.5,"b":[true,null,{"c":"d"}],"e":-1e400}\n',
        "msgpack": framed(b"\x96\xa7WEATHER\x07\xc3\xc0\xcb\x3f\xf8\0\0\0\0\0\0\x91\x81\xa1a\xc4\x01\0"),
        "pickle": b"WEATHER (I7\nI01\nNF1.5\n(S'a'\n(ldl.",
    },
    "that-begins-like-another": {
        "ascii": b"ERROR_LIST 7 x\n",
        "json": b'{"type":"ERROR_LIST","message":"x"}\n',
        "msgpack": framed(b"\x92\xaaERROR_LIST\xa1x"),
        "pickle": b"ERROR_LIST (S'x'\nl.",
    },
    "of-an-extension": {
        "ascii": b"_ACME_TYPING 7 bo\n",
        "json": b'{"type":"_ACME_TYPING","conversation":"7"}\n',
        "msgpack": framed(b"\x92\xac_ACME_TYPING\xa17"),
        "pickle": b"_ACME_TYPING (S'7'\nl.",
    },
    "that-is-long": {
        "ascii": b'NEWS "' + b"x" * 60_000 + b'"\n',
        "json": b'{"type":"NEWS","text":"' + b"x" * 60_000 + b'"}\n',
        "msgpack": framed(b"\x92\xa4NEWS" + _packed(b"x" * 60_000)),
        "pickle": b"NEWS (S'" + b"x" * 60_000 + b"'\nl.",
    },
    "that-is-unreadable-inside": {
        "ascii": b'NEWS "a\\u00e9\\ud83d\\ude00"\n',
        "json": '{"type":"NEWS","é":"\U0001f600"}\n'.encode(),
        "msgpack": framed(b"\x92\xa4NEWS\xc7\x02\x05ab"),
        "pickle": b"NEWS (S'\\xff\\xfe'\nl.",
    },
}


_PING = _UNKNOWN["without-fields"]


def _between_rosters(data: _Bytes, times: int, stage: Stage) -> None:
    stage.enter("bo")
    for _ in range(times):
        stage.serve_bytes(data[stage.codec.name])
        stage.tells(IGNORED)
    stage.serve(stage.roster("bo", "cy"))
    stage.tells(OnlineUsers)


for _name, _data in _UNKNOWN.items():
    check(
        "CLIENT-6",
        f"the client ignores an unknown command {_name.replace('-', ' ')}, and tells its user",
        name=f"unknown-{_name}",
        codecs=tuple(_data),
        alone=True,
    )(partial(_between_rosters, _data, 1))


@check("CLIENT-6", "a hundred unknown commands in a row change nothing", codecs=tuple(_PING), alone=True)
def unknown_often(stage: Stage) -> None:
    _between_rosters(_PING, 100, stage)


@check(
    "CLIENT-6",
    "an unknown command before the first roster is ignored, and the roster counts",
    codecs=tuple(_PING),
    alone=True,
)
def unknown_before_the_roster(stage: Stage) -> None:
    register = stage.register()
    stage.serve_bytes(_PING[stage.codec.name])
    stage.serve(OnlineUsers({register.username: register.status}))
    stage.tells(OnlineUsers)


@check("CLIENT-6", "after an unknown command the client does what its user wants", codecs=tuple(_PING))
def unknown_then_on(stage: Stage) -> None:
    stage.enter("bo")
    stage.serve_bytes(_PING[stage.codec.name])
    stage.tells(IGNORED)
    stage.join("7")
    stage.ask(SendMessage("7", "never mind"))
    stage.sends(SendMessage)


check(
    "CLIENT-6",
    "the client ignores an unknown command with values of all types in the forms of protocol 2, and tells its user",
    name="unknown-with-values-of-protocol-2",
    codecs=("pickle",),
    alone=True,
)(
    partial(
        _between_rosters,
        {"pickle": b"WEATHER " + pickle.dumps([True, False, None, 1.5, 2**2100, (), {"a": (1, 2)}], 2)},
        1,
    )
)

_REQUESTS: tuple[Request, ...] = (
    Register("bo", "x"),
    Status("x"),
    Invite(("ann",)),
    Join("7"),
    SendMessage("7", "x"),
    Leave("7"),
    ListConversations(),
    Goodbye(),
)


def _request_served(request: Request, stage: Stage) -> None:
    stage.enter("bo")
    stage.serve(request)
    stage.tells(IGNORED)
    stage.serve(stage.roster("bo", "cy"))
    stage.tells(OnlineUsers)


for _request in _REQUESTS:
    check(
        "CLIENT-6",
        f"{_request.COMMAND} from a server is a command that the client does not know",
        name=f"served-{_request.COMMAND.lower().replace('_', '-')}",
        alone=True,
    )(partial(_request_served, _request))

_DEEP = 100_000

_MALFORMED: dict[str, _Bytes] = {
    "an-open-quote": {"ascii": b'ERROR "plain\n', "json": b'{"type":"ERROR","message":"plain}\n'},
    "an-open-bracket": {
        "json": b'{"type":"ERROR","message":"plain"\n',
        "msgpack": framed(b"\x93\xa5ERROR\xa1x"),
    },
    "what-is-no-message-at-all": {
        "ascii": b"{}\n",
        "json": b'["ERROR","plain"]\n',
        "msgpack": framed(b"\x81\xa5ERROR\xa5plain"),
    },
    "nothing-at-all": {"json": b"null\n", "msgpack": framed(b"\xc0")},
    "a-bare-number": {"json": b"7\n", "msgpack": framed(b"\x07")},
    "a-bare-text": {"json": b'"ERROR"\n', "msgpack": framed(b"\xa5ERROR")},
    "no-command": {"json": b'{"message":"plain"}\n', "msgpack": framed(b"\x90")},
    "a-number-for-a-command": {
        "json": b'{"type":7,"message":"plain"}\n',
        "msgpack": framed(b"\x92\x07\xa5plain"),
    },
    "a-list-for-a-command": {
        "json": b'{"type":["ERROR"],"message":"plain"}\n',
        "msgpack": framed(b"\x92\x91\xa5ERROR\xa5plain"),
    },
    "an-empty-or-blank-command": {
        "ascii": b'"" x\n',
        "json": b'{"type":"","message":"x"}\n',
        "msgpack": framed(b"\x92\xa0\xa1x"),
    },
    "a-command-in-small-letters": {
        "ascii": b"error plain\n",
        "json": b'{"type":"error","message":"plain"}\n',
        "msgpack": framed(b"\x92\xa5error\xa5plain"),
    },
    "a-command-with-a-blank-behind": {
        "json": b'{"type":"ERROR ","message":"plain"}\n',
        "msgpack": framed(b"\x92\xa6ERROR \xa5plain"),
    },
    "a-command-that-each-object-has": {
        "ascii": b"constructor plain\n",
        "json": b'{"type":"constructor","message":"plain"}\n',
        "msgpack": framed(b"\x92\xabconstructor\xa5plain"),
    },
    "bytes-that-are-no-utf-8": {
        "ascii": b"ERROR pl\xe4in\n",
        "json": b'{"type":"ERROR","message":"pl\xe4in"}\n',
        "msgpack": framed(b"\x92\xa5ERROR\xa5pl\xe4in"),
    },
    "a-lone-surrogate": {
        "ascii": b'ERROR "\\ud83d"\n',
        "json": b'{"type":"ERROR","message":"\\ude00"}\n',
        "msgpack": framed(b"\x92\xa5ERROR\xa3\xed\xa0\xbd"),
    },
    "a-lone-surrogate-in-a-name": {
        "ascii": b'ONLINE_USERS ann=here "\\ud83d"=x\n',
        "json": b'{"type":"ONLINE_USERS","users":{"ann":"here","\\ud83d":"x"}}\n',
        "msgpack": framed(b"\x92\xacONLINE_USERS\x82\xa3ann\xa4here\xa3\xed\xa0\xbd\xa1x"),
    },
    "a-lone-surrogate-in-what-is-ignored": {"json": b'{"type":"ERROR","message":"plain","x":"\\ud83d"}\n'},
    "a-carriage-return-as-it-is": {
        "ascii": b"ERROR a\rb\n",
        "json": b'{"type":"ERROR","message":"a\rb"}\n',
    },
    "a-control-as-it-is": {"ascii": b"ERROR a\x07b\n", "json": b'{"type":"ERROR","message":"a\x07b"}\n'},
    "five-levels": {
        "json": b'{"type":"ERROR","message":"plain","x":[[[[1]]]]}\n',
        "msgpack": framed(b"\x92\xa4PING\x91\x91\x91\x91\x01"),
    },
    "100000-levels": {
        "json": b'{"type":"ERROR","message":"plain","x":' + b"[" * _DEEP + b"]" * _DEEP + b"}\n",
        "msgpack": framed(b"\x92\xa4PING" + b"\x91" * _DEEP + b"\x01"),
    },
    "something-behind-the-message": {
        "ascii": b'ERROR plain"\n',
        "json": b'{"type":"ERROR","message":"plain"} {}\n',
        "msgpack": framed(b"\x92\xa5ERROR\xa5plain\0"),
    },
    "not-a-number": {"json": b'{"type":"ERROR","message":"plain","x":NaN}\n'},
    "infinity": {"json": b'{"type":"ERROR","message":"plain","x":-Infinity}\n'},
    "a-comma-too-much": {"json": b'{"type":"ERROR","message":"plain",}\n'},
    "single-quotes": {"json": b"{'type':'ERROR','message':'plain'}\n"},
    "utf-16": {"json": '{"type":"ERROR","message":"plain"}'.encode("utf-16-be") + b"\n"},
    "a-byte-order-mark": {
        "json": b'\xef\xbb\xbf{"type":"ERROR","message":"plain"}\n',
        "ascii": b"\xef\xbb\xbfERROR plain\n",
    },
    "an-empty-frame": {"msgpack": framed(b"")},
    "a-byte-that-means-nothing": {"msgpack": framed(b"\x92\xa5ERROR\xc1"), "ascii": b"ERROR a\0b\n"},
    "a-count-beyond-the-message": {"msgpack": framed(b"\x92\xa5ERROR\xdd\xff\xff\xff\xff")},
}

for _name, _data in _MALFORMED.items():
    check(
        "CLIENT-18",
        f"{_name.replace('-', ' ')} is malformed: the client tells its user, and reads the next message",
        name=_name,
        codecs=tuple(_data),
        alone=True,
    )(partial(_between_rosters, _data, 1))

_WRONG: dict[str, _Bytes] = {
    "a-number-for-a-text": {
        "json": b'{"type":"ERROR","message":7}\n',
        "msgpack": framed(b"\x92\xa5ERROR\x07"),
        "pickle": b"ERROR I7\n.",
    },
    "nothing-for-a-text": {
        "json": b'{"type":"MESSAGE","conversation":"7","sender":"bo","text":null}\n',
        "msgpack": framed(b"\x94\xa7MESSAGE\xa17\xa2bo\xc0"),
        "pickle": b"MESSAGE (S'7'\nS'bo'\nNl.",
    },
    "a-list-for-a-text": {
        "json": b'{"type":"ERROR","message":["plain"]}\n',
        "msgpack": framed(b"\x92\xa5ERROR\x91\xa5plain"),
    },
    "a-list-for-an-id": {
        "json": b'{"type":"INVITATION","conversation":["7"],"source":"bo"}\n',
        "msgpack": framed(b"\x93\xaaINVITATION\x91\xa17\xa2bo"),
        "pickle": b"INVITATION ((S'7'\nlS'bo'\nl.",
    },
    "a-number-for-an-id": {
        "json": b'{"type":"INVITATION","conversation":7,"source":"bo"}\n',
        "msgpack": framed(b"\x93\xaaINVITATION\x07\xa2bo"),
    },
    "several-words-for-a-text": {"ascii": b"ERROR not so plain\n"},
    "no-field-at-all": {
        "ascii": b"ERROR\n",
        "json": b'{"type":"ERROR"}\n',
        "msgpack": framed(b"\x91\xa5ERROR"),
        "pickle": b"ERROR (l.",
    },
    "a-field-in-capitals": {"json": b'{"type":"ERROR","Message":"plain"}\n'},
    "nothing-for-a-status": {
        "json": b'{"type":"ONLINE_USERS","users":{"ann":"here","bo":null}}\n',
        "msgpack": framed(b"\x92\xacONLINE_USERS\x82\xa3ann\xa4here\xa2bo\xc0"),
        "pickle": b"ONLINE_USERS (S'ann'\nS'here'\nS'bo'\nNd.",
    },
    "nothing-for-a-map": {
        "json": b'{"type":"ONLINE_USERS","users":null}\n',
        "msgpack": framed(b"\x92\xacONLINE_USERS\xc0"),
        "pickle": b"ONLINE_USERS N.",
    },
    "a-field-too-few": {
        "ascii": b"INVITATION 7\n",
        "json": b'{"type":"INVITATION","conversation":"7"}\n',
        "msgpack": framed(b"\x92\xaaINVITATION\xa17"),
        "pickle": b"INVITATION (S'7'\nl.",
    },
    "a-field-too-many": {
        "ascii": b"INVITATION 7 bo cy\n",
        "msgpack": framed(b"\x94\xaaINVITATION\xa17\xa2bo\xa2cy"),
        "pickle": b"INVITATION (S'7'\nS'bo'\nS'cy'\nl.",
    },
    "a-list-for-a-map": {
        "ascii": b"ONLINE_USERS ann bo\n",
        "json": b'{"type":"ONLINE_USERS","users":["ann","bo"]}\n',
        "msgpack": framed(b"\x92\xacONLINE_USERS\x92\xa3ann\xa2bo"),
        "pickle": b"ONLINE_USERS (S'ann'\nS'bo'\nl.",
    },
    "a-status-that-is-no-text": {
        "json": b'{"type":"ONLINE_USERS","users":{"ann":"here","bo":true}}\n',
        "msgpack": framed(b"\x92\xacONLINE_USERS\x82\xa3ann\xa4here\xa2bo\xc3"),
        "pickle": b"ONLINE_USERS (S'ann'\nS'here'\nS'bo'\nI01\nd.",
    },
    "bytes-for-a-text": {"msgpack": framed(b"\x92\xa5ERROR\xc4\x05plain")},
    "a-key-twice": {
        "ascii": b"ONLINE_USERS ann=here bo=a bo=b\n",
        "msgpack": framed(b"\x92\xacONLINE_USERS\x83\xa3ann\xa4here\xa2bo\xa1a\xa2bo\xa1b"),
        "pickle": b"ONLINE_USERS (S'ann'\nS'here'\nS'bo'\nS'a'\nS'bo'\nS'b'\nd.",
    },
}

for _name, _data in _WRONG.items():
    check(
        "CODEC-5",
        f"{_name.replace('-', ' ')} makes a message without effect: the client tells its user, and reads the next one",
        name=_name,
        codecs=tuple(_data),
        alone=True,
    )(partial(_between_rosters, _data, 1))


def _and_more_at_once(data: _Bytes, stage: Stage) -> None:
    stage.enter("bo")
    stage.serve_bytes(data[stage.codec.name] + stage.encoded(stage.roster("bo", "cy")))
    stage.tells(OnlineUsers)


def _nothing_yet(data: _Bytes, stage: Stage) -> None:
    stage.register()
    stage.serve_bytes(data[stage.codec.name])
    stage.serve(Invitation("7", "bo"))
    stage.serve(stage.roster("bo"))
    stage.tells(OnlineUsers)


_STRAY = _MALFORMED["what-is-no-message-at-all"]
_WRONG_ERROR, _WRONG_ROSTER = _WRONG["no-field-at-all"], _WRONG["a-status-that-is-no-text"]

for _clause, _name, _data in (
    ("CLIENT-6", "an-unknown-command", _PING),
    ("CLIENT-18", "a-malformed-message", _STRAY),
    ("CODEC-5", "a-message-with-wrong-fields", _WRONG_ERROR),
):
    check(
        _clause,
        f"what comes in one read with {_name.replace('-', ' ')} is read, too",
        name=f"in-one-read-with-{_name}",
        codecs=tuple(_data),
        alone=True,
    )(partial(_and_more_at_once, _data))

for _clause, _name, _data in (
    ("CLIENT-18", "a-malformed-message", _STRAY),
    ("CODEC-5", "an-error-with-wrong-fields", _WRONG_ERROR),
    ("CODEC-5", "a-roster-with-wrong-fields", _WRONG_ROSTER),
):
    check(
        _clause,
        f"{_name.replace('-', ' ')} is no answer to REGISTER: the client waits for the first roster",
        name=f"no-answer-by-{_name}",
        codecs=tuple(_data),
        alone=True,
    )(partial(_nothing_yet, _data))

_WRONG_LISTS: dict[str, _Bytes] = {
    "nothing-for-a-list": {
        "json": b'{"type":"CONVERSATIONS","conversations":{"7":null}}\n',
        "msgpack": framed(b"\x92\xadCONVERSATIONS\x81\xa17\xc0"),
        "pickle": b"CONVERSATIONS (S'7'\nNd.",
    },
    "nothing-for-a-member": {
        "json": b'{"type":"CONVERSATIONS","conversations":{"7":["ann",null]}}\n',
        "msgpack": framed(b"\x92\xadCONVERSATIONS\x81\xa17\x92\xa3ann\xc0"),
        "pickle": b"CONVERSATIONS (S'7'\n(S'ann'\nNld.",
    },
    "a-map-for-a-list": {
        "json": b'{"type":"CONVERSATIONS","conversations":{"7":{"ann":"x"}}}\n',
        "msgpack": framed(b"\x92\xadCONVERSATIONS\x81\xa17\x81\xa3ann\xa1x"),
        "pickle": b"CONVERSATIONS (S'7'\n(S'ann'\nS'x'\ndd.",
    },
    "a-text-for-a-list": {
        "json": b'{"type":"CONVERSATIONS","conversations":{"7":"ann"}}\n',
        "msgpack": framed(b"\x92\xadCONVERSATIONS\x81\xa17\xa3ann"),
        "pickle": b"CONVERSATIONS (S'7'\nS'ann'\nd.",
    },
}


def _wrong_reply(data: _Bytes, stage: Stage) -> None:
    stage.enter("bo")
    stage.ask(ListConversations())
    stage.sends(ListConversations)
    stage.serve_bytes(data[stage.codec.name])
    stage.tells(IGNORED)
    stage.serve_list()


for _name, _data in _WRONG_LISTS.items():
    check(
        "CODEC-5",
        f"{_name.replace('-', ' ')} makes a reply without effect: the client tells its user, and waits for the reply",
        name=_name,
        codecs=tuple(_data),
    )(partial(_wrong_reply, _data))

_LOST: dict[str, _Bytes] = {
    "small-letters": {"pickle": b"error S'plain'\n."},
    "an-opcode-off-the-list": {"pickle": b"ERROR cos\nsystem\n(S'true'\ntR."},
    "an-open-mark": {"pickle": b"ERROR ((S'plain'\nl."},
    "a-memo-that-was-not-put": {"pickle": b"ERROR g7\n."},
    "five-levels": {"pickle": b"PING (((((lllll."},
    "python-3-bytes": {"pickle": b"ERROR C\x05plain."},
    "the-whole-message-in-a-pickle": {"pickle": b"(S'ERROR'\nS'plain'\nl."},
    "a-line-without-an-end": {"pickle": b"ERROR S'plain\n."},
}


def _framing_lost(data: _Bytes, stage: Stage) -> None:
    stage.enter("bo")
    stage.serve_bytes(data[stage.codec.name])
    stage.read_to_end()


for _name, _data in _LOST.items():
    check(
        "CLIENT-18",
        f"{_name.replace('-', ' ')} loses the framing: the client tells so and closes",
        name=f"lost-by-{_name}",
        codecs=tuple(_data),
        alone=True,
    )(partial(_framing_lost, _data))

# Whoever makes the call has a text, and so an ERROR to tell of.
check(
    "PICKLE-3",
    "a call in a pickle is not made: the client tells of the loss of the framing and closes",
    name="call-in-a-pickle",
    codecs=("pickle",),
    alone=True,
)(partial(_framing_lost, {"pickle": b"ERROR cbuiltins\nstr\n(S'called'\ntR."}))

_SENSELESS: dict[str, tuple[Invitation | Message | OnlineUsers | Conversations, ...]] = {
    "message-of-an-invitation-only": (Invitation("7", "bo"), Message("7", "bo", "x")),
    "message-of-a-conversation-unheard-of": (Message("nowhere", "bo", "x"),),
    "empty-roster": (OnlineUsers({}),),
    "roster-with-a-name-like-ones-own": (OnlineUsers({"Ann": "x", "ann ": "y", "annn": "z"}),),
    "roster-with-a-name-that-looks-like-ones-own": (OnlineUsers({"ann\u200b": "x", "\uff41nn": "y"}),),
    "message-for-what-each-object-has": (Message("constructor", "bo", "x"), Message("__class__", "bo", "y")),
    "list-that-nobody-asked-for": (Conversations({"7": ("ann", "bo")}),),
}


def _senseless(
    messages: tuple[Invitation | Message | OnlineUsers | Conversations, ...], stage: Stage
) -> None:
    stage.enter("bo")
    stage.serve(*messages)
    stage.serve(stage.roster("bo", "cy"))


for _name, _messages in _SENSELESS.items():
    check(
        "CLIENT-19",
        f"the client ignores a {_name.replace('-', ' ')}, and tells its user",
        name=_name,
        alone=True,
    )(partial(_senseless, _messages))


@check("CLIENT-19", "a roster without a user whose name is an attribute that every object has is ignored")
def roster_without_what_objects_have(stage: Stage) -> None:
    stage.name = "constructor"
    stage.enter("bo")
    stage.serve(OnlineUsers({"bo": "x"}), stage.roster("cy"))


@check("CLIENT-19", "a roster with the user's name in another normal form is one without it")
def roster_with_ones_name_in_another_form(stage: Stage) -> None:
    stage.name = "Zoe\u0308"
    stage.enter("bo")
    stage.serve(OnlineUsers({"Zo\u00eb": "x", "bo": "y"}), stage.roster("cy"))


@check("CLIENT-19", "a roster without the user ends no membership and puts nobody offline")
def nothing_ends_by_a_roster_of_others(stage: Stage) -> None:
    stage.enter("bo")
    stage.join("7")
    stage.serve(OnlineUsers({"cy": "x"}))
    stage.tells(IGNORED)
    stage.ask(SendMessage("7", "still here"))
    stage.sends(SendMessage)
    stage.ask(Invite(("bo",)))
    stage.sends(Invite)


_BEFORE: dict[str, Message | Conversations | OnlineUsers] = {
    "message": Message("7", "bo", "x"),
    "list": Conversations({"7": ("ann",)}),
    "roster-of-others": OnlineUsers({"bo": "x"}),
}


def _before_the_roster(message: Message | Conversations | OnlineUsers, stage: Stage) -> None:
    register = stage.register()
    stage.serve(message)
    stage.serve(OnlineUsers({register.username: register.status, "bo": "x"}))
    stage.tells(OnlineUsers)


for _name, _early in _BEFORE.items():
    check(
        "CLIENT-19",
        f"the client ignores a {_name.replace('-', ' ')} before the first roster, and tells its user",
        name=f"early-{_name}",
        alone=True,
    )(partial(_before_the_roster, _early))


@check(
    "CLIENT-19", "a message of a conversation that was left long ago may be told of or not, and harms nothing"
)
def message_long_after_leave(stage: Stage) -> None:
    stage.enter("bo")
    stage.join("7")
    stage.ask(Leave("7"))
    stage.sends(Leave)
    stage.asks_for_list({"7": ("bo",)})
    stage.serve(Message("7", "bo", "still there?"), stage.roster())


@check("CLIENT-3", "an ERROR for what the client has sent is not answered, and nothing is sent again")
def error_is_not_answered(stage: Stage) -> None:
    stage.enter("bo")
    stage.join("7")
    stage.ask(SendMessage("7", "hello"))
    stage.sends(SendMessage)
    stage.serve(Error("rate-limited: slow down"), Error("not-member: you are not in it"))
    stage.serve(Error("no-such-conversation: it is gone"))
