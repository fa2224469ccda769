"""Checks of conversations: ids go back as they came, and nothing is sent to where the user is not."""

from functools import partial

from improto.messages import (
    Conversations,
    Error,
    Invitation,
    Invite,
    Join,
    Leave,
    ListConversations,
    Message,
    SendMessage,
)
from improto_conformance.clients.check import check
from improto_conformance.clients.stage import Stage

_IDS = {
    "zero": "0",
    "number-of-30-digits": "123456789012345678901234567890",
    "negative": "-7",
    "with-a-point": "7.0",
    "with-an-exponent": "1e3",
    "hexadecimal": "0x1F",
    "with-an-underscore": "1_000",
    "word-true": "true",
    "word-null": "null",
    "word-none": "None",
    "not-a-number": "NaN",
    "mixed-case": "Room-B",
    "backslash-and-quote": "a\\n\"b'c",
    "brackets": "[7]",
    "equals-and-comma": "a=b,c",
    "percent": "%s%20{0}",
    "command-name": "LIST_CONVERSATIONS",
    "slashes": "../a/b",
    "what-each-object-has": "__proto__",
}


def _there_and_back(id: str, stage: Stage) -> None:
    stage.enter("bo")
    stage.join(id)
    stage.request(SendMessage(id, "hi"))
    stage.deliver(Message(id, stage.name, "hi"))
    stage.request(Leave(id))


for _name, _id in _IDS.items():
    check("CLIENT-9", f"the id {_id!a} goes back to the server unchanged", name=f"id-{_name}")(
        partial(_there_and_back, _id)
    )


def _alike(first: str, second: str, stage: Stage) -> None:
    stage.enter("bo")
    stage.join(first)
    stage.join(second)
    for id in (first, second):
        stage.request(SendMessage(id, f"to {id}"))
    stage.serve(Message(second, "bo", "b"), Message(first, "bo", "a"))
    stage.tells(Message)
    stage.tells(Message)
    stage.request(Leave(first))
    stage.request(SendMessage(second, "still here"))


for _name, _first, _second in (
    ("leading-zeros", "7", "007"),
    ("case", "room", "Room"),
    ("length", "a" * 63, "a" * 64),
    ("order", "9", "10"),
):
    check("CLIENT-9", f"{_first} and {_second} are two conversations", name=f"ids-that-differ-in-{_name}")(
        partial(_alike, _first, _second)
    )


@check("CLIENT-9", "the id that a list has, without an invitation, goes back exactly too")
def id_of_a_list(stage: Stage) -> None:
    stage.enter("bo")
    stage.asks_for_list({"0042": ("bo",)})
    stage.request(Join("0042"))


@check("CLIENT-10", "nothing is said in a conversation that the user was not even invited to")
def send_to_nowhere(stage: Stage) -> None:
    stage.enter("bo")
    stage.ask(SendMessage("7", "hello?"))
    stage.join("8")


@check(
    "CLIENT-10",
    "nothing is sent before JOIN to a conversation whose id is an attribute that every object has",
)
def send_to_what_objects_have(stage: Stage) -> None:
    stage.enter("bo")
    for id in ("constructor", "toString", "__proto__", "__class__"):
        stage.invite(id)
        stage.ask(SendMessage(id, "hello?"))
    stage.join("8")


@check(
    "CONN-8",
    "the client tells of a list in which ids and names are those of attributes that every object has",
)
def list_of_what_objects_have(stage: Stage) -> None:
    stage.enter("bo")
    stage.asks_for_list({"__proto__": ("constructor", "bo"), "constructor": (), "__class__": ("__proto__",)})


@check("CLIENT-10", "conversations that were joined on an earlier connection are not joined on the next one")
def nothing_is_left_over(stage: Stage) -> None:
    stage.after_another(_stay_in_a_conversation)
    stage.ask(Join("7"))
    stage.enter("bo")
    stage.ask(SendMessage("7", "still here?"))
    stage.serve(Message("7", "bo", "for whom?"), Conversations({"7": ("bo",)}))
    stage.serve(stage.roster("bo"))


@check("CONN-8", "a question that an earlier connection has left open gets no reply on the next one")
def no_question_is_left_over(stage: Stage) -> None:
    stage.after_another(_stay_in_a_conversation)
    stage.enter("bo")
    stage.asks_for_list({"7": ("bo",)})


def _stay_in_a_conversation(stage: Stage) -> None:
    stage.enter("bo")
    stage.join("7")
    stage.request(ListConversations())


@check("CLIENT-10", "the initiator too says nothing before JOIN")
def send_to_ones_own(stage: Stage) -> None:
    stage.enter("bo")
    stage.request(Invite(("bo",)))
    stage.deliver(Invitation("7", stage.name))
    stage.ask(SendMessage("7", "hello?"))
    stage.request(Join("7"))
    stage.request(SendMessage("7", "hello!"))


