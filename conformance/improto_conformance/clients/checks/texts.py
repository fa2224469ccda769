"""Checks that texts, names and statuses pass unchanged, in both directions."""

from functools import partial

from improto.messages import (
    Error,
    Invite,
    Join,
    Leave,
    Message,
    OnlineUsers,
    Register,
    Request,
    SendMessage,
    Status,
)
from improto_conformance.clients.check import check
from improto_conformance.clients.stage import Stage

_TEXTS = {
    "empty": "",
    "one-blank": " ",
    "blanks-around": "  hello  ",
    "blanks-inside": "a  b   c",
    "tabs": "\ta\t\tb\t",
    "line-breaks": "one\ntwo\n\nthree\n",
    "carriage-returns": "one\r\ntwo\rthree\r\n",
    "double-quotes": '"quoted" and """more"""',
    "single-quotes": "it's 'quoted'",
    "backslashes": "\\n \\\\ \\u0041 \\x41 \\",
    "controls": "".join(map(chr, range(32))),
    "delete-and-c1": "\x7f\x80\x85\x9f\xa0",
    "latin-1": "".join(map(chr, range(0xA1, 0x100))),
    "combining": "e\u0301 \u00e9 A\u030a \u212b",
    "line-separators": "a\u2028b\u2029c\x0bd\x0ce",
    "byte-order-marks": "\ufeffhello\ufeff",
    "right-to-left": "\u202eabc\u202c \u05d0\u05d1",
    "not-characters": "\ufffe\uffff\ufffd",
    "astral": "\U0001f600\U0001f1e9\U0001f1ea \U00010000 \U0010ffff",
    "markup": "<b>&amp;</b> &#39; %41 %s {0} $HOME",
    "looks-like-json": '{"type":"JOIN","conversation":"7"}',
    "looks-like-a-line": "GOODBYE\nLIST_CONVERSATIONS",
    "looks-like-a-pickle": "(S'x'\nl.",
    "number": "007",
    "slashes-first": "//quit",
    "longest": "x" * 8192,
    "longest-beyond-ascii": "\U0001f600" * 2048,
    "longest-of-controls": "\x01" * 8192,
}


def _says(text: str, stage: Stage) -> None:
    stage.enter("bo")
    stage.join("7")
    stage.request(SendMessage("7", text))


def _hears(text: str, stage: Stage) -> None:
    stage.enter("bo")
    stage.join("7")
    stage.deliver(Message("7", "bo", text))


for _name, _text in _TEXTS.items():
    _shown = _name.replace("-", " ")
    check("CLIENT-13", f"a text that is said passes unchanged: {_shown}", name=f"says-{_name}")(
        partial(_says, _text)
    )
    check("CLIENT-13", f"a text that is heard passes unchanged: {_shown}", name=f"hears-{_name}")(
        partial(_hears, _text)
    )

_STATUSES = {
    "empty": "",
    "blanks-around": "  at work  ",
    "line-breaks": "a\nb\r\nc",
    "quotes-and-separators": "\"a\"=b,c\\'d'",
    "longest": "\U0001f600" * 256,
}


def _shows(status: str, stage: Stage) -> None:
    stage.enter()
    stage.request(Status(status))
    stage.serve(OnlineUsers({stage.name: status, "bo": status}))


for _name, _status in _STATUSES.items():
    check(
        "CLIENT-13",
        f"a status passes unchanged, out and in: {_name.replace('-', ' ')}",
        name=f"status-{_name}",
    )(partial(_shows, _status))

_NAMES = {
    "blanks": "mary  ann lee",
    "quotes": "o\"neill o'hara",
    "separators": "a=b,c[d]{e}(f)\\g",
    "astral": "\U0001f600" * 64,
    "composed": "\u00e9e\u0301",
    "number": "0042",
}


def _named(name: str, stage: Stage) -> None:
    stage.enter()
    stage.serve(OnlineUsers({stage.name: "here", name: "x"}))
    stage.join("7")
    stage.serve(Message("7", name, "it is me"), Error(f"no-such-user: {name}"))
    stage.tells(Error)


for _name, _text in _NAMES.items():
    check("CLIENT-13", f"a name passes unchanged: {_name}", name=f"name-{_name}")(partial(_named, _text))


