"""Checks of how the server's bytes arrive, and of the forms that they may have."""

import pickle
from functools import partial

from improto.messages import (
    AnyMessage,
    Conversations,
    Error,
    Invitation,
    ListConversations,
    Message,
    OnlineUsers,
    Status,
)
from improto_conformance.clients.check import check, framed
from improto_conformance.clients.stage import Stage


@check("CLIENT-5", "the first roster is read byte by byte", alone=True)
def roster_byte_by_byte(stage: Stage) -> None:
    register = stage.register()
    roster = stage.encoded(OnlineUsers({register.username: register.status, "bo": "away"}))
    for at in range(len(roster)):
        stage.serve_bytes(roster[at : at + 1])
    stage.tells(OnlineUsers)


@check("CLIENT-5", "all five commands are read byte by byte")
def five_byte_by_byte(stage: Stage) -> None:
    stage.enter("bo")
    stage.join("7")
    stage.request(ListConversations())
    five = (
        Conversations({"7": ("bo", stage.name)}),
        Message("7", "bo", "a b"),
        Error("invalid: x"),
        Invitation("8", "bo"),
    )
    data = stage.encoded(*five, stage.roster("bo"))
    for at in range(len(data)):
        stage.serve_bytes(data[at : at + 1])


@check("CLIENT-5", "a hundred messages that arrive together are all read, in order", alone=True)
def a_hundred_at_once(stage: Stage) -> None:
    stage.enter("bo")
    stage.serve(*(Invitation(str(number), "bo") for number in range(100)))


@check("CLIENT-5", "a thousand messages, 100 in a write, are all read, in order")
def a_thousand(stage: Stage) -> None:
    stage.enter("bo")
    stage.join("7")
    for part in range(10):
        stage.serve(*(Message("7", "bo", str(100 * part + number)) for number in range(100)))


@check("CLIENT-5", "messages that are longer than one read are read completely")
def beyond_one_read(stage: Stage) -> None:
    stage.enter("bo")
    stage.join("7")
    for size in (1023, 1024, 1025, 4096, 8192):
        stage.deliver(Message("7", "bo", "x" * size))


@check("CONN-5", "a message is handled at once whose length is a round number, as those of buffers are")
def as_long_as_a_buffer(stage: Stage) -> None:
    stage.enter("bo")
    stage.join("7")
    for size in (1 << power for power in range(9, 17)):
        missing = size - len(stage.encoded(Message("7", "bo", "x" * 256)))
        stage.deliver(Message("7", "bo", "x" * (256 + missing)))


_OFFSETS = (1, 2, 4, 5, 8, 13, 21)


def _cut_at(offset: int, stage: Stage) -> None:
    stage.enter("bo")
    stage.join("7")
    first, second = stage.encoded(Message("7", "bo", "one")), stage.encoded(Message("7", "bo", "two"))
    stage.serve_bytes(first + second[:offset])
    stage.tells(Message)  # so the rest is another read
    stage.serve_bytes(second[offset:])
    stage.tells(Message)


for _offset in _OFFSETS:
    check(
        "CONN-4",
        f"a message is read whose first {_offset} bytes came with the one before",
        name=f"cut-after-{_offset}-bytes",
    )(partial(_cut_at, _offset))


@check("CONN-4", "a message is read of which only the last byte was missing")
def all_but_the_last_byte(stage: Stage) -> None:
    stage.enter("bo")
    stage.join("7")
    message = stage.encoded(Message("7", "bo", "one"))
    stage.serve_bytes(stage.encoded(stage.roster("cy")) + message[:-1])
    stage.tells(OnlineUsers)
    stage.serve_bytes(message[-1:])
    stage.tells(Message)


@check("CLIENT-5", "a character is read whose bytes came apart")
def half_a_character(stage: Stage) -> None:
    stage.enter("bo")
    stage.join("7")
    message = stage.encoded(Message("7", "bo", "\U0001f600" * 9))
    for at in range(len(message) - 24, len(message) - 16):
        stage.serve_bytes(stage.encoded(stage.roster("cy")) + message[:at])
        stage.tells(OnlineUsers)
        stage.serve_bytes(message[at:])
        stage.tells(Message)


@check("CLIENT-5", "a part of a message in which an earlier connection ended is no part of the next one")
def nothing_is_left_of_a_message(stage: Stage) -> None:
    stage.after_another(_end_within_a_message)
    stage.enter("bo")


