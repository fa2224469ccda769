"""Tests of what a transcript complains of."""

import pytest

from improto.messages import Code, Message
from improto_conformance.transcripts.complaints import Difference
from improto_conformance.transcripts.transcript import RESET, Entry, Event, Transcript

SAID = [Message("7", "ann", str(number)) for number in range(20)]


def heard(*messages: Message, end: str = "") -> Transcript:
    """Give what ann received."""
    ends = [Entry("ann", Event.CLOSED, end)] if end else []
    return Transcript(entries=[*(Entry("ann", Event.RECEIVED, message) for message in messages), *ends])


def test_expected() -> None:
    """There is nothing to complain of where all came, or before a reset some of it."""
    assert not list(heard(*SAID).expect("ann", SAID))
    assert not list(heard(*SAID[:3], end=RESET).expect("ann", SAID))


@pytest.mark.parametrize(
    ("came", "end", "expected", "actual"),
    [
        ([], "", "ann was to receive Message(conversation='7', sender='ann', text='0'), ", "ann received nothing"),
        (SAID[:6], "closed", "ann was to receive after 6 right ones: Message(conversation='7', sender='ann', text='6'),",
         "ann received after 6 right ones: nothing"),
        (SAID[:6] + SAID[7:], "", "ann was to receive after 6 right ones: Message(conversation='7', sender='ann', text='6'),",
         "ann received after 6 right ones: Message(conversation='7', sender='ann', text='7'),"),
        (SAID[1:], RESET, "ann was to receive Message(conversation='7', sender='ann', text='0'),",
         "ann received Message(conversation='7', sender='ann', text='1'),"),
    ],
)  # fmt: skip
def test_first_difference(came: list[Message], end: str, expected: str, actual: str) -> None:
    """Of many messages those are shown that begin where something else came than was to come."""
    [complaint] = heard(*came, end=end).expect("ann", SAID)
    assert isinstance(complaint, Difference)
    assert complaint.expected.startswith(expected)
    assert complaint.actual.startswith(actual)


def test_long_lists_and_texts() -> None:
    """Of a long list and a long text the beginning is shown, and how long they are."""
    [complaint] = heard(Message("7", "ann", "x" * 8000)).expect("ann", [Code.INVALID] * 12)
    assert isinstance(complaint, Difference)
    assert complaint.expected == f"ann was to receive {'invalid, ' * 10}and 2 more"
    assert complaint.actual.endswith("xxx… (8048 characters)")
