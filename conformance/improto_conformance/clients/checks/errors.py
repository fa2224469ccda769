"""Checks of ERRORs: each is told of, and the client goes on."""

from functools import partial

from improto.messages import Code, Error, Invite, Join, Leave, ListConversations, SendMessage, Status
from improto_conformance.clients.check import check
from improto_conformance.clients.lines import LOST
from improto_conformance.clients.stage import Stage

_LAST = (Code.TIMEOUT, Code.SLOW_CONSUMER, Code.SHUTTING_DOWN)


def _then_on(text: str, stage: Stage) -> None:
    stage.enter("bo")
    stage.join("7")
    stage.deliver(Error(text))
    stage.request(SendMessage("7", "going on"))


for _code in (code for code in Code if code not in _LAST):
    check("CLIENT-14", f"after `{_code}` the client goes on", name=f"after-{_code}")(
        partial(_then_on, f"{_code}: sorry")
    )


@check("CLIENT-14", "a client stays through all ERRORs that leave it connected", alone=True)
def all_errors(stage: Stage) -> None:
    stage.enter("bo")
    stage.serve(*(Error(f"{code}: sorry") for code in Code if code not in _LAST))


@check("CLIENT-14", "a hundred ERRORs in a row leave the client usable")
def a_hundred_errors(stage: Stage) -> None:
    stage.enter("bo")
    stage.serve(*(Error(f"invalid: {number}") for number in range(100)))
    stage.request(Status("unmoved"))


@check("CLIENT-14", "an INVITE that is refused may be tried again")
def invite_again(stage: Stage) -> None:
    stage.enter("bo")
    for _ in range(2):
        stage.request(Invite(("bo",)))
        stage.deliver(Error("no-such-user: bo has just gone"))


@check("CLIENT-14", "a JOIN that is refused does not prevent another one")
def join_another(stage: Stage) -> None:
    stage.enter("bo")
    for id in ("7", "8"):
        stage.invite(id)
        stage.request(Join(id))
        stage.deliver(Error(f"no-such-conversation: {id} has just ended"))


@check("CLIENT-14", "a LIST_CONVERSATIONS that is refused may be sent again")
def list_again(stage: Stage) -> None:
    stage.enter("bo")
    stage.request(ListConversations())
    stage.deliver(Error("rate-limited: slow down"))
    stage.asks_for_list({"7": ("bo",)})


@check("CLIENT-14", "a LEAVE that is refused leaves the client usable")
def leave_refused(stage: Stage) -> None:
    stage.enter("bo")
    stage.invite("7")
    stage.request(Leave("7"))
    stage.deliver(Error("no-such-conversation: 7 has just ended"))
    stage.join("8")


def _last_word(code: Code, stage: Stage) -> None:
    stage.enter("bo")
    stage.serve(Error(f"{code}: good night"))
    stage.end()
    stage.tells(LOST)


for _code in _LAST:
    check(
        "CLIENT-15",
        f"`{_code}` is told of, and then the end that follows it",
        name=f"last-word-{_code}",
        alone=True,
    )(partial(_last_word, _code))

_TEXTS = {
    "without-words": "invalid: ",
    "empty": "",
    "of-512-characters": "invalid: " + "\u00e9" * 503,
    "of-three-lines": "invalid: one\ntwo\r\nthree",
    "with-quotes-and-controls": 'invalid: "a"\t\\b\x1b[31m\x07',
}


def _worded(text: str, stage: Stage) -> None:
    stage.enter("bo")
    stage.serve(Error(text), stage.roster("cy"))
    stage.tells(Error)


for _name, _text in _TEXTS.items():
    check(
        "CLIENT-15",
        f"the client tells of an ERROR unchanged: {_name.replace('-', ' ')}",
        name=f"error-{_name}",
        alone=True,
    )(partial(_worded, _text))


@check("CLIENT-15", "the same ERROR three times is told of three times", alone=True)
def thrice(stage: Stage) -> None:
    stage.enter("bo")
    stage.serve(*[Error("rate-limited: slow down")] * 3)


@check("CLIENT-15", "ERRORs between other messages are told of in their place")
def in_their_place(stage: Stage) -> None:
    stage.enter("bo")
    stage.serve(
        Error("invalid: 1"), stage.roster("cy"), Error("invalid: 2"), stage.roster(), Error("invalid: 3")
    )


_PLAIN = {
    "capitals": "Invalid: no code begins with a capital",
    "no-blank": "invalid:without a blank",
    "digits": "invalid2: a code has no digits",
    "blanks": "not a code: it has blanks",
    "only-a-colon": ": nothing stands before it",
    "hyphen-first": "-invalid: a code begins with a letter",
    "no-colon": "invalid",
    "underscore": "not_member: it has hyphens",
    "beyond-ascii": "ungültig: a code is ASCII",
    "on-a-later-line": "it failed\ninvalid: x",
    "before-a-line-end": "invalid\n: nothing but a code stands before the colon",
}

for _name, _text in _PLAIN.items():
    check("ERROR-11", f"{_text!a} has no code", name=f"no-code-{_name}", alone=True)(partial(_worded, _text))

_CODES = {
    "two-colons": "not-member: 7: you are not in it",
    "one-letter": "x: a code of one letter",
    "many-hyphens": "a--b-: it matches",
    "code-in-the-words": "invalid: not-member: x",
}

for _name, _text in _CODES.items():
    check(
        "ERROR-11",
        f"the code of {_text!a} is the text before the first colon",
        name=f"code-{_name}",
        alone=True,
    )(partial(_worded, _text))

_UNKNOWN = {
    "new": "quota-exceeded: pay first",
    "without-words": "out-of-cheese: ",
    "long": "a-code-that-is-longer-than-any-that-there-is-by-far: so what",
    "in-another-language": "zu-viel: das geht nicht, \u4e0d\u884c \U0001f6ab",
}

for _name, _text in _UNKNOWN.items():
    check("ERROR-12", f"an unknown code is an ERROR like any other: {_name}", name=f"unknown-code-{_name}")(
        partial(_then_on, _text)
    )
