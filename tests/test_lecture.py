"""What the lecture's own programs violate is what `docs/lecture.md` says, and for the causes that it names."""

import re
from functools import partial
from pathlib import Path

import pytest

from improto_conformance.clients.checks import CHECKS as CLIENT_CHECKS
from improto_conformance.clients.runner import Settings as ClientSettings
from improto_conformance.clients.runner import run as run_client_checks
from improto_conformance.clients.subjects import Driven
from improto_conformance.results import Result, Verdict
from improto_spec import clauses
from runtimes import CPYTHON2, needs_cpython2

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "lecture.md").read_text(encoding="utf-8")
CLAUSE = re.compile(r"\b[A-Z]+-[0-9]+\b")

CLIENT = {
    # One read is taken for one message.
    "CLIENT-4": ("CLIENT-4/client/a-crowd-is-there-already", "did not tell of OnlineUsers"),
    "CLIENT-5": ("CLIENT-5/client/beyond-one-read", "did not tell of Message"),
    "CLIENT-7": ("CLIENT-7/client/roster-a-thousand", "did not tell of OnlineUsers"),
    "CLIENT-8": ("CLIENT-8/client/rosters-at-any-time", "did not tell of OnlineUsers"),
    "CONN-4": ("CONN-4/client/cut-after-4-bytes", "did not tell of Message"),
    "CONN-5": ("CONN-5/client/handled-before-a-part", "did not tell of Message"),
    "CONN-8": ("CONN-8/client/event-before-the-reply", "did not tell of Invitation"),
    "INVITE-1": ("INVITE-1/client/guests-sixty-four", "did not tell of OnlineUsers"),
    "LIMIT-26": ("LIMIT-26/client/a-long-error", "did not tell of Error"),
    "LIST-2": ("LIST-2/client/list-of-many", "did not tell of Conversations"),
    "MESSAGE-1": ("MESSAGE-1/client/said-at-length", "did not tell of Message"),
    "PICKLE-18": ("PICKLE-18/client/form-line-ends", "did not tell of Error"),
    # So these get nowhere.
    "CLIENT-2": ("CLIENT-2/client/another-name-later", "ONLINE_USERS was waited for"),
    "CLIENT-3": ("CLIENT-3/client/only-eight", "INVITATION was waited for"),
    "CLIENT-9": ("CLIENT-9/client/ids-that-differ-in-case", "MESSAGE was waited for"),
    "CLIENT-12": ("CLIENT-12/client/no-join-unasked", "INVITATION was waited for"),
    "CLIENT-14": ("CLIENT-14/client/a-hundred-errors", "the end of its connection was waited for"),
    "ERROR-11": ("ERROR-11/client/plain-error", "ERROR was waited for"),
    # The thread that reads ends.
    "CLIENT-16": ("CLIENT-16/client/reset-before-the-roster", "did not tell of the loss"),
    "CLIENT-18": ("CLIENT-18/client/lost-by-an-open-mark", "did not tell of the loss"),
    # It knows nothing of its state.
    "CLIENT-10": ("CLIENT-10/client/send-next-door", "before JOIN"),
    "CLIENT-11": ("CLIENT-11/client/leave-twice", "after LEAVE"),
    "CLIENT-19": ("CLIENT-19/client/early-message", "was to tell of something that it ignored"),
    # It ignores without a word.
    "CLIENT-6": ("CLIENT-6/client/served-goodbye", "did not tell of something that it ignored"),
    # It does not look at types.
    "CLIENT-15": ("PICKLE-13/client/form-error-in-a-tuple", "told of Error(message=\"('plain',)\")"),
    "CODEC-5": ("CODEC-5/client/nothing-for-a-text", "text='None'"),
    "PICKLE-13": ("PICKLE-13/client/error-as-a-list", "told of Error(message=\"['invalid: x']\")"),
    # Its lines are not clear.
    "CLIENT-13": ("CLIENT-13/client/name-separators", "told of OnlineUsers"),
    # There is no bound.
    "LIMIT-20": ("LIMIT-20/client/more-than-16-mib", "did not tell of the loss"),
    # Python 2.7's pickle.
    "PICKLE-6": ("PICKLE-6/client/form-protocol-4", "did not tell of OnlineUsers"),
}
"""Each clause that the client violates: a check that shows it, and what of its complaint tells the cause."""

KEPT_BY_CLIENT = {
    "CLIENT-21": "CLIENT-21/client/send-after-goodbye",
    "CODEC-1": "CODEC-1/client/one-codec",
    "CODEC-7": "CODEC-7/client/plain-words",
    "CONN-10": "CONN-10/client/capital-letters",
    "ERROR-12": "ERROR-12/client/unknown-code-new",
    "JOIN-1": "JOIN-1/client/join-uninvited",
    "LEAVE-1": "LEAVE-1/client/decline",
    "REGISTER-1": "REGISTER-1/client/no-status",
    "SEND-1": "SEND-1/client/text-like-an-id",
    "STATUS-1": "STATUS-1/client/new-status",
}
"""Each clause that it keeps, and a check that it passes."""


def chapter(name: str) -> tuple[list[str], list[str]]:
    """Give the clauses of a chapter of the page: those in its table, and those that are kept."""
    text = PAGE.partition(f"## The {name}\n")[2].partition("\n## ")[0]
    table, _, kept = text.partition("\nIt keeps")
    rows = [line for line in table.splitlines() if line.startswith("| ")]
    return [clause for row in rows for clause in CLAUSE.findall(row.split("|")[2])], CLAUSE.findall(kept)


def complained(result: Result, clause: str, part: str) -> bool:
    """Tell whether a check says that a clause is violated, and for this reason."""
    return clause in result.violated and any(part in complaint for complaint in result.complaints)


@pytest.fixture(scope="module")
def client() -> dict[str, Result]:
    """Run the checks of the client."""
    names = {name for name, _ in CLIENT.values()} | set(KEPT_BY_CLIENT.values())
    checks = [check for check in CLIENT_CHECKS if check.name in names]
    driver = [*(CPYTHON2 or []), str(ROOT / "examples" / "drivers" / "lecture_driver.py")]
    outcome = run_client_checks(partial(Driven, driver), checks, ClientSettings(["pickle"], 12, 1.0))
    assert not outcome.left_out
    return {result.check.name: result for result in outcome.results}


def test_client_page() -> None:
    """The page names just the clauses that are tried here, each once."""
    violated, kept = chapter("client")
    assert sorted(violated) == sorted(CLIENT)
    assert kept == list(KEPT_BY_CLIENT)
    assert set(violated) <= set(clauses())


@needs_cpython2
@pytest.mark.parametrize("clause", CLIENT)
def test_client_violates(client: dict[str, Result], clause: str) -> None:
    """The client violates the clause, in the way of its cause."""
    name, part = CLIENT[clause]
    assert complained(client[name], clause, part), client[name].complaints


@needs_cpython2
@pytest.mark.parametrize("name", KEPT_BY_CLIENT.values())
def test_client_keeps(client: dict[str, Result], name: str) -> None:
    """The client passes the check."""
    assert client[name].verdict is Verdict.PASSED, client[name].complaints
