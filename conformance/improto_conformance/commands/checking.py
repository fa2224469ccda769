"""What all roles of `improto check` share: which checks run, what is printed and written, and the exit code."""

import argparse
import shlex
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from improto.cli import FULL
from improto.cli.numbers import wait
from improto.codec import available
from improto.errors import ImprotoError, UsageError
from improto_conformance import patterns, reports
from improto_conformance.connections.addresses import Tls
from improto_conformance.connections.links import CUTS
from improto_conformance.profile import Profile, profile_of
from improto_conformance.reports import known
from improto_conformance.reports.redact import Redactor
from improto_conformance.reports.run import NO_TARGET, OWN_FAULT
from improto_conformance.results import Aim, Result, Verdict
from improto_conformance.servers.runner import Gone
from improto_conformance.servers.targets import NoTarget
from improto_spec import clauses

__all__ = [
    "Subject",
    "add_declaration",
    "add_options",
    "add_trust",
    "carry_out",
    "chosen",
    "declared",
    "trusting",
]

_AnyAim = TypeVar("_AnyAim", bound=Aim)


@dataclass(frozen=True, slots=True)
class Subject:
    """What is checked."""

    role: str
    """`server` or `client`."""
    target: str
    """As the user named it."""
    profile: Profile = field(default_factory=Profile)
    checks: Sequence[Aim] = ()
    """All checks for the role, whether they are chosen or not."""


