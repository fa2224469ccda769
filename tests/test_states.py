"""Tests of `improto.states`: the transition table, and that `wire.Connection` does what it says."""

import ast

import pytest

from improto.codec import LineCodec, build
from improto.errors import DecodeError, UsageError
from improto.messages import (
    COMMANDS,
    AnyMessage,
    Code,
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
    Role,
    SendMessage,
    Status,
)
from improto.states import TRANSITIONS, State, after, out_of_state
from improto.wire import Connection, Fault


class LiteralCodec(LineCodec):
    """A codec that is plainly right: a message is the Python literal of its command and values."""

    name = "literal"

    def encode(self, message: AnyMessage) -> bytes:
        """Write the literal."""
        return repr((message.COMMAND, *message.values())).encode()

    def decode(self, payload: bytes, sender: Role) -> AnyMessage:
        """Read the literal."""
        try:
            command, *values = ast.literal_eval(payload.decode())
        except (SyntaxError, ValueError) as error:
            raise DecodeError(Code.MALFORMED, "no literal") from error
        return build(command, values, sender)


EXAMPLES: list[AnyMessage] = [
    Register("ann", "here"),
    OnlineUsers({"ann": "here"}),
    Status("away"),
    Goodbye(),
    Invite(("bo",)),
    Invitation("7", "ann"),
    ListConversations(),
    Conversations({"7": ("ann",)}),
    Join("7"),
    SendMessage("7", "hi"),
    Message("7", "ann", "hi"),
    Leave("7"),
    Error("invalid: no"),
]
CODEC = LiteralCodec()
EVERY_STATE = pytest.mark.parametrize("state", State)
EVERY_MESSAGE = pytest.mark.parametrize("message", EXAMPLES, ids=COMMANDS)
EVERY_ROLE = pytest.mark.parametrize("role", Role)


def deliver(connection: Connection, message: AnyMessage) -> AnyMessage | Fault | None:
    """Let the bytes of `message` arrive."""
    connection.feed(CODEC.frame(CODEC.encode(message)))
    return connection.next(0.0)


def connection_in(state: State, role: Role) -> Connection:
    """Give one end of a connection that was brought to `state` by lawful messages."""
    connection = Connection(role, [CODEC])
    if state is State.CLOSED:
        connection.close()
    if state in (State.REGISTERING, State.REGISTERED):
        register, roster = EXAMPLES[:2]
        if role is Role.CLIENT:
            connection.sent(register)
            assert state is State.REGISTERING or deliver(connection, roster) == roster
        else:
            assert deliver(connection, register) == register
            if state is State.REGISTERED:
                connection.sent(roster)
    assert connection.state is state
    return connection


def test_examples_are_complete() -> None:
    """The examples of these tests are one of each command, in the order of the table."""
    assert [message.COMMAND for message in EXAMPLES] == list(COMMANDS)


def test_every_state_has_a_row() -> None:
    """Each state has a row, also an empty one, and each entry is a command and a state."""
    assert list(TRANSITIONS) == list(State)
    for row in TRANSITIONS.values():
        assert set(row) <= set(COMMANDS.values())
        assert set(row.values()) <= set(State)


def test_every_state_is_reached() -> None:
    """From OPEN, every state can be reached by messages."""
    reached = {State.OPEN}
    for _ in State:
        reached |= {target for state in reached for target in TRANSITIONS[state].values()}
    assert reached == set(State)


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (State.OPEN, Code.NOT_REGISTERED),
        (State.REGISTERING, Code.NOT_REGISTERED),
        (State.REGISTERED, Code.ALREADY_REGISTERED),
        (State.CLOSED, Code.NOT_REGISTERED),
    ],
)
def test_out_of_state(state: State, code: Code) -> None:
    """A second REGISTER is `already-registered`, all else that comes too early `not-registered` (CONN-14)."""
    assert out_of_state(state) is code


@EVERY_STATE
def test_register_only_once(state: State) -> None:
    """REGISTER may be sent in OPEN only (CLIENT-1, CLIENT-2)."""
    assert (after(state, Register) is not None) == (state is State.OPEN)


@pytest.mark.parametrize("message", [OnlineUsers, Invitation, Conversations, Message])
def test_open_hears_errors_only(message: type[AnyMessage]) -> None:
    """To an unregistered connection a server may send ERROR and nothing else (CONN-16)."""
    assert after(State.OPEN, message) is None
    assert after(State.OPEN, Error) is State.OPEN


@pytest.mark.parametrize("state", [State.OPEN, State.REGISTERING, State.REGISTERED])
def test_goodbye_closes(state: State) -> None:
    """GOODBYE is lawful in every state but the last, and leads there (GOODBYE-7)."""
    assert after(state, Goodbye) is State.CLOSED


def test_failed_register_reopens() -> None:
    """After the ERROR that answers it, REGISTER may be sent again (REGISTER-5)."""
    assert after(State.REGISTERING, Error) is State.OPEN


@EVERY_STATE
@EVERY_ROLE
@EVERY_MESSAGE
def test_received(state: State, role: Role, message: AnyMessage) -> None:
    """What arrives is a lawful message and moves the state, or the declared fault and does not (CONN-9, CONN-14)."""
    connection = connection_in(state, role)
    result = deliver(connection, message)
    target = TRANSITIONS[state].get(type(message))
    if state is State.CLOSED or (state is State.REGISTERING and role is Role.SERVER):
        assert result is None  # nothing is read any more, or before the REGISTER is answered
        assert connection.state is state
    elif message.FROM is role:
        assert isinstance(result, Fault)
        assert result.code is Code.UNKNOWN_COMMAND
        assert result.fatal == (state is State.OPEN and role is Role.SERVER)
        assert connection.state is (State.CLOSED if result.fatal else state)
    elif target is None:
        assert isinstance(result, Fault)
        assert result.code is out_of_state(state)
        assert not result.fatal
        assert connection.state is state
    else:
        assert result == message
        assert connection.state is target


@EVERY_STATE
@EVERY_ROLE
@EVERY_MESSAGE
def test_sent(state: State, role: Role, message: AnyMessage) -> None:
    """What goes out moves the state by the table, or is the caller's mistake and moves nothing (CLIENT-3)."""
    connection = connection_in(state, role)
    target = TRANSITIONS[state].get(type(message))
    if target is None or message.FROM is not role:
        with pytest.raises(UsageError, match=message.COMMAND):
            connection.sent(message)
        assert connection.state is state
    else:
        connection.sent(message)
        assert connection.state is target
