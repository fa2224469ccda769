"""`improto judge TRANSCRIPT…`: judges transcripts that were written before, of checks and of live traffic.

In the transcript of a check, the side that was checked is judged: the server or the clients.  In live traffic both are.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from improto.cli.text import escaped
from improto.codec import available
from improto.errors import UsageError
from improto_conformance.judging.client_judge import judge_clients
from improto_conformance.judging.judge import judge
from improto_conformance.judging.verdict import judged
from improto_conformance.profile import Profile
from improto_conformance.reports.run import CONFORMANT, FAILURE, NOTHING
from improto_conformance.transcripts.complaints import MOST, Complaint, Inconclusive, cut
from improto_conformance.transcripts.records import NoRecord, Record, read
from improto_conformance.transcripts.transcript import Transcript
from improto_spec import clauses

__all__ = ["HELP", "JUDGES", "configure", "run"]

HELP: Final = "judge transcripts that were written before"


def _live(seen: Transcript, profile: Profile) -> list[Complaint]:
    judgement = judged(seen, profile)
    if judgement.doubt and not judgement.blames:
        raise Inconclusive(judgement.doubt)
    return [Complaint(each.clause, f"{each.who}: {each.text}", each.index) for each in judgement.blames]


JUDGES: Final[Mapping[str, Callable[[Transcript, Profile], list[Complaint]]]] = {
    "server": judge,
    "client": lambda seen, profile: judge_clients(seen),
    "": _live,
}
"""The judges, by the role that a transcript is about."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `judge`."""
    parser.add_argument(
        "transcripts",
        nargs="+",
        metavar="TRANSCRIPT",
        help="a file or folder that --report has written; - for standard input",
    )
    parser.add_argument(
        "--private",
        action="store_true",
        help="the server declares that only invited users may join, whatever the transcript says",
    )
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="name the transcripts with nothing wrong as well"
    )


def run(arguments: argparse.Namespace) -> int:
    """Judge all, and give the exit code: 0 all allowed, 1 a violation, 4 nothing conclusive."""
    verdicts = {_judge(one, arguments) for one in _records(arguments.transcripts)}
    if not verdicts:
        print("there is no transcript in these folders; name what --report has written")
    if True in verdicts:
        return FAILURE
    return CONFORMANT if False in verdicts else NOTHING


@dataclass(frozen=True, slots=True)
class _Kept:
    name: str
    record: Record


def _records(names: Sequence[str]) -> Iterator[_Kept]:
    """Read the named files; UsageError, which names the file, if one cannot be read."""
    for name in names:
        path = Path(name)
        paths = sorted(path.rglob("*.jsonl")) if name != "-" and path.is_dir() else [path]
        for each in paths:
            try:
                if name == "-":
                    yield _Kept("standard input", read(sys.stdin))
                else:
                    with each.open(encoding="utf-8") as file:
                        yield _Kept(str(each), read(file))
            except OSError as error:
                raise UsageError(f"{each}: {error.strerror}; name what --report has written") from None
            except NoRecord as error:
                raise UsageError(f"{each}: {error}") from None


def _judge(kept: _Kept, arguments: argparse.Namespace) -> bool | None:
    """Judge one transcript, and print the result; return whether there was a violation, None if that is not certain."""
    record, role = kept.record, kept.record.about.get("role", "")
    of = ", ".join(filter(None, (record.check, record.codec)))
    name = escaped(f"{kept.name} ({of})" if of else kept.name)
    if role not in JUDGES:
        raise UsageError(f"{name} is about {role!a}; there is no judge for that")
    # A server of whose codecs only one is seen may speak others as well, or not: a judge then allows for both.
    codecs = sorted(set(record.transcript.codecs.values())) or available()
    try:
        found = JUDGES[role](record.transcript, Profile(codecs, arguments.private or record.private))
    except Inconclusive as reason:
        print(f"INCONCLUSIVE {name}\n  {escaped(str(reason))}")
        return None
    if not found:
        if arguments.verbose:
            print(f"allowed {name}")
        return False
    print(f"VIOLATION {name}")
    texts = clauses()
    for each in found[:MOST]:
        print(f"  {each.clause} ({texts[each.clause].level}): {texts[each.clause].text}")
        print(f"    entry {each.index}: {escaped(cut(each.text))}")
        print(f"    {escaped(cut(str(record.transcript.entries[each.index])))}")
    if len(found) > MOST:
        print(f"  … and {len(found) - MOST} complaints more")
    return True
