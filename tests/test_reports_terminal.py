"""What people read on a terminal."""

import pytest

from improto.messages import Invitation, Message, OnlineUsers, SendMessage
from improto_conformance.reports import Run, failure, summary
from improto_conformance.reports.sequence import diagram
from improto_conformance.results import Aim, Result, Verdict
from improto_conformance.transcripts.complaints import Difference
from improto_conformance.transcripts.transcript import Entry, Event, Transcript
from improto_spec import clauses

AIM = Aim("SEND-3/to-the-sender", "SEND-3", "the sender gets a copy")
SENT = Entry("ann", Event.SENT, SendMessage("7", "hello"))


def told(*complaints: str, verdict: Verdict = Verdict.FAILED, entries: tuple[Entry, ...] = ()) -> str:
    """Give what is told of a failure."""
    result = Result(AIM, "json", "whole", verdict, complaints, Transcript(entries=list(entries)), 0, 0)
    return "\n".join(failure(result, clauses(), "improto again"))


def test_all_of_a_failure() -> None:
    """A failure shows check, clause with its text, expected, actual, the last messages, and the command."""
    text = told(Difference.of("ann", "receive a copy", "received nothing"), entries=(SENT,))
    assert text.splitlines() == [
        "FAILED SEND-3/to-the-sender [json]: the sender gets a copy",
        f"  SEND-3 (MUST): {clauses()['SEND-3'].text}",
        "  expected: ann was to receive a copy",
        "  actual:   ann received nothing",
        "    ann      server",
        "     ●───────▶│   SEND_MESSAGE '7' 'hello'",
        "  again: improto again",
    ]


def test_party_that_others_outlast() -> None:
    """Where others went on for long, the diagram ends with the party that the complaint is about."""
    others = tuple(Entry("bo", Event.SENT, SendMessage("7", f"{number}")) for number in range(30))
    complaint = "SEND-3: ann was to receive a copy and received nothing"
    text = told(complaint, entries=(*others, SENT, *others))
    assert "    … 19 more before\n    bo       ann      server\n" in text
    assert text.endswith("SEND_MESSAGE '7' 'hello'\n    … 30 more after\n  again: improto again")
    assert "more after" not in told(complaint, entries=(*others, SENT, *others[:11]))
    assert "more after" not in told("no copy came", entries=(*others, SENT, *others))


def test_clause_that_is_violated() -> None:
    """Where another clause than the check's own is violated, its text is shown, too."""
    text = told("JOIN-2: ann was to receive a copy")
    assert f"  JOIN-2 (MUST): {clauses()['JOIN-2'].text}\n" in text
    assert "  SEND-3 (MUST): " in text


def test_very_many_complaints() -> None:
    """Of very many complaints only the first are shown, with the number of the others."""
    text = told(*(f"nonsense {number}" for number in range(5000)))
    assert "  actual:   nonsense 19\n  … and 4980 complaints more\n" in text
    assert "more" not in told(*(f"nonsense {number}" for number in range(20)))


def test_complaint_without_sides() -> None:
    """Where nothing was compared, the check's title says what was expected."""
    text = told("no copy came")
    assert "  expected: the sender gets a copy\n  actual:   no copy came\n" in text


def test_own_fault() -> None:
    """A fault of the suite shows where it is, and that the target is not to blame."""
    text = told("Traceback:\n  line 1", verdict=Verdict.BROKEN)
    assert text.startswith("BROKEN SEND-3")
    assert "report this to its authors" in text
    assert "  |   line 1\n" in text


def test_sides_read_like_the_complaint() -> None:
    """A comparison is a plain line, too."""
    complaint = next(Transcript().expect("ann", [Message("7", "ann", "x")]))
    assert isinstance(complaint, Difference)
    assert complaint == f"{complaint.expected} and received nothing"
    assert complaint.actual == "ann received nothing"


def test_diagram() -> None:
    """Each party has a column, arrows cross those of others, and what the server ends is seen."""
    lines = diagram(
        [
            SENT,
            Entry("bo", Event.RECEIVED, Message("7", "ann", "hello")),
            Entry("", Event.MARK, "said"),
            Entry("ann", Event.RAW, b"\x00\xff"),
            Entry("bo", Event.HALF_CLOSED),
            Entry("ann", Event.FAULT, "malformed: x"),
            Entry("ann", Event.CLOSED, "closed"),
            Entry("bo", Event.RESET),
        ]
    )
    assert list(lines) == [
        "ann      bo       server",
        " ●────────┼───────▶│   SEND_MESSAGE '7' 'hello'",
        " │        │◀───────●   MESSAGE '7' 'ann' 'hello'",
        " ┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄   said",
        " ●────────┼───────▶│   bytes b'\\x00\\xff'",
        " │        ●───────▶│   (sends no more)",
        " │◀───────┼────────●   nonsense: malformed: x",
        " │◀───────┼────────●   (closes the connection)",
    ]


def test_user_of_a_client() -> None:
    """What a client's user asked for and saw stands at the client, and goes to no server."""
    lines = diagram([Entry("client", Event.ASKED, '{"do": "list"}'), Entry("client", Event.TOLD, "{}")])
    assert list(lines)[1:] == [' ●        │   (asked: {"do": "list"})', " ●        │   (told: {})"]


def test_only_the_last() -> None:
    """Of a long transcript the last entries are shown, and how many there are before."""
    lines = list(diagram([SENT] * 40))
    assert lines[0] == "… 28 more before"
    assert len(lines) == 14


def test_times_are_a_sum() -> None:
    """What the checks of a codec took is said to be a sum: several run at once."""
    results = [Result(AIM, "json", "whole", Verdict.PASSED, (), Transcript(), 1.5, 0.0)] * 2
    assert (
        next(summary(Run(results))) == "    json: 2 of 2 checks passed, 0 failed  (3.0 s, summed over checks)"
    )


def test_many_parties() -> None:
    """However many parties there are, a line stays within a terminal."""
    entries = [Entry(f"p{number}", Event.RECEIVED, Invitation("7", "x" * 64)) for number in range(64)]
    assert max(map(len, diagram(entries))) <= 110


@pytest.mark.parametrize(
    "entry",
    [
        Entry("a\x1b[2J", Event.RECEIVED, OnlineUsers({"\x1b[2J\u202e": "\x07"})),
        Entry("ann", Event.FAULT, "\x1b[2J\u202e\n"),
        Entry("", Event.MARK, "\x1b[2J"),
    ],
)
def test_escaped(entry: Entry) -> None:
    """Nothing that a peer has said reaches the terminal as a control."""
    text = told("\x1b[2J", Difference.of("ann", "\x1b", "\u202e"), entries=(SENT, entry))
    assert all(letter.isprintable() or letter == "\n" for letter in text)