def _end_within_a_message(stage: Stage) -> None:
    stage.enter("bo")
    roster = stage.encoded(stage.roster("cy"))
    stage.serve_bytes(roster + roster[: len(roster) // 2])
    stage.tells(OnlineUsers)


@check("CONN-5", "a message is handled at once, and not only when the next one comes")
def handled_at_once(stage: Stage) -> None:
    stage.enter("bo")
    stage.invite("7")
    stage.deliver(stage.roster("cy"))
    stage.deliver(Error("invalid: x"))


@check("CONN-5", "all complete messages of a read are handled, though the last one is cut")
def handled_before_a_part(stage: Stage) -> None:
    stage.enter("bo")
    stage.join("7")
    whole = [Message("7", "bo", str(number)) for number in range(5)]
    part = stage.encoded(stage.roster("bo"))
    stage.serve_bytes(stage.encoded(*whole) + part[: len(part) // 2])
    for _ in whole:
        stage.tells(Message)
    stage.serve_bytes(part[len(part) // 2 :])
    stage.tells(OnlineUsers)


@check("CONN-5", "whatever comes right before the end of the stream is handled", alone=True)
def handled_before_the_end(stage: Stage) -> None:
    stage.enter("bo")
    stage.serve(Invitation("7", "bo"), Error("shutting-down: good night"))
    stage.end()


@check("CONN-8", "`rate-limited` for an earlier request does not take away the reply to a question")
def refusal_before_the_reply(stage: Stage) -> None:
    stage.enter("bo")
    stage.request(Status("busy"))
    stage.request(ListConversations())
    stage.deliver(Error("rate-limited: slow down"))
    stage.serve_list()


@check("CONN-8", "an event between a question and its reply disturbs neither")
def event_before_the_reply(stage: Stage) -> None:
    stage.enter("bo")
    stage.join("7")
    stage.request(ListConversations())
    stage.serve(Message("7", "bo", "quick"), Invitation("8", "bo"), Error("invalid: x"))
    stage.deliver(Conversations({"7": ("bo", stage.name), "8": ("bo",)}))


_STATUS = "a status"
_SHARED = {"ann": _STATUS, **{f"user-{number}": f"status {number}" for number in range(300)}, "bo": _STATUS}
_SHARED["cy"] = _SHARED["user-299"]
"""More texts than a memo has numbers of one byte, and some twice."""

_FORMS: dict[tuple[str, str, str, str], tuple[bytes, AnyMessage]] = {
    ("ascii", "ASCII-2", "cr-lf", "a line may end with CR LF"): (b"ERROR plain\r\n", Error("plain")),
    ("ascii", "ASCII-3", "blank-lines", "blank lines are skipped"): (
        b"\n  \n\r\nERROR plain\n\n",
        Error("plain"),
    ),
    ("ascii", "ASCII-5", "quoted", "what could be a bare word may be quoted"): (
        b'INVITATION "7" "bo"\n',
        Invitation("7", "bo"),
    ),
    ("ascii", "ASCII-5", "blanks", "there may be more blanks than one"): (
        b"  INVITATION   7    bo  \n",
        Invitation("7", "bo"),
    ),
    ("ascii", "ASCII-4", "escapes", "any character may be an escape"): (
        b'ERROR "\\u0070\\u006c\\/ain\\t\\u00e9\\u00C9"\n',
        Error("pl/ain\t\u00e9\u00c9"),
    ),
    ("ascii", "ASCII-6", "backslash", "a backslash in a bare word means itself"): (
        b"ERROR a\\n\n",
        Error("a\\n"),
    ),
    ("ascii", "ASCII-9", "pairs", "two escapes are one astral character"): (
        b'ERROR "\\ud83d\\ude00"\n',
        Error("\U0001f600"),
    ),
    ("ascii", "ASCII-7", "quoted-items", "items of a map may be quoted"): (
        b'ONLINE_USERS "ann"="here" bo="a,b=c \\""\n',
        OnlineUsers({"ann": "here", "bo": 'a,b=c "'}),
    ),
    ("json", "JSON-4", "cr-lf", "a line may end with CR LF"): (
        b'{"type":"ERROR","message":"plain"}\r\n',
        Error("plain"),
    ),
    ("json", "JSON-5", "blank-lines", "blank lines are skipped"): (
        b'\n \t\n\r\n{"type":"ERROR","message":"plain"}\n\n',
        Error("plain"),
    ),
    ("json", "JSON-6", "white-space", "there may be white space around everything"): (
        b' {\t"type" : "ERROR" ,  "message":\t"plain" } \n',
        Error("plain"),
    ),
    ("json", "JSON-6", "carriage-returns", "a CR is white space too, wherever it stands"): (
        b'\r{"type":\r"ERROR",\r\r"message":"plain"\r}\r\r\n',
        Error("plain"),
    ),
    ("json", "JSON-6", "other-order", "the keys may come in any order"): (
        b'{"source":"bo","conversation":"7","type":"INVITATION"}\n',
        Invitation("7", "bo"),
    ),
    ("json", "JSON-6", "escapes", "any character may be an escape"): (
        b'{"t\\u0079pe":"\\u0045RROR","message":"\\/\\ud83d\\uDE00\\u0001"}\n',
        Error("/\U0001f600\x01"),
    ),
    ("json", "JSON-11", "more-members", "members that the command does not have are ignored"): (
        b'{"type":"ERROR","message":"plain","retry":[1,{"a":null}],"code":7}\n',
        Error("plain"),
    ),
    ("json", "JSON-11", "four-levels", "what is ignored may nest 4 deep, with the object itself"): (
        b'{"type":"ERROR","message":"plain","x":[[{}]]}\n',
        Error("plain"),
    ),
    ("json", "JSON-11", "other-letters", "a member in capitals is another member"): (
        b'{"Type":"PING","type":"ERROR","message":"plain","Message":"other"}\n',
        Error("plain"),
    ),
    ("msgpack", "MSGPACK-6", "long-texts", "texts may have longer forms than needed"): (
        framed(b"\x92\xd9\x05ERROR\xda\0\x05plain"),
        Error("plain"),
    ),
    ("msgpack", "MSGPACK-6", "long-array", "the array may have a longer form than needed"): (
        framed(b"\xdc\0\x02\xa5ERROR\xa5plain"),
        Error("plain"),
    ),
    ("msgpack", "MSGPACK-6", "longest-forms", "maps and texts may have the longest forms"): (
        framed(b"\xdd\0\0\0\x02\xdb\0\0\0\x0cONLINE_USERS\xdf\0\0\0\x01\xa3ann\xa4here"),
        OnlineUsers({"ann": "here"}),
    ),
    ("pickle", "PICKLE-18", "line-ends", "CR and LF between messages are skipped"): (
        b"\r\n\nERROR S'plain'\n.\r\n",
        Error("plain"),
    ),
    ("pickle", "PICKLE-9", "byte-strings", "byte strings are read as UTF-8, or else as Latin-1"): (
        b"INVITATION (S'\\xc3\\xa9'\nS'b\\xe4'\nl.",
        Invitation("\u00e9", "b\u00e4"),
    ),
    ("pickle", "PICKLE-9", "byte-strings-of-protocol-2", "byte strings of protocols 1 and 2 are read, too"): (
        b"ONLINE_USERS \x80\x02}q\0(U\3annq\1U\4hereq\2U\2\xc3\xa9q\3T\2\1\0\0" + b"x" * 258 + b"q\4u.",
        OnlineUsers({"ann": "here", "\u00e9": "x" * 258}),
    ),
    ("pickle", "PICKLE-11", "tuple", "a tuple may stand for a list"): (
        b"INVITATION (S'7'\nS'bo'\nt.",
        Invitation("7", "bo"),
    ),
    ("pickle", "PICKLE-13", "error-in-a-tuple", "an ERROR's text may be in a tuple of one"): (
        b"ERROR (S'plain'\nt.",
        Error("plain"),
    ),
    ("pickle", "PICKLE-15", "integer-id", "an id may be an integer"): (
        b"INVITATION (I42\nS'bo'\nl.",
        Invitation("42", "bo"),
    ),
    ("pickle", "PICKLE-10", "surrogates", "a narrow build's two halves are one character"): (
        b"ERROR V\\ud83d\\ude00\n.",
        Error("\U0001f600"),
    ),
    **{
        (
            "pickle",
            "PICKLE-7",
            f"shared-{protocol}",
            f"a text that stands twice is read in protocol {protocol}",
        ): (
            b"ONLINE_USERS " + pickle.dumps(_SHARED, protocol),
            OnlineUsers(_SHARED),
        )
        for protocol in range(6)
    },
    **{
        ("pickle", "PICKLE-6", f"protocol-{protocol}", f"pickles of protocol {protocol} are read"): (
            b"ONLINE_USERS " + pickle.dumps({"ann": "h\u00e9re", "bo": "a'b"}, protocol),
            OnlineUsers({"ann": "h\u00e9re", "bo": "a'b"}),
        )
        for protocol in range(6)
    },
}
"""Codec, clause, name and title → bytes, and the message that they are."""


def _in_another_form(data: bytes, message: AnyMessage, stage: Stage) -> None:
    stage.enter("bo")
    stage.serve_bytes(data)
    stage.serve(stage.roster("cy"))
    stage.tells(type(message))


for (_codec, _clause, _name, _title), (_data, _message) in _FORMS.items():
    check(_clause, _title, name=f"form-{_name}", codecs=(_codec,), alone=True)(
        partial(_in_another_form, _data, _message)
    )


_MEMBERS = {"7": ["ann", "bo"], "8": ["cy"], "9": []}
_TUPLES = {
    "7": (),
    "8": ("bo",),
    "9": ("bo", "cy"),
    "10": ("bo", "cy", "dan"),
    "11": ("bo", "cy", "dan", "eve"),
}
_NUMBERS = {7: ["bo"], 255: [], 256: [], 70_000: [], -1: [], 2**31: [], 2**100: []}
_PICKLED: dict[tuple[str, str, str], object] = {
    ("PICKLE-6", "lists", "lists of members"): _MEMBERS,
    ("PICKLE-11", "tuples", "tuples of members"): _TUPLES,
    ("PICKLE-15", "integers", "integers for ids"): _NUMBERS,
}


def _list_in_another_form(data: bytes, stage: Stage) -> None:
    stage.enter("bo")
    stage.request(ListConversations())
    stage.serve_bytes(data)
    stage.tells(Conversations)


for (_clause, _name, _title), _value in _PICKLED.items():
    for _protocol in range(6):
        check(
            _clause,
            f"a reply with {_title} is read in protocol {_protocol}",
            name=f"reply-with-{_name}-{_protocol}",
            codecs=("pickle",),
        )(partial(_list_in_another_form, b"CONVERSATIONS " + pickle.dumps(_value, _protocol)))
