"""Tests of `improto.messages`: the message table."""

import dataclasses
from collections import OrderedDict, UserList
from collections.abc import Callable
from inspect import signature
from itertools import chain
from types import MappingProxyType
from typing import cast

import pytest

from improto import messages
from improto.errors import InvalidMessage
from improto.messages import (
    COMMAND_NAME,
    COMMANDS,
    AnyMessage,
    Code,
    Delivery,
    Error,
    Kind,
    Role,
    well_formed,
)

EXAMPLES: list[AnyMessage] = [
    messages.Register("ann", "here"),
    messages.OnlineUsers({"ann": "here"}),
    messages.Status("away"),
    messages.Goodbye(),
    messages.Invite(("bo", "cy")),
    messages.Invitation("7", "ann"),
    messages.ListConversations(),
    messages.Conversations({"7": ("ann",)}),
    messages.Join("7"),
    messages.SendMessage("7", "hi"),
    messages.Message("7", "ann", "hi"),
    messages.Leave("7"),
    Error("invalid: no"),
]
FIELDS = {
    "REGISTER": ["username", "status"],
    "ONLINE_USERS": ["users"],
    "STATUS": ["status"],
    "GOODBYE": [],
    "INVITE": ["users"],
    "INVITATION": ["conversation", "source"],
    "LIST_CONVERSATIONS": [],
    "CONVERSATIONS": ["conversations"],
    "JOIN": ["conversation"],
    "SEND_MESSAGE": ["conversation", "text"],
    "MESSAGE": ["conversation", "sender", "text"],
    "LEAVE": ["conversation"],
    "ERROR": ["message"],
}
TEXTS = [(message, field.name) for message in EXAMPLES for field in message.FIELDS if field.kind.value in {
    "name", "status", "text", "conversation id", "explanation"}]  # fmt: skip
SURROGATE = chr(0xD800)


def build(message: type[AnyMessage], *values: object) -> AnyMessage:
    """Build a message from values of any type."""
    return cast(Callable[..., AnyMessage], message)(*values)


def replaced(message: AnyMessage, field: str, value: object) -> list[object]:
    """Give the values of `message` with another one for `field`."""
    return [
        value if each.name == field else old
        for each, old in zip(message.FIELDS, message.values(), strict=True)
    ]


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: message.COMMAND)
def test_trusted_values(message: AnyMessage) -> None:
    """A message of trusted values is the one that is made with checks, and holds those values themselves."""
    made = message.trusted(*message.values())
    assert made == message
    assert type(made) is type(message)
    assert all(mine is given for mine, given in zip(made.values(), message.values(), strict=True))


def test_table_has_the_lectures_commands() -> None:
    """There are 13 commands, eight of clients and five of servers (CONN-7, CONN-8)."""
    assert list(COMMANDS) == list(FIELDS)
    sent = {role: {name for name, message in COMMANDS.items() if message.FROM is role} for role in Role}
    assert sent[Role.SERVER] == {"ONLINE_USERS", "INVITATION", "CONVERSATIONS", "MESSAGE", "ERROR"}
    assert len(sent[Role.CLIENT]) == 8


@pytest.mark.parametrize("message", COMMANDS.values(), ids=COMMANDS)
def test_command_names(message: type[AnyMessage]) -> None:
    """The command of each class is its key in the table and a legal command name (CODEC-4)."""
    assert COMMANDS[message.COMMAND] is message
    assert COMMAND_NAME.fullmatch(message.COMMAND)


@pytest.mark.parametrize("message", EXAMPLES, ids=FIELDS)
def test_fields_and_values(message: AnyMessage) -> None:
    """Fields and values stand in the specified order (REGISTER-1, INVITATION-1, SEND-1, MESSAGE-1, JSON-2)."""
    assert [field.name for field in message.FIELDS] == FIELDS[message.COMMAND]
    assert build(type(message), *message.values()) == message


@pytest.mark.parametrize("message", COMMANDS.values(), ids=COMMANDS)
def test_delivery(message: type[AnyMessage]) -> None:
    """What servers send has a class of delivery, what clients send has none (FLOW-1, FLOW-2, FLOW-4)."""
    classes = {"ONLINE_USERS": Delivery.SNAPSHOT, "CONVERSATIONS": Delivery.REPLY}
    expected = None if message.FROM is Role.CLIENT else classes.get(message.COMMAND, Delivery.EVENT)
    assert getattr(message, "DELIVERY", None) is expected


