"""`improto replay TRANSCRIPT… TARGET`: sends again what the parties of transcripts sent, and judges what happens."""

import argparse
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Final

from improto.cli.numbers import wait
from improto.cli.text import escaped
from improto.codec import available
from improto_conformance.commands.checking import add_declaration, add_trust, declared, trusting
from improto_conformance.connections.links import cutting
from improto_conformance.judging.alike import difference
from improto_conformance.judging.judge import judge
from improto_conformance.profile import Profile
from improto_conformance.reports.run import CONFORMANT, FAILURE, NO_TARGET, NOTHING
from improto_conformance.results import Verdict
from improto_conformance.servers.checks import CHECKS
from improto_conformance.servers.party import Waits
from improto_conformance.servers.probe import reaching
from improto_conformance.servers.replay import Replayed, replay
from improto_conformance.servers.targets import NoTarget, Target, opened
from improto_conformance.transcripts.abstract import abstract
from improto_conformance.transcripts.complaints import Inconclusive, cut, first
from improto_conformance.transcripts.records import Record, from_file, to_file

__all__ = ["HELP", "Outcome", "again", "configure", "fresh", "run"]

HELP: Final = "send to a server again what the parties of transcripts sent, and judge what happens"

_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `replay`."""
    add = parser.add_argument
    add("transcript", nargs="+", type=Path, metavar="TRANSCRIPT", help="a file that --report DIR has written")
    add("target", metavar="TARGET", help="the server, as for `improto check server`")
    add("--codec", choices=available(), help="speak this codec instead of that of the transcript")
    add(
        "--timeout",
        type=wait,
        default=2.0,
        metavar="S",
        help="seconds to wait for what came in the transcript (default: %(default)s)",
    )
    add("--report", type=Path, metavar="DIR", help="write the new transcripts into this folder")
    add_declaration(parser)
    add_trust(parser)


def run(arguments: argparse.Namespace) -> int:
    """Replay all; 0 if all is allowed, 1 if something is not, 3 if there is no server, 4 if nothing could be judged."""
    verdicts: set[Verdict] = set()
    records = [(path, from_file(path)) for path in arguments.transcript]
    profile = trusting(arguments, declared(arguments, available()), arguments.target)
    try:
        with opened(arguments.target, profile.tls) as target:
            for number, (path, record) in enumerate(records):
                with reaching(target, arguments.codec or record.codec):
                    outcome = again(record, target, profile, arguments.codec, arguments.timeout, number)
                verdicts.add(outcome.verdict)
                print("\n".join(map(escaped, _told(path.name, outcome, record))), flush=True)
                if arguments.report is not None:
                    to_file(outcome.record, arguments.report / "transcripts" / path.name)
    except NoTarget as error:
        print(f"improto: {error}")
        return NO_TARGET
    if Verdict.FAILED in verdicts:
        return FAILURE
    return CONFORMANT if Verdict.PASSED in verdicts else NOTHING


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one replay."""

    record: Record
    verdict: Verdict
    complaints: tuple[str, ...]
    difference: str
    """The first difference from the old transcript; empty if there is none."""


def again(
    record: Record, target: Target, profile: Profile, codec: str | None, timeout: float, number: int = 0
) -> Outcome:
    """Replay a record, in `codec` instead of its own if one is given, and judge what happens.

    `number` distinguishes it from the others of one run.  UsageError if it makes no sense in that codec; OSError if
    the server cannot be reached.
    """
    old = record.transcript
    new = replace(record, codec=codec or record.codec, private=record.private or profile.private)
    connect = cutting(target.begin(), new.cut if target.stream else "whole", f"{new.check} {new.codec}")
    # A server in this process is new each time; on another one, the names may be in use.
    suffix = old.suffix if target.virtual else fresh(old.suffix, number)
    replayed = replay(old, connect, Waits(timeout), suffix=suffix, codec=codec)
    complaints, doubt = _complaints(new, replayed, replace(profile, private=new.private))
    verdict = Verdict.FAILED if complaints else Verdict.INCONCLUSIVE if doubt else Verdict.PASSED
    changed = next(
        difference(abstract(replayed.old), abstract(replayed.own), "the replay", "the transcript"), ""
    )
    new.transcript, new.about = (
        replayed.transcript,
        {**record.about, "target": target.where, "verdict": verdict.value},
    )
    return Outcome(new, verdict, tuple(complaints or doubt), changed)


def fresh(suffix: str, number: int) -> str:
    """Give another suffix of the same length, so that sizes stay as they are."""
    random = Random(os.getpid() << 20 | number)
    return "".join(letter if letter in ".-" else random.choice(_DIGITS) for letter in suffix)


def _complaints(record: Record, replayed: Replayed, profile: Profile) -> tuple[list[str], list[str]]:
    """Give what is wrong, by the check of the record and by the judge; and why something cannot be judged, if so."""
    made = list(replayed.failures)
    for check in CHECKS:
        if check.name == record.check and (check.codecs is None or record.codec in check.codecs):
            made += check.judgement(replayed.own)
    try:
        found = judge(replayed.transcript, profile)
    except Inconclusive as reason:
        return made, [str(reason)]
    return [*made, *(str(each) for each in found)], []


def _told(name: str, outcome: Outcome, record: Record) -> Iterator[str]:
    before = record.about.get("verdict", "")
    then = (
        f", as before ({before})"
        if before == outcome.verdict
        else f"; before, it was {before}"
        if before
        else ""
    )
    word = {Verdict.FAILED: "VIOLATION", Verdict.PASSED: "allowed"}.get(outcome.verdict, "NO VERDICT")
    yield f"{word} {name}{then}"
    yield from (f"  - {line}" for line in first([*dict.fromkeys(map(cut, outcome.complaints))]))
    if outcome.difference:
        yield f"  {outcome.difference}"
