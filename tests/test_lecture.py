"""What the lecture's own programs violate is what `docs/lecture.md` says, and for the causes that it names."""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest

from improto_conformance.clients.checks import CHECKS as CLIENT_CHECKS
from improto_conformance.clients.runner import Settings as ClientSettings
from improto_conformance.clients.runner import run as run_client_checks
from improto_conformance.clients.subjects import Driven
from improto_conformance.profile import Profile
from improto_conformance.results import Result, Verdict
from improto_conformance.servers.checks import CHECKS
from improto_conformance.servers.runner import Settings, run
from improto_conformance.servers.targets import opened
from improto_spec import clauses
from runtimes import CPYTHON2, needs_cpython2

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "lecture.md").read_text(encoding="utf-8")
CLAUSE = re.compile(r"\b[A-Z]+-[0-9]+\b")

CLIENT = {
    # One read is taken for one message.
    "CLIENT-4": ("CLIENT-4/client/a-crowd-is-there-already", "tell of OnlineUsers"),
    "CLIENT-5": ("CLIENT-5/client/beyond-one-read", "tell of Message"),
    "CLIENT-7": ("CLIENT-7/client/roster-a-thousand", "tell of OnlineUsers"),
    "CLIENT-8": ("CLIENT-8/client/rosters-at-any-time", "tell of OnlineUsers"),
    "CONN-4": ("CONN-4/client/cut-after-4-bytes", "tell of Message"),
    "CONN-5": ("CONN-5/client/handled-before-a-part", "tell of Message"),
    "CONN-8": ("CONN-8/client/event-before-the-reply", "tell of Invitation"),
    "INVITE-1": ("INVITE-1/client/guests-sixty-four", "tell of OnlineUsers"),
    "LIMIT-26": ("LIMIT-26/client/a-long-error", "tell of Error"),
    "LIST-2": ("LIST-2/client/list-of-many", "tell of Conversations"),
    "MESSAGE-1": ("MESSAGE-1/client/said-at-length", "tell of Message"),
    "PICKLE-7": ("PICKLE-7/client/form-shared-0", "tell of OnlineUsers"),
    "PICKLE-18": ("PICKLE-18/client/form-line-ends", "tell of Error"),
    # So these get nowhere.
    "CLIENT-2": ("CLIENT-2/client/another-name-later", "ONLINE_USERS was waited for"),
    "CLIENT-3": ("CLIENT-3/client/only-eight", "INVITATION was waited for"),
    "CLIENT-9": ("CLIENT-9/client/ids-that-differ-in-case", "MESSAGE was waited for"),
    "CLIENT-12": ("CLIENT-12/client/no-join-unasked", "INVITATION was waited for"),
    "CLIENT-14": ("CLIENT-14/client/a-hundred-errors", "the end of its connection was waited for"),
    "CLIENT-17": ("CLIENT-17/client/both-buffers-full", "MESSAGE was waited for"),
    "ERROR-11": ("ERROR-11/client/plain-error", "ERROR was waited for"),
    "SEND-1": ("CLIENT-17/client/both-buffers-full", "did not send SendMessage"),
    # The thread that reads ends.
    "CLIENT-16": ("CLIENT-16/client/reset-before-the-roster", "did not tell of the loss"),
    "CLIENT-18": ("CLIENT-18/client/lost-by-an-open-mark", "did not tell of the loss"),
    "PICKLE-3": ("PICKLE-3/client/call-in-a-pickle", "did not tell of the loss"),
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
    # It leaves the end to the server.
    "CLIENT-20": ("CLIENT-20/client/no-end-after-goodbye", "the end of the client's stream was waited for"),
    # Python 2.7's pickle.
    "PICKLE-6": ("PICKLE-6/client/form-protocol-4", "did not tell of OnlineUsers"),
    "PICKLE-11": ("PICKLE-11/client/reply-with-tuples-3", "did not tell of Conversations"),
    "PICKLE-15": ("PICKLE-15/client/reply-with-integers-3", "did not tell of Conversations"),
}
"""Each clause that the client violates: a check that shows it, and what of its complaint tells the cause."""