@pytest.mark.parametrize("message", EXAMPLES, ids=FIELDS)
def test_messages_are_frozen(message: AnyMessage) -> None:
    """No field of a message can be set or added afterwards."""
    for field in [*FIELDS[message.COMMAND], "extra"]:
        with pytest.raises((dataclasses.FrozenInstanceError, AttributeError, TypeError)):
            setattr(message, field, "x")


@pytest.mark.parametrize("wrong", [7, None, True, b"7", ["7"], 1.0])
@pytest.mark.parametrize(("message", "field"), TEXTS)
def test_text_must_be_text(message: AnyMessage, field: str, wrong: object) -> None:
    """Another type in place of a text is refused by the name of the field, never converted (CODEC-5)."""
    with pytest.raises(InvalidMessage) as caught:
        build(type(message), *replaced(message, field, wrong))
    assert caught.value.field == field


@pytest.mark.parametrize(("message", "field"), TEXTS)
def test_text_without_lone_surrogates(message: AnyMessage, field: str) -> None:
    """Text that UTF-8 cannot hold is refused by the name of the field (LIMIT-24)."""
    with pytest.raises(InvalidMessage) as caught:
        build(type(message), *replaced(message, field, f"a{SURROGATE}"))
    assert caught.value.field == field


@pytest.mark.parametrize(
    "wrong", ["bo", b"", b"bo", 7, None, {"bo": ""}, {"bo"}, [7], ["bo", None], [SURROGATE], [["bo"]]]
)
def test_names_must_be_a_list_of_texts(wrong: object) -> None:
    """INVITE takes a list or tuple of texts; a bare text would be taken for its letters (INVITE-1, PICKLE-14)."""
    with pytest.raises(InvalidMessage, match=r"^users: "):
        build(messages.Invite, wrong)


@pytest.mark.parametrize(
    "wrong", ["x", 7, None, [], [("a", "b")], {7: "x"}, {"a": 7}, {"a": SURROGATE}, {None: ""}]
)
def test_roster_must_map_text_to_text(wrong: object) -> None:
    """ONLINE_USERS takes a map from text to text and nothing else (PRESENCE-1)."""
    with pytest.raises(InvalidMessage, match=r"^users: "):
        build(messages.OnlineUsers, wrong)


@pytest.mark.parametrize(
    "wrong", ["x", 7, None, [], {7: ["a"]}, {"1": "ann"}, {"1": [7]}, {"1": None}, {SURROGATE: []}]
)
def test_conversations_must_map_text_to_texts(wrong: object) -> None:
    """CONVERSATIONS takes a map from text to lists of text and nothing else (LIST-2)."""
    with pytest.raises(InvalidMessage, match=r"^conversations: "):
        build(messages.Conversations, wrong)


def test_lists_become_tuples() -> None:
    """A list of names is stored as a tuple, also within CONVERSATIONS."""
    assert build(messages.Invite, ["bo"]) == messages.Invite(("bo",))
    assert build(messages.Conversations, {"7": ["ann"]}) == messages.Conversations({"7": ("ann",)})


def test_containers_are_copied() -> None:
    """Changing what a message was built from does not change the message."""
    users, lists = {"ann": ""}, {"7": ["ann"]}
    roster, conversations = messages.OnlineUsers(users), build(messages.Conversations, lists)
    users["bo"] = ""
    lists["7"].append("bo")
    lists["8"] = []
    assert roster.users == {"ann": ""}
    assert conversations == messages.Conversations({"7": ("ann",)})


def test_containers_of_other_types() -> None:
    """Any sequence and any map will do, and becomes a tuple or a dict."""
    same: list[tuple[type[AnyMessage], object, object]] = [
        (messages.Invite, UserList(["bo"]), ("bo",)),
        (messages.OnlineUsers, MappingProxyType({"é": "x"}), {"é": "x"}),
        (messages.OnlineUsers, OrderedDict({"ann": "x"}), {"ann": "x"}),
        (messages.Conversations, MappingProxyType({"7": UserList(["é"]), "8": ()}), {"7": ("é",), "8": ()}),
    ]
    for message, values, expected in same:
        (kept,) = build(message, values).values()
        assert kept == expected
        assert type(kept) is type(expected)