_BEYOND: dict[str, Request] = {
    "a-text-of-8193-bytes": SendMessage("7", "x" * 8192 + "y"),
    "a-status-of-257-characters": Status("s" * 256 + "t"),
    "65-guests": Invite(tuple(f"user-{number}" for number in range(65))),
    "a-guest-with-blanks-around": Invite((" bo ",)),
}


def _whole_or_not(request: Request, stage: Stage) -> None:
    stage.enter("bo")
    stage.join("7")
    stage.ask(request)
    stage.asks_for_list({"7": ("bo", stage.name)})


for _name, _request in _BEYOND.items():
    check("CLIENT-13", f"{_name.replace('-', ' ')}: it goes out unchanged, or not at all", name=_name)(
        partial(_whole_or_not, _request)
    )

_NAMES_BEYOND = {
    "blanks-around": " ann ",
    "65-characters": "n" * 64 + "m",
    "a-control": "an\x07n",
}


def _registers_or_not(name: str, stage: Stage) -> None:
    if stage.ask(Register(name, "here")):
        stage.sends(Register)


for _name, _text in _NAMES_BEYOND.items():
    check(
        "CLIENT-13",
        f"a REGISTER with {_name.replace('-', ' ')} in the name goes out unchanged, or not at all",
        name=f"registers-with-{_name}",
    )(partial(_registers_or_not, _text))


@check("CLIENT-13", "the client tells of the copy of its own text as of any other message")
def own_copy(stage: Stage) -> None:
    stage.enter("bo")
    stage.join("7")
    stage.request(SendMessage("7", "hello"))
    stage.deliver(Message("7", stage.name, "hello"))


@check("CLIENT-13", "the same message three times is told of three times")
def said_three_times(stage: Stage) -> None:
    stage.enter("bo")
    stage.join("7")
    stage.serve(*[Message("7", "bo", "hello")] * 3)


@check("CLIENT-13", "a hundred texts go out in the order in which they were said")
def said_in_order(stage: Stage) -> None:
    stage.enter("bo")
    stage.join("7")
    stage.ask_ahead(*(SendMessage("7", str(number)) for number in range(100)))
    for _ in range(100):
        stage.sends(SendMessage)
    stage.answers()


@check("MESSAGE-1", "messages of two conversations are told apart, in the order in which they came")
def two_conversations(stage: Stage) -> None:
    stage.enter("bo")
    stage.join("7")
    stage.join("8")
    stage.serve(*(Message("78"[number % 2], f"user-{number}", str(number)) for number in range(20)))


@check("MESSAGE-1", "in forty conversations at once the user speaks and hears, in the first as in the last")
def forty_conversations(stage: Stage) -> None:
    stage.enter("bo")
    ids = [str(number) for number in range(40)]
    for id in ids:
        stage.join(id)
    for id in (ids[0], ids[-1]):
        stage.request(SendMessage(id, "hello"))
    stage.serve(*(Message(id, "bo", "hello") for id in ids))


@check("MESSAGE-1", "after LEAVE and JOIN the user speaks and hears again")
def back_in_the_conversation(stage: Stage) -> None:
    stage.enter("bo")
    stage.join("7")
    for request in (Leave("7"), Join("7"), SendMessage("7", "back")):
        stage.request(request)
    stage.serve(Message("7", stage.name, "back"), Message("7", "bo", "hello"))


@check("MESSAGE-1", "in a conversation that is not in the last list the user speaks and hears")
def newer_than_the_list(stage: Stage) -> None:
    stage.enter("bo")
    stage.asks_for_list({"6": ("bo",)})
    stage.join("7")
    stage.deliver(Message("7", "bo", "hello"))
    stage.request(SendMessage("7", "hello, bo"))


@check("MESSAGE-1", "the client tells of a message from a sender who is in no roster")
def said_by_a_stranger(stage: Stage) -> None:
    stage.enter()
    stage.join("7")
    stage.serve(Message("7", "who-is-that", "boo"))


@check("MESSAGE-1", "the client tells of a message beyond the bounds unchanged")
def said_at_length(stage: Stage) -> None:
    stage.enter("bo")
    stage.join("7")
    stage.serve(Message("7", "bo", "x" * 100_000))


@check("SEND-1", "SEND_MESSAGE carries the conversation and the text, each where it belongs")
def text_like_an_id(stage: Stage) -> None:
    stage.enter("bo")
    stage.join("7")
    stage.request(SendMessage("7", "8"))
