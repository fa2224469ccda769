"""Reports as one HTML page."""

import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from improto.messages import Error, OnlineUsers
from improto_conformance.reports import Run
from improto_conformance.reports.page import page
from improto_conformance.results import Verdict
from improto_conformance.transcripts.transcript import Entry, Event, Transcript
from improto_spec import clauses
from reported import a_run

VOID = {"meta", "input", "link", "img", "br"}


class Page(HTMLParser):
    """What a page consists of."""

    def __init__(self, text: str) -> None:
        """Read a page; AssertionError if elements are not closed in order."""
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Note its end."""
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note a text."""
        if self._open[-1:] != ["style"]:
            self.text += data

    def values(self, *names: str) -> list[str]:
        """Give the values of all attributes of some names."""
        return [value for _, name, value in self.attributes if name in names]


@pytest.fixture(scope="module")
def failing() -> Run:
    """A run in two codecs, in which one check failed in both."""
    return a_run("json", "ascii")


def shown(*runs: Run) -> Page:
    """Make and read the page of runs."""
    return Page(page(runs, clauses()))


def test_self_contained(failing: Run) -> None:
    """The page has no script and no style but its own; its links lead into itself and to the transcripts beside it."""
    text = page([failing], clauses())
    made = Page(text)
    assert not made.tags & Counter(["script", "link", "img", "iframe", "object"])
    assert "@import" not in text
    assert "url(" not in text
    links = set(made.values("href", "src"))
    assert links
    assert all(link.startswith(("#", "transcripts/")) for link in links)


def test_links_lead_somewhere(failing: Run) -> None:
    """Each link within the page has its place, and no place is there twice."""
    made = shown(replace(failing, name="a"), replace(failing, name="b"))
    places = made.values("id")
    assert len(places) == len(set(places))
    assert {link[1:] for link in made.values("href") if link.startswith("#")} <= set(places)


def test_summary(failing: Run) -> None:
    """The page says the verdict, what was checked, and the counts."""
    made = shown(failing)
    assert "NOT CONFORMANT: violates SEND-3" in made.text
    assert "tcp://here:1" in made.text


def test_failure(failing: Run) -> None:
    """A failure stands there once, with clause, expected, actual, a diagram, the transcript and the command."""
    made = shown(failing)
    assert made.tags["article"] == made.tags["svg"] == 1
    assert "ann received nothing" in made.text
    assert "A server MUST send the MESSAGE to the sender too." in made.text
    assert "SEND_MESSAGE '1' 'hello'" in made.text
    assert "transcripts/SEND-3_to-the-sender.json.jsonl" in made.values("href")
    assert "tcp://here:1 --only SEND-3/to-the-sender --codec json --cut whole" in made.text


def test_clauses_that_were_not_tried(failing: Run) -> None:
    """The clauses that were not tried are named: those of the other end, those without a check, and all others."""
    made = shown(failing)
    whys = ("bind the other end: ", "says why): ", "or at the other end: ")
    others, without, rest = (made.text.split(why, 1)[1] for why in whys)
    assert "CLIENT-1, " in others.split("Not checked")[0]
    assert "FLOW-6, " in without.split("Checked only")[0]
    assert "CONN-17, " in rest
    assert "SEND-3, " not in others
    assert f"{len(clauses()) - 3} clauses were not tried" in made.text


def test_clauses(failing: Run) -> None:
    """Each clause that was tried has a line with its level, its checks and its verdict."""
    made = shown(failing)
    assert {"LEAVE-5", "SEND-3", "SEND-5"} <= set(made.values("id"))
    assert f"3 of {len(clauses())} clauses were tried" in made.text
    assert re.search(r"SEND-3MUST.*12✗ failed", made.text)


def test_who_is_to_blame(failing: Run) -> None:
    """A clause that a check of another one found violated has failed; that other one has not been tried well."""
    passed, failed, _ = failing.results[:3]
    found = replace(passed, verdict=Verdict.FAILED, complaints=("SEND-3: ann was to receive",))
    made = shown(replace(failing, results=[found]))
    assert re.search(r"LEAVE-5MUST.*11\? inconclusive", made.text)
    assert re.search(r"SEND-3MUST.*11✗ failed", made.text)
    assert clauses()["SEND-3"].text in made.text
    assert failed.check.name not in made.text


def test_matrix(failing: Run) -> None:
    """Several codecs or runs make a matrix, in which failures lead to what is told of them; one alone makes none."""
    assert "Matrix" not in shown(a_run("json")).text
    made = shown(replace(failing, name="a"), replace(failing, name="b"))
    assert "a json" in made.text
    assert made.values("href").count("#failure-0") == 4


def test_passed() -> None:
    """A page on which nothing failed says so in one word."""
    run = a_run("json")
    good = [result for result in run.results if result.verdict is Verdict.PASSED]
    made = shown(replace(run, results=good))
    assert made.tags["article"] == 0
    assert "CONFORMANT" in made.text
    assert "NOT CONFORMANT" not in made.text


def test_accessible(failing: Run) -> None:
    """The page has a language, a title, one main heading, captions, heads with a scope, and names for its pictures."""
    made = shown(failing)
    assert ("html", "lang", "en") in made.attributes
    assert made.tags["title"] >= made.tags["h1"] == made.tags["main"] == 1
    assert made.tags["caption"] == made.tags["table"]
    assert made.tags["th"] == len([1 for tag, name, _ in made.attributes if (tag, name) == ("th", "scope")])
    labels = [value for tag, name, value in made.attributes if (tag, name) == ("svg", "aria-label")]
    assert len(labels) == made.tags["svg"]


def test_hostile_text(failing: Run) -> None:
    """Nothing that a peer has said becomes markup, a control or a change of direction."""
    bad = "</style><script>alert(1)</script>\x1b[2J\u202e\x00\ud800<img src=x onerror=alert(1)>"
    seen = Transcript(
        entries=[
            Entry(bad, Event.RECEIVED, OnlineUsers({"<b>": "<i>"})),
            Entry(bad, Event.FAULT, bad),
            Entry("", Event.MARK, bad),
            Entry("ann", Event.RAW, bad.encode(errors="replace")),
            Entry("ann", Event.RECEIVED, Error("<u>")),
        ]
    )
    result = replace(failing.results[0], verdict=Verdict.FAILED, complaints=(bad,), transcript=seen)
    run = replace(failing, results=[result], target=bad, name=bad, stale=[bad], suite=bad)
    text = page([run], clauses())
    assert not Page(text).tags & Counter(["script", "img", "b", "u"])
    assert all(letter.isprintable() or letter == "\n" for letter in text)


def test_long_transcript(failing: Run) -> None:
    """Of a long transcript the last events are drawn, however many parties there were."""
    entries = [Entry(f"p{number}", Event.RECEIVED, OnlineUsers({})) for number in range(1000)]
    result = replace(failing.results[0], verdict=Verdict.FAILED, complaints=("x",))
    run = replace(failing, results=[replace(result, transcript=Transcript(entries=entries))])
    assert len(page([run], clauses())) < 60_000
