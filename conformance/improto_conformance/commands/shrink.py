"""`improto shrink TRANSCRIPT TARGET`: finds the shortest transcript in which a server still violates the same clause."""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Final

from improto.cli.numbers import wait
from improto.cli.text import escaped
from improto.codec import available
from improto.errors import UsageError
from improto_conformance.commands.checking import add_declaration, add_trust, declared, trusting
from improto_conformance.commands.replay import fresh
from improto_conformance.connections.links import cutting
from improto_conformance.reports.run import CONFORMANT, FAILURE, NO_TARGET
from improto_conformance.reports.sequence import diagram
from improto_conformance.servers.party import Waits
from improto_conformance.servers.probe import reaching
from improto_conformance.servers.replay import Replayed, replay
from improto_conformance.servers.shrink import Shrunk, acts, shrink, violation
from improto_conformance.servers.targets import NoTarget, opened
from improto_conformance.transcripts.complaints import cut
from improto_conformance.transcripts.records import Record, from_file, to_file
from improto_conformance.transcripts.transcript import Transcript

__all__ = ["HELP", "configure", "run"]

HELP: Final = "find the shortest transcript in which a server still violates the same clause"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `shrink`."""
    add = parser.add_argument
    add("transcript", type=Path, metavar="TRANSCRIPT", help="a file that --report DIR has written")
    add("target", metavar="TARGET", help="the server, as for `improto check server`; inproc: is the quickest")
    add(
        "--clause",
        default="",
        metavar="ID",
        help="the clause that must still be violated (default: the first that is violated)",
    )
    add("--output", type=Path, metavar="FILE", help="write the shortest transcript into this file")
    add(
        "--timeout",
        type=wait,
        default=0.5,
        metavar="S",
        help="seconds to wait for what came in the transcript (default: %(default)s)",
    )
    add("--runs", type=int, default=1000, metavar="N", help="most replays (default: %(default)s)")
    add(
        "--for",
        type=wait,
        default=60.0,
        dest="seconds",
        metavar="S",
        help="most seconds (default: %(default)s)",
    )
    add_declaration(parser)
    add_trust(parser)


def run(arguments: argparse.Namespace) -> int:
    """Shrink; 1 if the server violates the clause, 0 if it does not, 3 if there is no server."""
    if arguments.runs < 1:
        raise UsageError("--runs must be more than 0")
    record = from_file(arguments.transcript)
    profile = trusting(arguments, declared(arguments, available()), arguments.target)
    profile = replace(profile, private=record.private or profile.private)
    numbers = count()
    try:
        with opened(arguments.target, profile.tls) as target, reaching(target, record.codec):

            def replayed(old: Transcript, *, settle: bool = False) -> Replayed:
                connect = cutting(target.begin(), record.cut if target.stream else "whole", record.check)
                suffix = old.suffix if target.virtual else fresh(old.suffix, next(numbers))
                return replay(old, connect, Waits(arguments.timeout), suffix=suffix, settle=settle)

            first = replayed(record.transcript, settle=True)
            whole = first.transcript
            complaint = violation(whole, profile, arguments.clause or record.clause) or violation(
                whole, profile, arguments.clause
            )
            if complaint is None:
                print(
                    f"nothing to shrink: the judge has no complaint about {target.where}; see `improto replay`"
                )
                return CONFORMANT
            found = shrink(
                whole,
                complaint,
                lambda old: replayed(old).transcript,
                profile,
                runs=arguments.runs,
                seconds=arguments.seconds,
            )
    except NoTarget as error:
        print(f"improto: {error}")
        return NO_TARGET
    print("\n".join(_told(found, len(acts(first.old)))))
    if arguments.output is not None:
        codec = next(iter(found.transcript.codecs.values()), record.codec)
        about = {"target": target.where, "verdict": "failed", "from": arguments.transcript.name}
        shortest = Record(found.transcript, "", complaint.clause, codec, record.cut, profile.private, about)
        to_file(shortest, arguments.output)
    return FAILURE


def _told(found: Shrunk, before: int) -> Iterator[str]:
    yield f"VIOLATION {escaped(cut(str(found.complaint)))}"
    yield ""
    entries = found.transcript.entries
    yield from (f"  {line}" for line in diagram(entries, shown=len(entries)))
    yield ""
    left = len(acts(found.transcript))
    ending = (
        "nothing more can be left out"
        if found.minimal
        else "there was no time to leave out more, see --runs and --for"
    )
    yield f"{left} of {before} actions are left, after {found.runs} replays; {ending}"