SERVER = {
    # One read is taken for one message.
    "REGISTER-9": ("REGISTER-9/scenario/register/pipelined", "and received nothing"),
    # Ids are integers.
    "JOIN-2": ("JOIN-2/scenario/join/makes-a-member", "received ERROR 'No such conversation: 1'"),
    # ERRORs have no codes.
    "ERROR-2": (
        "INVITE-6/scenario/invite/who-has-gone",
        "received an ERROR without a code: 'No such user: bo",
    ),
    # What cannot be read ends the thread, and the connection stays open.
    "CONN-24": ("CONN-24/malformed-pickle", "was to be closed and stayed open"),
    # It loads any pickle, and passes on what was in it.
    "CODEC-7": ("LIMIT-24/forms", "a text in a pickle has a lone surrogate"),
    # There are no bounds.
    "LIMIT-5": ("LIMIT-5/scenario/limit/name-long", "was to receive invalid and received nothing"),
    "LIMIT-14": ("LIMIT-14/scenario/limit/no-names", "was to receive invalid and received Invitation"),
    # Commands without fields come alone.
    "PICKLE-20": ("PICKLE-20/streams", "(A space follows, which is not waited for.)"),
    # Rules that came later.
    "INVITE-5": ("INVITE-5/scenario/invite/only-self", "was to receive invalid, invalid and received Inv"),
}
"""Some clauses that the server violates, for each cause that shows as long as the others are there."""

KEPT_BY_SERVER = {
    "CODEC-16": "CODEC-16/scenario/codec/no-greeting",
    "GOODBYE-4": "GOODBYE-4/free-name",
    "INVITATION-5": "INVITATION-5/scenario/invitation/source",
    "PRESENCE-2": "PRESENCE-2/full-roster",
    "REGISTER-11": "REGISTER-11/scenario/register/nothing-but-a-name",
}
"""Some that it keeps."""

KEPT_BY_CLIENT = {
    "CLIENT-21": "CLIENT-21/client/send-after-goodbye",
    "CODEC-1": "CODEC-1/client/one-codec",
    "CODEC-7": "CODEC-7/client/plain-words",
    "CONN-10": "CONN-10/client/capital-letters",
    "ERROR-12": "ERROR-12/client/unknown-code-new",
    "JOIN-1": "JOIN-1/client/join-uninvited",
    "LEAVE-1": "LEAVE-1/client/decline",
    "REGISTER-1": "REGISTER-1/client/no-status",
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
def client() -> Mapping[str, Result]:
    """Run the checks of the client."""
    names = {name for name, _ in CLIENT.values()} | set(KEPT_BY_CLIENT.values())
    checks = [check for check in CLIENT_CHECKS if check.name in names]
    driver = [*(CPYTHON2 or []), str(ROOT / "examples" / "drivers" / "lecture_driver.py")]
    outcome = run_client_checks(partial(Driven, driver), checks, ClientSettings(["pickle"], 16, 2.0))
    assert not outcome.left_out
    return {result.check.name: result for result in outcome.results}


@pytest.fixture(scope="module")
def server() -> Mapping[str, Result]:
    """Run the checks of the server, which is started for each anew."""
    names = {name for name, _ in SERVER.values()} | set(KEPT_BY_SERVER.values())
    checks = [check for check in CHECKS if check.name in names]
    program = f"cmd:{' '.join(CPYTHON2 or [])} {ROOT / 'tests' / 'peers' / 'lecture_server.py'} {{port}}"
    with opened(program, fresh=True) as target:
        results = run(target, checks, Settings(Profile(["pickle"]), 16, 2.0))
    return {result.check.name: result for result in results}


def test_client_page() -> None:
    """The page names just the clauses that are tried here, each once."""
    violated, kept = chapter("client")
    assert sorted(violated) == sorted(CLIENT)
    assert kept == list(KEPT_BY_CLIENT)
    assert set(violated) <= set(clauses())


@needs_cpython2
@pytest.mark.parametrize("clause", CLIENT)
def test_client_violates(client: Mapping[str, Result], clause: str) -> None:
    """The client violates the clause, in the way of its cause."""
    name, part = CLIENT[clause]
    assert complained(client[name], clause, part), client[name].complaints


@needs_cpython2
@pytest.mark.parametrize("name", KEPT_BY_CLIENT.values())
def test_client_keeps(client: Mapping[str, Result], name: str) -> None:
    """The client passes the check."""
    assert client[name].verdict is Verdict.PASSED, client[name].complaints


def test_server_page() -> None:
    """The page names clauses that there are, each once, and has those that are tried here on the right side."""
    violated, kept = chapter("server")
    named = [*violated, *kept]
    assert len(named) == len(set(named))
    assert set(named) <= set(clauses())
    assert set(violated) >= set(SERVER)
    assert set(kept) >= set(KEPT_BY_SERVER)


@needs_cpython2
@pytest.mark.parametrize("clause", SERVER)
def test_server_violates(server: Mapping[str, Result], clause: str) -> None:
    """The server violates the clause, in the way of its cause."""
    name, part = SERVER[clause]
    assert complained(server[name], clause, part), server[name].complaints


@needs_cpython2
@pytest.mark.parametrize("name", KEPT_BY_SERVER.values())
def test_server_keeps(server: Mapping[str, Result], name: str) -> None:
    """The server passes the check."""
    assert server[name].verdict is Verdict.PASSED, server[name].complaints