def add_declaration(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what a server declares."""
    add = parser.add_argument
    add("--profile", type=Path, metavar="FILE", help="what the server declares, in TOML (docs/profile.md)")
    add("--private", action="store_true", help="the server declares that only invited users may join")


def add_trust(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which certificates to trust, for a server behind TLS."""
    add = parser.add_argument
    add("--ca", default="", metavar="FILE", help="certificates to trust, for tls:// and wss://")
    add("--insecure", action="store_true", help="trust any certificate, for tls:// and wss://")
    add(
        "--server-name",
        default="",
        metavar="NAME",
        help="the name that the certificate must have (default: the host of the target)",
    )


def declared(arguments: argparse.Namespace, codecs: Sequence[str]) -> Profile:
    """Give what a server declares according to the options; `codecs` are used unless a profile names them."""
    profile = Profile(codecs) if arguments.profile is None else profile_of(arguments.profile)
    return replace(profile, private=arguments.private or profile.private)


def trusting(arguments: argparse.Namespace, profile: Profile, target: str) -> Profile:
    """Give the profile with the trust options in it.  UsageError if there are some, and the target does not use TLS."""
    options = Tls(arguments.ca, arguments.insecure, arguments.server_name)
    if options != Tls() and not target.lower().startswith(("tls://", "wss://")):
        raise UsageError(
            "--ca, --insecure and --server-name are for tls:// and wss:// only: other connections do not use TLS"
        )
    tls = Tls(
        options.ca or profile.tls.ca,
        options.insecure or profile.tls.insecure,
        options.server_name or profile.tls.server_name,
    )
    return replace(profile, tls=tls)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that all roles have."""
    _add_choice(parser)
    add = parser.add_argument
    add(
        "--timeout",
        type=wait,
        default=5.0,
        metavar="S",
        help="seconds to wait for something that must come (default: %(default)s)",
    )
    add(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="decides everything random, such as where --cut sampled cuts (default: %(default)s)",
    )


def _add_choice(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose what runs and what is printed; the command shown with a failure has its own of these."""
    add = parser.add_argument
    add(
        "--codec",
        action="append",
        choices=available(),
        help="a codec to use; may be given again (default: all)",
    )
    add(
        "--only",
        action="append",
        metavar="PATTERN",
        help="run only these checks, e.g. 'JOIN-*' or 'CONN-4/*'; may be given again",
    )
    add(
        "--skip",
        action="append",
        default=[],
        metavar="PATTERN",
        help="leave these checks out; may be given again",
    )
    add(
        "--cut",
        action="append",
        choices=list(CUTS),
        help="how to cut the sent bytes into writes; may be given again (default: whole)",
    )
    add(
        "--jobs",
        type=int,
        default=4,
        metavar="N",
        help="how many checks to run at a time (default: %(default)s)",
    )
    add(
        "--report",
        type=Path,
        metavar="DIR",
        help="write report.html, report.json, junit.xml, summary.md and transcripts into this folder",
    )
    add(
        "--known-failing",
        type=Path,
        metavar="FILE",
        help="a file of known failures: fail only if something else fails, or if one of these no longer does",
    )
    add("--fix", action="store_true", help="write the failures of this run into the file of --known-failing")
    add(
        "--redact",
        action="store_true",
        help="replace names, statuses, texts and ids by others of the same length in everything that is printed and written",
    )
    add("-v", "--verbose", action="store_true", help="name the passed checks as well")


def chosen(checks: Sequence[_AnyAim], arguments: argparse.Namespace) -> list[_AnyAim]:
    """Give the checks that the options ask for; UsageError if the options are wrong."""
    if arguments.jobs < 1:
        raise UsageError("--jobs must be more than 0")
    return patterns.chosen(checks, arguments.only, arguments.skip)


def carry_out(
    arguments: argparse.Namespace, subject: Subject, work: Callable[[Callable[[Result], None]], object]
) -> int:
    """Do the work, print each result that it reports, write the reports, and give the exit code.

    0 conformant or known failures only, 1 not, 3 no target, 4 nothing conclusive, 5 the suite's own fault, 130
    interrupted; what has run so far is written then, too.
    """
    teller = _Teller(arguments, subject)
    interrupted, unrun = False, 0
    try:
        work(teller.tell)
    except NoTarget as error:
        print(f"improto: {error}")
        return NO_TARGET
    except Gone as error:
        unrun = error.unrun
    except KeyboardInterrupt:
        interrupted = True
    except (ImprotoError, BrokenPipeError):  # wrong usage, or nobody reads what is printed
        raise
    except Exception as error:  # an exception outside a check is no failure of the target
        if isinstance(error, OSError) and error.errno in FULL:  # there is no room for what is printed
            raise
        traceback.print_exc()
        print(f"improto: {_OWN_FAULT}", file=sys.stderr)
        return OWN_FAULT
    return teller.conclude(interrupted=interrupted, unrun=unrun)


_OWN_FAULT: Final = "this is a fault of the suite; report it to its authors with the lines above"


class _Teller:
    """Prints each result as soon as there is one, and keeps all for the end."""

    def __init__(self, arguments: argparse.Namespace, subject: Subject) -> None:
        self._arguments = arguments
        self._names = {check.name for check in subject.checks}
        self._results: list[Result] = []
        self._run = reports.Run(
            self._results,
            subject.role,
            subject.target,
            _command(),
            asdict(subject.profile),
            _options(arguments),
        )
        self._known = _baseline(arguments)
        self._shown = Redactor().result if arguments.redact else _as_it_is
        if arguments.report is not None:
            try:
                reports.clear(arguments.report)
            except OSError as error:
                raise UsageError(f"--report {arguments.report}: {error.strerror}; name a folder") from None

    def tell(self, result: Result) -> None:
        """Print what there is to say about a result, and write its transcript."""
        result = known.judged(result, self._known)
        self._results.append(result)
        result = self._shown(result)
        commands = [reports.again(self._run, result)]
        if self._arguments.report is not None:
            path = reports.keep(self._run, result, self._arguments.report)
            if self._run.role == "server":
                commands.append(_replay(self._run, path))
        if result.verdict in (Verdict.FAILED, Verdict.INCONCLUSIVE, Verdict.BROKEN):
            print("\n".join(reports.failure(result, clauses(), *commands)), end="\n\n", flush=True)
        elif self._arguments.verbose or result.verdict is Verdict.KNOWN:
            print(f"{result.verdict} {result.check.name} [{result.how}]: {result.check.title}", flush=True)
        # Shows that a long run goes on; whatever is printed next is longer, and overwrites it.
        if sys.stderr.isatty():
            print(f"{len(self._results)} results", end="\r", file=sys.stderr, flush=True)

    def conclude(self, *, interrupted: bool, unrun: int) -> int:
        """Write the reports, print the summary, and give the exit code."""
        if self._arguments.fix and not interrupted:
            self._known = known.fixed(self._known, self._results, self._names)
            self._arguments.known_failing.write_text(known.write(self._known), encoding="utf-8")
        run = replace(
            self._run,
            results=[self._shown(known.judged(result, self._known)) for result in self._results],
            stale=list(known.stale(self._known, self._results, self._names)),
            interrupted=interrupted,
            unrun=unrun,
        )
        if self._arguments.report is not None:
            reports.write([run], self._arguments.report, clauses())
        print("\n".join(reports.summary(run)))
        return reports.outcome(run)[0]


def _as_it_is(result: Result) -> Result:
    return result


def _baseline(arguments: argparse.Namespace) -> list[known.Known]:
    path = arguments.known_failing
    if path is None:
        if arguments.fix:
            raise UsageError("--fix rewrites a file of known failures; name it with --known-failing")
        return []
    return [] if arguments.fix and not path.exists() else known.read(path)


def _command() -> list[str]:
    """Give the words of this command, without those that choose checks and reports."""
    choice = argparse.ArgumentParser(add_help=False)
    _add_choice(choice)
    return ["improto", *choice.parse_known_args(sys.argv[1:])[1]]


def _replay(run: reports.Run, path: Path) -> str:
    """Give the command that sends a transcript again, to the same server."""
    # The options of `check` and `fuzz` that `replay` does not have.
    only_here = argparse.ArgumentParser(add_help=False)
    for flag in ("--shared", "--fresh"):
        only_here.add_argument(flag, action="store_true")
    for option in ("--seed", "--count", "--for"):
        only_here.add_argument(option)
    words = only_here.parse_known_args(run.command[3:])[1]
    options = [word for word in words if word != run.target]
    return shlex.join(["improto", "replay", *options, str(path), run.target])


def _options(arguments: argparse.Namespace) -> dict[str, Any]:
    plain = (str, int, float, bool, list, type(None))
    return {
        name: value if isinstance(value, plain) else str(value)
        for name, value in sorted(vars(arguments).items())
        if not callable(value)
    }
