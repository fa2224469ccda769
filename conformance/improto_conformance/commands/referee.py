"""`improto referee`: stands between clients and a server, passes on what they send, and says who violates what."""

import argparse
import asyncio
import re
import signal
import traceback
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from pathlib import Path
from threading import BoundedSemaphore
from typing import Final

from improto.bindings.sockets import system_reason
from improto.cli.numbers import amount
from improto.cli.text import escaped
from improto.codec import available
from improto.errors import UsageError
from improto_conformance.commands.checking import add_declaration, add_trust, declared, trusting
from improto_conformance.connections.addresses import Upstream
from improto_conformance.connections.links import CUTS
from improto_conformance.judging.verdict import SERVER, Judgement, judged
from improto_conformance.pairs.referee import Manner, Referee
from improto_conformance.profile import Profile
from improto_conformance.reports.run import CONFORMANT, FAILURE, NO_TARGET, NOTHING, OWN_FAULT
from improto_conformance.results import Verdict
from improto_conformance.servers.targets import NoTarget, opened
from improto_conformance.transcripts.complaints import first
from improto_conformance.transcripts.records import Record, to_file
from improto_conformance.transcripts.transcript import Transcript

__all__ = ["HELP", "configure", "run"]

HELP: Final = (
    "judge live traffic: pass on what clients and a server send, unchanged, and say who violates which clause"
)