@check("CLIENT-10", "being in one conversation opens no other")
def send_next_door(stage: Stage) -> None:
    stage.enter("bo")
    stage.join("7")
    stage.invite("8")
    stage.ask(SendMessage("8", "wrong door"))
    stage.request(SendMessage("7", "right door"))


@check("CLIENT-11", "LEAVE closes one conversation and no other")
def leave_one_of_two(stage: Stage) -> None:
    stage.enter("bo")
    stage.join("7")
    stage.join("8")
    stage.request(Leave("7"))
    stage.ask(SendMessage("7", "gone"))
    stage.request(SendMessage("8", "here"))


@check("CLIENT-11", "after LEAVE, JOIN and LEAVE again nothing is said")
def leave_twice(stage: Stage) -> None:
    stage.enter("bo")
    stage.join("7")
    for request in (Leave("7"), Join("7"), Leave("7")):
        stage.request(request)
    stage.ask(SendMessage("7", "gone"))
    stage.request(ListConversations())
    stage.serve_list()


@check("CLIENT-11", "one LEAVE is enough for a conversation that the user has joined twice")
def leave_what_was_joined_twice(stage: Stage) -> None:
    stage.enter("bo")
    stage.join("7")
    stage.ask(Join("7"))
    stage.request(Leave("7"))
    stage.ask(SendMessage("7", "gone"))


@check("CLIENT-11", "an ERROR after LEAVE, for whatever request, does not take the LEAVE back")
def error_after_leave(stage: Stage) -> None:
    stage.enter("bo")
    stage.join("7")
    stage.request(Leave("7"))
    stage.deliver(Error("no-such-conversation: 7 has just ended"))
    stage.ask(SendMessage("7", "gone"))


@check("CLIENT-11", "a list that still has the user in it, since it was made before LEAVE, opens nothing")
def leave_crosses_a_list(stage: Stage) -> None:
    stage.enter("bo")
    stage.join("7")
    stage.request(ListConversations())
    stage.request(Leave("7"))
    stage.deliver(Conversations({"7": ("bo", stage.name)}))
    stage.ask(SendMessage("7", "gone"))


@check("CLIENT-11", "nor does such a list if the user has asked for another one since LEAVE")
def leave_between_two_lists(stage: Stage) -> None:
    stage.enter("bo")
    stage.join("7")
    for request in (ListConversations(), Leave("7"), ListConversations()):
        stage.request(request)
    stage.deliver(Conversations({"7": ("bo", stage.name)}))
    stage.ask(SendMessage("7", "gone"))
    stage.serve(Conversations({"7": ("bo",)}))


@check("CLIENT-11", "a MESSAGE that comes after LEAVE opens nothing")
def message_after_leave(stage: Stage) -> None:
    stage.enter("bo")
    stage.join("7")
    stage.request(Leave("7"))
    stage.serve(Message("7", "bo", "wait"), stage.roster("bo", "cy"))
    stage.ask(SendMessage("7", "no"))


@check("CLIENT-12", "the invitation that answers an INVITE makes nobody join")
def no_join_of_ones_own(stage: Stage) -> None:
    stage.enter("bo")
    stage.request(Invite(("bo",)))
    stage.deliver(Invitation("7", stage.name))


@check("CLIENT-12", "a list of conversations makes nobody join")
def no_join_by_list(stage: Stage) -> None:
    stage.enter("bo")
    stage.asks_for_list({"7": ("bo",), "8": (), "9": ("bo", "cy")})


@check("CLIENT-12", "an invitation that comes again after LEAVE makes nobody join")
def no_join_after_leave(stage: Stage) -> None:
    stage.enter("bo")
    stage.join("7")
    stage.request(Leave("7"))
    stage.serve(Invitation("7", "bo"), Invitation("8", "bo"))


@check("CLIENT-12", "a MESSAGE of a conversation that the user is not in makes nobody join")
def no_join_by_message(stage: Stage) -> None:
    stage.enter("bo")
    stage.serve(Message("7", "bo", "where are you?"))


@check("JOIN-1", "JOIN goes out for a conversation without an invitation, if the user says so")
def join_uninvited(stage: Stage) -> None:
    stage.enter("bo")
    stage.asks_for_list({"7": ("bo",)})
    stage.request(Join("7"))


@check("LEAVE-1", "LEAVE goes out to decline an invitation")
def decline(stage: Stage) -> None:
    stage.enter("bo")
    stage.invite("7")
    stage.request(Leave("7"))


@check(
    "LEAVE-1",
    "of several invitations the user declines one and accepts one, neither of which came first or last",
)
def decline_one_of_several(stage: Stage) -> None:
    stage.enter("bo")
    for id in ("6", "7", "8", "9"):
        stage.invite(id)
    stage.request(Leave("8"))
    stage.request(Join("7"))


