"""Checks of the bytes that a client sends, whatever they say."""

from functools import partial

from improto.messages import (
    Goodbye,
    Invite,
    Join,
    Leave,
    ListConversations,
    Register,
    Request,
    SendMessage,
    Status,
)
from improto_conformance.clients.check import check
from improto_conformance.clients.stage import Stage


def _all_eight(text: str, guest: str, stage: Stage) -> None:
    """Have the client send all that it can, with these for values."""
    stage.enter(guest, status=text)
    stage.invite("7")
    requests: tuple[Request, ...] = (
        Status(f"{text}."),
        Status(text),
        Invite((guest,)),
        ListConversations(),
        Join("7"),
        SendMessage("7", text),
        Leave("7"),
    )
    for request in requests:
        stage.request(request)
        if isinstance(request, ListConversations):
            stage.serve_list()
    stage.request(Goodbye())


check("CODEC-7", "nothing goes out that a receiver refuses: plain words", name="plain-words")(
    partial(_all_eight, "hello", "bo")
)
check("CODEC-7", "nothing goes out that a receiver refuses: empty texts", name="empty-texts")(
    partial(_all_eight, "", "bo")
)
check("CODEC-7", "nothing goes out that a receiver refuses: texts full of separators", name="separators")(
    partial(_all_eight, '"a", {b: [c]}=d\\e\n\t', 'b"o={[(,)]}')
)
check("CODEC-7", "nothing goes out that a receiver refuses: texts beyond ASCII", name="beyond-ascii")(
    partial(_all_eight, "\u00e9\u2028\U0001f600\x7f\x80", "\u00c5sa \U0001f600")
)
check(
    "CONN-12",
    "no message has a field that the specification does not have",
    name="no-other-fields",
    codecs=("json",),
)(partial(_all_eight, "at work", "mary ann"))
check("CONN-10", "commands go out in capital letters, just as they are", name="capital-letters")(
    partial(_all_eight, "LOUD", "BO")
)


@check("CODEC-1", "a client keeps to its codec, from the first message to the last")
def one_codec(stage: Stage) -> None:
    stage.enter("bo")
    for id in ("7", "8"):
        stage.join(id)
        stage.request(SendMessage(id, "still the same"))
    stage.asks_for_list({"7": ("bo", stage.name), "8": (stage.name,)})
    stage.request(Goodbye())


@check("JSON-4", "an object that goes out stands on one line", name="one-line", codecs=("json",))
def one_line(stage: Stage) -> None:
    stage.name = "ann"
    stage.request(Register("ann", "one\ntwo"))
    stage.serve(stage.roster("bo", status="one\ntwo"))
    stage.join("7")
    stage.request(SendMessage("7", "\n\r\n"))