_WAITING: Final = 8  # transcripts that may wait to be judged


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `referee`."""
    add = parser.add_argument
    add(
        "--listen",
        type=_address,
        required=True,
        metavar="HOST:PORT",
        help="where clients connect; port 0 takes a free one",
    )
    add(
        "--upstream",
        required=True,
        metavar="TARGET",
        help="the server: HOST:PORT, tls://HOST:PORT, unix:PATH, or cmd:'PROGRAM {port}' to start a program",
    )
    add(
        "--codec",
        choices=available(),
        help="the only codec that is used (default: the first bytes of each connection decide)",
    )
    add(
        "--cut",
        choices=list(CUTS),
        default="whole",
        help="how to cut each read into writes, in both directions (default: %(default)s)",
    )
    add("--delay", type=amount, default=0.0, metavar="S", help="pass on each read S seconds later")
    add("--break-after", type=int, metavar="N", help="reset each connection after N bytes in one direction")
    add("--report", type=Path, metavar="DIR", help="write transcripts into this folder")
    add_declaration(parser)
    add_trust(parser)


def run(arguments: argparse.Namespace) -> int:
    """Pass on until SIGTERM or SIGINT; 0 nobody was wrong, 1 somebody was, 3 the server cannot be started, or the port not be used, 4 no verdict."""
    if arguments.break_after is not None and arguments.break_after < 1:
        raise UsageError("--break-after must be 1 or more")
    codecs = [arguments.codec] if arguments.codec else []
    upstream = arguments.upstream
    profile = trusting(arguments, declared(arguments, codecs or available()), upstream)
    if re.fullmatch(r"[^/]*:[0-9]+", upstream):
        upstream = f"tcp://{upstream}"
    if arguments.report is not None:  # the first transcript may come much later
        arguments.report.mkdir(parents=True, exist_ok=True)
    # Nobody else knows the port of a server that was started here.
    alone = upstream.startswith("cmd:")
    bench = _Bench(profile, arguments.report, alone=alone)
    manner = Manner(arguments.cut, arguments.delay, arguments.break_after)
    try:
        with opened(upstream, profile.tls) as target:
            if target.upstream is None:
                raise UsageError(
                    f"{upstream!r} is no stream of bytes; write --upstream HOST:PORT, tls://HOST:PORT or unix:PATH"
                )
            asyncio.run(_watch(arguments.listen, target.upstream, bench, manner, codecs))
    except NoTarget as error:
        print(f"improto: {error}")
        return NO_TARGET
    except OSError as error:
        host, port = arguments.listen
        print(f"improto: cannot listen on {host}:{port} ({system_reason(error)}); choose another --listen")
        return NO_TARGET
    finally:
        bench.close()
    code, line = bench.verdict()
    print(line)
    return code


async def _watch(
    listen: tuple[str, int],
    upstream: Upstream,
    bench: "_Bench",
    manner: Manner,
    codecs: Sequence[str],
) -> None:
    referee = Referee(upstream, bench.take, manner=manner, codecs=codecs)
    host, port = await referee.listen(*listen)
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    print(f"improto: listening on tcp://{host}:{port}", flush=True)
    await stop.wait()
    await referee.close()


class _Bench:
    """Judges transcripts, one after the other, while traffic goes on."""

    def __init__(self, profile: Profile, folder: Path | None, *, alone: bool) -> None:
        self._profile, self._folder, self._alone = profile, folder, alone
        self._pool = ThreadPoolExecutor(1)
        self._waiting = BoundedSemaphore(_WAITING)
        self._numbers = count(1)
        self._violated: set[str] = set()
        self._clean = 0  # transcripts that were judged to their end, and in order
        self._doubts = 0
        self._broken = False

    def take(self, seen: Transcript, full: bool) -> None:
        """Take a transcript to be judged."""
        if full:
            self._doubt(
                "too much traffic at once: until nobody is connected, it is passed on without being judged"
            )
        if self._waiting.acquire(blocking=False):
            self._pool.submit(self._judge, seen, next(self._numbers)).add_done_callback(self._done)
        else:
            self._doubt("too many transcripts wait to be judged: one is dropped")

    def close(self) -> None:
        """Judge the transcripts that still wait."""
        self._pool.shutdown()

    def verdict(self) -> tuple[int, str]:
        """Give the exit code and the line that says why."""
        if self._broken:
            return OWN_FAULT, "NO VERDICT: the referee is at fault, see above"
        if self._violated:
            return FAILURE, f"NOT CONFORMANT: {'; '.join(sorted(self._violated))}"
        if self._doubts:
            return NOTHING, "NO VERDICT: nobody was seen to be wrong, but not everything could be judged"
        if not self._clean:
            return NOTHING, "NO VERDICT: no message was seen"
        return CONFORMANT, "CONFORMANT: nobody was seen to be wrong"

    def _judge(self, seen: Transcript, number: int) -> None:
        try:
            judgement = judged(seen, self._profile, alone=self._alone)
            for blame in judgement.blames:
                self._violated.add(
                    f"{'the server' if blame.party == SERVER else 'a client'} violates {blame.clause}"
                )
            for line in first(judgement.blames):
                print(escaped(line), flush=True)
            if judgement.doubt:
                self._doubt(judgement.doubt)
            elif not judgement.blames:
                self._clean += 1
            if self._folder is not None:
                self._write(self._folder / "transcripts" / f"live-{number}.jsonl", seen, judgement)
        finally:
            self._waiting.release()

    def _done(self, work: "Future[None]") -> None:
        error = work.exception()
        # A fault of the judge must not look like a verdict.  Where nothing can be printed, `run` meets that as well.
        if error is not None and not isinstance(error, OSError):
            self._broken = True
            traceback.print_exception(error)

    def _doubt(self, reason: str) -> None:
        self._doubts += 1
        print(f"not everything is judged: {escaped(reason)}", flush=True)

    def _write(self, path: Path, seen: Transcript, judgement: Judgement) -> None:
        verdict = (
            Verdict.FAILED
            if judgement.blames
            else Verdict.INCONCLUSIVE
            if judgement.doubt
            else Verdict.PASSED
        )
        about = {"verdict": verdict.value, "blamed": "; ".join(first(judgement.blames))}
        codecs = set(seen.codecs.values())
        codec = codecs.pop() if len(codecs) == 1 else ""
        record = Record(seen, codec=codec, private=self._profile.private, about=about)
        try:
            to_file(record, path)
        except UsageError as error:  # the disk may be full by now; what was judged is still known
            print(f"improto: {error}", flush=True)
        else:
            print(f"written: {path}", flush=True)


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    host = host.strip("[]")
    try:
        host.encode("idna")  # as the system does when it looks the name up
        if not colon or not port.isascii() or not port.isdecimal() or int(port) > 0xFFFF:
            raise ValueError
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not an address; write HOST:PORT, like 127.0.0.1:7777"
        ) from None
    return host, int(port)