_GUESTS = {
    "one": ("bo",),
    "several": ("bo", "cy", "dan"),
    "with-blanks": ("mary ann", "bo"),
    "with-quotes": ('o"neill', "o'neill", "back\\slash"),
    "beyond-ascii": ("Åsa", "李", "\U0001f600"),
    "with-separators": ("a,b", "c=d", "[e]", "{f}", "(g)"),
    "sixty-four": tuple(f"user-{number}" for number in range(64)),
}


def _invites(names: tuple[str, ...], stage: Stage) -> None:
    stage.enter(*names)
    stage.request(Invite(names))
    stage.serve(Invitation("7", stage.name))


for _name, _names in _GUESTS.items():
    check(
        "INVITE-1",
        f"INVITE carries the names that the user gave: {_name.replace('-', ' ')}",
        name=f"guests-{_name}",
    )(partial(_invites, _names))


@check("INVITE-1", "an INVITE that names users who are in no roster goes out as it is, or not at all")
def guests_who_are_not_shown(stage: Stage) -> None:
    stage.enter("bo")
    if stage.ask(Invite(("cy", "bo", "dan"))):
        stage.sends(Invite)
        stage.deliver(Error("no-such-user: cy has gone"))


_LISTS: dict[str, dict[str, tuple[str, ...]]] = {
    "empty": {},
    "without-members": {"7": (), "8": ()},
    "of-one": {"7": ("ann",)},
    "of-many": {str(number): ("bo", f"user-{number}") for number in range(300)},
    "of-many-members": {"7": tuple(f"user-{number}" for number in range(64)), "8": ("bo",)},
    "with-odd-names": {"a=b,c": ("mary ann", 'o"neill', "Åsa", "a,b", "\U0001f600"), "[]": ("=",)},
    "with-odd-ids": {"007": ("bo",), "7": ("cy",), "true": (), "-0": ("ann",)},
}


def _listed(conversations: dict[str, tuple[str, ...]], stage: Stage) -> None:
    stage.enter("bo")
    stage.asks_for_list(conversations)


for _name, _list in _LISTS.items():
    check("LIST-2", f"the client tells of a list unchanged: {_name.replace('-', ' ')}", name=f"list-{_name}")(
        partial(_listed, _list)
    )


@check("LIST-1", "LIST_CONVERSATIONS goes out each time that the user asks, and each reply is told of")
def three_lists(stage: Stage) -> None:
    stage.enter("bo")
    for members in ((), ("bo",), ("bo", "cy")):
        stage.asks_for_list({"7": members})


@check("LIST-1", "a reply that is equal to the one before is told of as well")
def the_same_list_again(stage: Stage) -> None:
    stage.enter("bo")
    for _ in range(2):
        stage.asks_for_list({"7": ("bo",)})


@check("LIST-1", "two questions on their way get the replies in their order")
def lists_in_a_row(stage: Stage) -> None:
    stage.enter("bo")
    stage.ask(ListConversations())
    stage.request(ListConversations())
    stage.sends(ListConversations)
    stage.serve(Conversations({"7": ()}), Conversations({"7": ("bo",)}))


_INVITATIONS = {
    "to-many": [Invitation(str(number), "bo") for number in range(50)],
    "by-odd-names": [
        Invitation("1", "mary ann"),
        Invitation("2", 'o"neill'),
        Invitation("3", "李\U0001f600"),
    ],
    "by-oneself": [Invitation("1", "ann"), Invitation("2", "ann")],
    "by-somebody-offline": [Invitation("1", "nobody-online")],
}


def _invited(invitations: list[Invitation], stage: Stage) -> None:
    stage.enter("bo")
    stage.serve(*invitations)


for _name, _invitations in _INVITATIONS.items():
    check(
        "INVITATION-1",
        f"invitations {_name.replace('-', ' ')} are told of as they are",
        name=f"invited-{_name}",
        alone=True,
    )(partial(_invited, _invitations))


@check("CLIENT-10", "a member can still send after a list")
def send_after_list(stage: Stage) -> None:
    stage.enter("bo")
    stage.join("7")
    stage.asks_for_list({"7": ("bo", stage.name)})
    stage.request(SendMessage("7", "still here"))


@check("CLIENT-10", "a list that was asked for before the JOIN, and lacks it, takes nothing back")
def send_after_list_from_before(stage: Stage) -> None:
    stage.enter("bo")
    stage.invite("7")
    stage.request(ListConversations())
    stage.request(Join("7"))
    stage.deliver(Conversations({"7": ("bo",)}))
    stage.request(SendMessage("7", "hi"))


@check("CLIENT-10", "nor does such a list if the user has asked for another one since JOIN")
def join_between_two_lists(stage: Stage) -> None:
    stage.enter("bo")
    stage.invite("7")
    for request in (ListConversations(), Join("7"), ListConversations()):
        stage.request(request)
    stage.deliver(Conversations({"7": ("bo",)}))
    stage.request(SendMessage("7", "hi"))
    stage.serve(Conversations({"7": ("bo", stage.name)}))
