"""`improto check pair`: runs a client against a server, and says which of the two is to blame."""

import argparse
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final

from improto.cli.numbers import wait
from improto.cli.text import escaped
from improto.codec import available, load
from improto.errors import UsageError
from improto_conformance.clients.probe import probe as probe_driver
from improto_conformance.clients.probe import spoken
from improto_conformance.clients.subjects import Driven, Lone
from improto_conformance.commands.checking import add_declaration, add_trust, declared, trusting
from improto_conformance.connections.links import CUTS
from improto_conformance.judging.verdict import SERVER
from improto_conformance.pairs.pair import NAMES, Met, meet
from improto_conformance.pairs.referee import Manner
from improto_conformance.pairs.sessions import DRIVEN, SHOWN
from improto_conformance.profile import Profile
from improto_conformance.reports.run import CONFORMANT, FAILURE, NO_TARGET, NOTHING
from improto_conformance.reports.sequence import diagram
from improto_conformance.results import Verdict
from improto_conformance.servers.probe import probe as probe_server
from improto_conformance.servers.probe import reaching
from improto_conformance.servers.targets import NoTarget, Target, opened, words_of
from improto_conformance.transcripts.complaints import first
from improto_conformance.transcripts.records import Record, to_file
from improto_conformance.transcripts.transcript import Event

__all__ = ["HELP", "configure", "run"]

HELP: Final = "a client against a server, through the referee: which of the two is to blame?"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `check pair`."""
    add = parser.add_argument
    add(
        "--server",
        required=True,
        metavar="TARGET",
        help="tcp://HOST:PORT, tls://HOST:PORT, unix:PATH, or cmd:'PROGRAM {port}' to start one",
    )
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument(
        "--driver", metavar="PROG", help="the driver, a program that operates the client (docs/driver.md)"
    )
    who.add_argument(
        "--client",
        metavar="PROG",
        help="instead of a driver, the client itself: 'PROG {host} {port} {user}', perhaps with {codec}",
    )
    add(
        "--codec",
        action="append",
        choices=available(),
        help="a codec to use; may be given again (default: all)",
    )
    add(
        "--cut",
        choices=list(CUTS),
        default="whole",
        help="how the referee cuts the bytes that it passes on (default: %(default)s)",
    )
    add(
        "--timeout",
        type=wait,
        default=5.0,
        metavar="S",
        help="seconds to wait for something that must come (default: %(default)s)",
    )
    add("--report", type=Path, metavar="DIR", help="write transcripts into this folder")
    add_declaration(parser)
    add_trust(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run all sessions; 0 nobody is to blame, 1 somebody is, 3 no server or client, 4 nothing could be judged."""
    words = words_of(arguments.client if arguments.driver is None else arguments.driver)
    if not words:
        raise UsageError("give a program and its arguments as one quoted word")
    profile = declared(arguments, arguments.codec or available())
    profile = trusting(arguments, profile, arguments.server)
    met: list[Met] = []
    try:
        with opened(arguments.server, profile.tls) as target:
            for each in _sessions(arguments, words, target, profile):
                met.append(each)
                print("\n".join(map(escaped, _told(each))), flush=True)
                if arguments.report is not None:
                    _keep(each, arguments.report, profile)
    except NoTarget as error:
        print(f"improto: {error}")
        return NO_TARGET
    code, line = _verdict(met)
    print(line)
    return code


def _sessions(
    arguments: argparse.Namespace, words: Sequence[str], target: Target, profile: Profile
) -> Iterator[Met]:
    if target.upstream is None:
        raise UsageError(
            "check pair needs a stream of bytes; write tcp://HOST:PORT, tls://HOST:PORT, unix:PATH or cmd:'PROGRAM {port}'"
        )
    make = partial(Driven, words)
    if arguments.driver:
        codecs: Sequence[str] = profile.codecs
        probe_driver(make, codecs, arguments.timeout)
    else:
        codecs = spoken(words, arguments.codec, arguments.timeout)
    for codec in codecs:
        probe_server(target, load(codec), f"probe-{codec}.{os.getpid():x}", arguments.timeout)
    manner = Manner(arguments.cut)
    numbers = count()
    with ExitStack() as stack:
        clients: Sequence[Driven] | Sequence[Lone] = ()
        for codec in codecs:
            for session in DRIVEN if arguments.driver else [SHOWN]:
                if not clients and arguments.driver:
                    clients = [make() for _ in NAMES]
                    for client in clients:
                        stack.callback(client.close)
                with reaching(target, codec):
                    each = meet(
                        target.upstream,
                        clients or [Lone(words) for _ in NAMES],
                        session,
                        codec,
                        profile,
                        manner=manner,
                        timeout=arguments.timeout,
                        suffix=f".{os.getpid():x}-{next(numbers)}",
                        alone=arguments.server.startswith("cmd:"),
                    )
                if each.doubt or each.blames:
                    clients = ()  # clients that may be stuck are not used again
                yield each


def _told(each: Met) -> Iterator[str]:
    where = f"{each.session} [{each.codec}]"
    if each.left_out:
        yield f"left out {where}: the driver does not support {each.left_out}"
    elif not each.blames:
        yield f"NO VERDICT {where}: {each.doubt}" if each.doubt else f"passed {where}"
        return
    else:
        yield f"FAILED {where}"
    yield from (f"  - {line}" for line in first(each.blames))
    if each.blames:
        shown = each.transcript.entries[: each.blames[0].index + 1]
        passed = [entry for entry in shown if entry.event not in (Event.ASKED, Event.TOLD)]
        yield from (f"    {line}" for line in diagram(passed))


def _keep(each: Met, folder: Path, profile: Profile) -> None:
    verdict = Verdict.FAILED if each.blames else Verdict.INCONCLUSIVE if each.doubt else Verdict.PASSED
    about = {"session": each.session, "verdict": verdict.value, "blamed": "; ".join(first(each.blames))}
    record = Record(each.transcript, codec=each.codec, private=profile.private, about=about)
    to_file(record, folder / "transcripts" / f"pair-{each.session}.{each.codec}.jsonl")


def _verdict(met: Sequence[Met]) -> tuple[int, str]:
    blames = [blame for each in met for blame in each.blames]
    if blames:
        sides = {
            who: ", ".join(
                sorted({each.clause for each in blames if (each.party == SERVER) is (who == "the server")})
            )
            for who in ("the server", "the client")
        }
        return (
            FAILURE,
            f"NOT CONFORMANT: {'; '.join(f'{who} violates {what}' for who, what in sides.items() if what)}",
        )
    if not any(not each.left_out and not each.doubt for each in met):
        return NOTHING, "NO VERDICT: no session could be judged"
    unsure = sum(bool(each.doubt) for each in met)
    return CONFORMANT, f"CONFORMANT, but for {unsure} sessions without a verdict" if unsure else "CONFORMANT"
