"""Hypothesis strategies for what the protocol allows, shared by all tests.

They draw what is legal within the default `Limits`, including the extremes.  So a test that fails for a drawn value has found
a fault in the code, not in its input.  Each is made once: to make and validate one takes longer than to draw a message.
"""

from collections.abc import Iterator
from functools import cache
from itertools import pairwise

from hypothesis import strategies as st

from improto.limits import UNSAFE_IN_NAMES, Limits
from improto.messages import (
    ERROR_TEXT,
    AnyMessage,
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

__all__ = ["conversation_ids", "messages", "mutations", "names", "segmentations", "statuses", "texts"]

_LIMITS = Limits()
_UNSAFE = "".join(chr(code) for first, last in UNSAFE_IN_NAMES for code in range(first, last + 1))

# Characters with which some codec must be careful: separators, quotes, brackets, escapes, line ends, pickle opcodes.
_AWKWARD = " \"'\\/,=()[]{}.|#:\t\r\n\x00\x1b\x7f\x80\x85\xa0\u2028\ufeff\uffff\u00e9\u20ac\U0001f600"


def _characters(refused: str = "") -> st.SearchStrategy[str]:
    awkward = [character for character in _AWKWARD if character not in refused]
    return st.one_of(
        st.sampled_from("abcXYZ_019"),
        st.sampled_from(awkward),
        st.characters(exclude_categories=["Cs"], exclude_characters=refused),
    )


@cache
def names() -> st.SearchStrategy[str]:
    """Draw usernames."""
    inner = st.text(_characters(_UNSAFE), max_size=_LIMITS.name).map(lambda name: name.strip(" "))
    return st.one_of(st.sampled_from(["bo", "cy", "\U0001f600" * _LIMITS.name]), inner).filter(bool)


@cache
def statuses() -> st.SearchStrategy[str]:
    """Draw statuses, which may be empty."""
    return st.one_of(
        st.sampled_from(["", "online", "\U0001f600" * _LIMITS.status]),
        st.text(_characters(), max_size=40),
    )


@cache
def texts() -> st.SearchStrategy[str]:
    """Draw texts of messages, sometimes one of the greatest length."""
    longest = [
        character * (_LIMITS.text // len(character.encode())) for character in 'a\0"\u00e9\u20ac\U0001f600'
    ]
    return st.one_of(st.text(_characters(), max_size=60), st.sampled_from(["", *longest]))


@cache
def conversation_ids() -> st.SearchStrategy[str]:
    """Draw conversation ids: printable ASCII without space."""
    printable = st.characters(min_codepoint=0x21, max_codepoint=0x7E)
    return st.one_of(
        st.integers(0, 10**6).map(str),
        st.text(printable, min_size=1, max_size=_LIMITS.conversation),
    )


def _requests() -> st.SearchStrategy[AnyMessage]:
    return st.one_of(
        st.builds(Register, names(), statuses()),
        st.builds(Status, statuses()),
        st.just(Goodbye()),
        st.builds(Invite, st.lists(names(), min_size=1, max_size=8).map(tuple)),
        st.builds(Invite, names().map(lambda name: (name,) * _LIMITS.invited)),
        st.just(ListConversations()),
        st.builds(Join, conversation_ids()),
        st.builds(SendMessage, conversation_ids(), texts()),
        st.builds(Leave, conversation_ids()),
    )


def _responses() -> st.SearchStrategy[AnyMessage]:
    members = st.lists(names(), max_size=4, unique=True).map(tuple)
    explanations = st.one_of(
        st.builds("{}: {}".format, st.sampled_from(["invalid", "timeout", "new-code"]), statuses()),
        st.text(_characters(), max_size=40),
        st.just("\U0001f600" * ERROR_TEXT),
    )
    return st.one_of(
        st.builds(OnlineUsers, st.dictionaries(names(), statuses(), max_size=5)),
        st.builds(Invitation, conversation_ids(), names()),
        st.builds(Conversations, st.dictionaries(conversation_ids(), members, max_size=5)),
        st.builds(Message, conversation_ids(), names(), texts()),
        st.builds(Error, explanations),
    )


@cache
def messages(sender: Role | None = None) -> st.SearchStrategy[AnyMessage]:
    """Draw messages that `sender`, or either end, may send within the default limits."""
    match sender:
        case Role.CLIENT:
            return _requests()
        case Role.SERVER:
            return _responses()
        case None:
            return st.one_of(_requests(), _responses())


_FOREIGN = st.lists(
    st.one_of(
        st.integers(0, 255),
        st.sampled_from(b' "\\,=u[]{}(.\n\r\x00\x80\x91\xc1\xc4\xc7\xd9\xdd\xdf\xff'),
    ),
    max_size=3,
)


@st.composite
def mutations(draw: st.DrawFn, data: bytes) -> bytes:
    """Draw `data` with some bytes replaced, inserted or removed."""
    changed = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(changed)))
        new = bytes(draw(_FOREIGN))
        changed[at : at + draw(st.integers(0, 3))] = new
    return bytes(changed)


def segmentations(data: bytes) -> st.SearchStrategy[list[bytes]]:
    """Draw ways to cut `data` into pieces; no piece is empty, and joined they are `data`."""
    if len(data) < 2:
        return st.just([data] if data else [])
    return st.one_of(
        st.sets(st.integers(1, len(data) - 1), max_size=30).map(lambda cuts: list(_cut(data, cuts))),
        st.integers(1, len(data)).map(lambda size: list(_cut(data, set(range(size, len(data), size))))),
    )


def _cut(data: bytes, cuts: set[int]) -> Iterator[bytes]:
    for start, end in pairwise([0, *sorted(cuts), len(data)]):
        yield data[start:end]
