"""`improto fuzz codec|server|client …`: tries random input, until something is found or the time is over."""

import argparse
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

from improto.cli.numbers import wait
from improto.codec import load
from improto.errors import UsageError
from improto_conformance.commands import checking
from improto_conformance.commands.check import add_client, add_server, examine_client, examine_server
from improto_conformance.fuzz import clients, servers
from improto_conformance.fuzz.codec import Finding, Tally, fuzz

__all__ = ["HELP", "configure", "report", "run"]

HELP: Final = "try random input on codecs, a server or a client; a seed makes it repeatable"

_COUNT: Final = 100_000
_ROUND: Final = 20_000  # inputs between two looks at the clock
_ROUNDS: Final = 200
_MOST_ROUNDS: Final = 100_000
_BATCH: Final = 20  # rounds between two looks at the clock

_T = TypeVar("_T")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `fuzz`."""
    what = parser.add_subparsers(title="what to fuzz", required=True, metavar="WHAT")
    codec = what.add_parser(
        "codec", help="codecs, by their names", description="Let codecs read damaged streams."
    )
    add = codec.add_argument
    add("codecs", nargs="+", metavar="NAME", help="a codec that is installed, such as json")
    _add_amount(codec, "inputs", _COUNT)
    add("--seed", type=int, default=0, metavar="N", help="decides what the inputs are (default: 0)")
    add(
        "--jobs",
        type=int,
        default=os.cpu_count() or 1,
        metavar="N",
        help="how many processes to use (default: one for each core)",
    )
    add("--report", type=Path, metavar="FILE", help="write the results, as Markdown")
    codec.set_defaults(role=_codecs)
    server = what.add_parser(
        "server", help="a server", description="Let users send random requests to a server."
    )
    add_server(server)
    _add_amount(server, "rounds", _ROUNDS)
    server.set_defaults(role=_server)
    client = what.add_parser(
        "client", help="a client", description="Let a server send random messages to a client."
    )
    add_client(client)
    _add_amount(client, "rounds", _ROUNDS)
    client.set_defaults(role=_client)


def _add_amount(parser: argparse.ArgumentParser, what: str, default: int) -> None:
    add = parser.add_argument
    add("--count", type=int, metavar="N", help=f"number of {what} for each codec (default: {default:,})")
    add(
        "--for",
        type=wait,
        dest="seconds",
        metavar="S",
        help="seconds to go on for, such as 30s, instead of a number",
    )


def run(arguments: argparse.Namespace) -> int:
    """Fuzz; 0 if nothing was found, 1 if something was; of servers and clients also the other codes of `check`."""
    if arguments.jobs < 1 or arguments.seed < 0 or (arguments.count is not None and arguments.count < 1):
        raise UsageError("--jobs and --count must be 1 or more, and --seed 0 or more")
    return int(arguments.role(arguments))


def _server(arguments: argparse.Namespace) -> int:
    every = servers.rounds(arguments.seed, _numbers(arguments))
    return examine_server(arguments, every, _batches(checking.chosen(every, arguments), arguments))


def _client(arguments: argparse.Namespace) -> int:
    every = clients.rounds(arguments.seed, _numbers(arguments))
    return examine_client(arguments, every, _batches(checking.chosen(every, arguments), arguments))


def _numbers(arguments: argparse.Namespace) -> range:
    return range(arguments.count or (_MOST_ROUNDS if arguments.seconds else _ROUNDS))


def _batches(rounds: Sequence[_T], arguments: argparse.Namespace) -> Iterator[Sequence[_T]]:
    """Give rounds a few at a time, until time is up; none are begun after some that have found something."""
    end = time.monotonic() + (arguments.seconds or float("inf"))
    for start in range(0, len(rounds), _BATCH):
        yield rounds[start : start + _BATCH]
        if time.monotonic() > end:
            return


def _codecs(arguments: argparse.Namespace) -> int:
    tallies: dict[str, Tally] = {}
    for name in arguments.codecs:
        load(name)
        tallies[name] = _fuzzed(name, arguments)
        ends = ", ".join(f"{end} {number:,}" for end, number in tallies[name].ends.most_common())
        print(f"{name}: {tallies[name].inputs:,} inputs, seed {arguments.seed}: {ends}", flush=True)
        for finding in tallies[name].findings:
            print("\n".join(_told(name, arguments.seed, finding)), flush=True)
    if arguments.report is not None:
        arguments.report.write_text("\n".join(report(arguments.seed, tallies)) + "\n", encoding="utf-8")
    return 1 if any(tally.findings for tally in tallies.values()) else 0


def _fuzzed(name: str, arguments: argparse.Namespace) -> Tally:
    tally = Tally()
    count = arguments.count or (2**40 if arguments.seconds else _COUNT)
    size = _ROUND if arguments.seconds else count
    end = time.monotonic() + (arguments.seconds or float("inf"))
    for start in range(0, count, size):
        for part in fuzz(name, arguments.seed, range(start, min(count, start + size)), arguments.jobs):
            tally.add(part)
        if time.monotonic() > end:
            break
    return tally


def _told(name: str, seed: int, finding: Finding) -> Iterator[str]:
    yield f"FOUND {name}, seed {seed}, input {finding.number}, of a {finding.sender}: {finding.fault}"
    yield f"  {finding.data!r}"


def report(seed: int, tallies: Mapping[str, Tally]) -> Iterator[str]:
    """Give the lines of a page about what came of fuzzing some codecs."""
    yield "# Results of fuzzing the codecs"
    yield ""
    yield f"Made by `improto fuzz codec {' '.join(tallies)} --seed {seed} --count N --report FILE`."
    yield ""
    yield "The inputs are made from vectors, random messages and attacks, and damaged at random.  The seed and the number of an input"
    yield "are enough to make it again.  Each input is read as a whole and in pieces, which must give the same result, and the messages"
    yield "in it are written and read again.  A finding is an exception that is not declared, a different result in pieces, something that is read"
    yield "after a fatal error, or too much time or memory."
    yield ""
    yield "| codec | seed | inputs | findings | the last thing that was read |"
    yield "|---|---:|---:|---:|---|"
    for name, tally in tallies.items():
        ends = ", ".join(f"{end}: {number:,}" for end, number in sorted(tally.ends.items()))
        yield f"| {name} | {seed} | {tally.inputs:,} | {len(tally.findings)} | {ends} |"
    for name, tally in tallies.items():
        for finding in tally.findings:
            yield ""
            yield from (f"    {line}" for line in _told(name, seed, finding))