@pytest.mark.parametrize("text", ["", "hi", "é"])
def test_subclasses_of_text(text: str) -> None:
    """A text of a class of its own becomes a plain one with the same letters, however it shows itself."""

    class Own(str):
        """As a program may have one."""

        __slots__ = ()

        def __str__(self) -> str:
            return "another"

    own = Own(text)
    texts = [
        messages.Message("7", "ann", own).text,
        *messages.Invite((own,)).users,
        *chain.from_iterable(messages.OnlineUsers({own: own}).users.items()),
        *messages.Conversations({own: (own,)}).conversations,
        *messages.Conversations({own: (own,)}).conversations[text],
    ]
    assert texts == [text] * len(texts)
    assert {type(each) for each in texts} == {str}


def test_halves_of_a_pair_in_two_texts() -> None:
    """Surrogates that would be a pair if their texts were one are alone, and refused (LIMIT-24)."""
    first, second = chr(0xD83D), chr(0xDE00)
    containers = [
        (messages.Invite, [first, second]),
        (messages.OnlineUsers, {first: second}),
        (messages.Conversations, {"7": [first, second]}),
        (messages.Conversations, {first: [second]}),
    ]
    for message, values in containers:
        with pytest.raises(InvalidMessage, match="surrogates"):
            build(message, values)


@pytest.mark.parametrize("message", COMMANDS.values(), ids=COMMANDS)
def test_signature(message: type[AnyMessage]) -> None:
    """Fields can be given by name or in order, none can be left out, and no other can be given."""
    names = FIELDS[message.COMMAND]
    assert list(signature(message).parameters) == names
    example = next(each for each in EXAMPLES if type(each) is message)
    by_name = cast(Callable[..., AnyMessage], message)(**dict(zip(names, example.values(), strict=True)))
    assert by_name == example
    for values in [*example.values(), "x"], example.values()[:-1]:
        if len(values) != len(names):
            with pytest.raises(TypeError):
                build(message, *values)


def test_first_wrong_field_is_named() -> None:
    """Of several fields that are wrong the first is named."""
    with pytest.raises(InvalidMessage, match=r"^conversation: must be text, not int$"):
        build(messages.Message, 7, SURROGATE, None)
    with pytest.raises(InvalidMessage, match=r"^sender: must be text that UTF-8 can hold"):
        build(messages.Message, "7", SURROGATE, None)


def test_order_of_entries_means_nothing_but_is_kept() -> None:
    """Maps compare without order, and yet give their entries in the order in which they came (PRESENCE-9)."""
    first, second = messages.OnlineUsers({"b": "", "a": ""}), messages.OnlineUsers({"a": "", "b": ""})
    assert first == second
    assert list(first.users) == ["b", "a"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("invalid: no", "invalid"),
        ("no-such-user: ", "no-such-user"),
        ("brand-new: unheard of", "brand-new"),
        ("a: b: c", "a"),
        ("No such conversation: 99", None),
        ("no such conversation: 99", None),
        ("invalid:no", None),
        ("invalid", None),
        ("", None),
        (": x", None),
        ("-a: x", None),
        ("a1: x", None),
        ("a\n: x", None),
    ],
)
def test_error_code(text: str, code: str | None) -> None:
    """A code is taken only if one stands before the first colon and space (ERROR-11, ERROR-12)."""
    assert Error(text).code == code


def test_error_of() -> None:
    """An ERROR is made of a code and an explanation, and is cut to 512 code points (ERROR-2, LIMIT-16)."""
    assert Error.of(Code.INVALID, "no") == Error("invalid: no")
    assert Error.of(Code.INVALID, "\U0001f600" * 600) == Error("invalid: " + "\U0001f600" * 503)


@pytest.mark.parametrize("code", Code)
def test_codes_have_the_specified_form(code: Code) -> None:
    """Each code of ours is read back out of an ERROR, also with an empty explanation (ERROR-2)."""
    assert Error(f"{code}: ").code == code


@pytest.mark.parametrize(
    ("text", "well"),
    [("", True), ("a", True), ("é😀", True), (SURROGATE, False), ("a" + chr(0xDFFF), False), ("\0", True)],
)
def test_well_formed(text: str, well: bool) -> None:
    """Text is well formed if, and only if, it holds no lone surrogate (LIMIT-24)."""
    assert well_formed(text) is well


def test_every_kind_is_used() -> None:
    """Each kind of field stands in some message."""
    assert {field.kind for message in COMMANDS.values() for field in message.FIELDS} == set(Kind)
