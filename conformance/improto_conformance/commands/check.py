"""`improto check ROLE`: checks whether a server or a client conforms to the specification."""

import argparse
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final

from improto.cli.text import escaped
from improto.codec import available
from improto.errors import UsageError
from improto_conformance.clients.check import ClientCheck
from improto_conformance.clients.checks import CHECKS as CLIENT_CHECKS
from improto_conformance.clients.probe import probe, spoken
from improto_conformance.clients.runner import Settings as ClientSettings
from improto_conformance.clients.runner import run as run_client_checks
from improto_conformance.clients.subjects import Driven, Lone, Subject
from improto_conformance.commands import check_pair, checking
from improto_conformance.results import Result, Verdict
from improto_conformance.servers.check import Check
from improto_conformance.servers.checks import CHECKS
from improto_conformance.servers.runner import Gone, Settings, fresh_name
from improto_conformance.servers.runner import run as run_checks
from improto_conformance.servers.targets import Target, opened, words_of

__all__ = ["HELP", "add_client", "add_server", "configure", "examine_client", "examine_server", "run"]

HELP: Final = "check whether a server or a client conforms to the specification"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `check`, for each role."""
    roles = parser.add_subparsers(title="what to check", required=True, metavar="ROLE")
    server = roles.add_parser(
        "server", help="a server", description="Check whether a server conforms to the specification."
    )
    add_server(server)
    server.add_argument(
        "--shared",
        action="store_true",
        help="others use the server, too: leave out the checks that must be alone with it",
    )
    server.set_defaults(role=_server, jobs=Settings().jobs)
    client = roles.add_parser(
        "client", help="a client", description="Check whether a client conforms to the specification."
    )
    add_client(client)
    client.set_defaults(role=_client)

    pair = roles.add_parser(
        "pair",
        help=check_pair.HELP,
        description="Run a client against a server, and say which of the two is to blame.",
    )
    pair.set_defaults(role=check_pair.run)
    check_pair.configure(pair)


def add_server(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name a server, say what it declares, and choose what is checked and printed."""
    parser.add_argument(
        "target",
        metavar="TARGET",
        help="tcp://HOST:PORT, tls://HOST:PORT, unix:PATH, ws://HOST:PORT/PATH, wss://HOST:PORT/PATH, "
        "cmd:'PROGRAM {port}' to start a program, or inproc:MODULE:FUNCTION for a server in this process",
    )
    checking.add_declaration(parser)
    checking.add_trust(parser)
    parser.add_argument(
        "--fresh",
        action="store_true",
        help="start the program of cmd: anew for each check, so that no check can disturb another",
    )
    checking.add_options(parser)


def add_client(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name a client, and choose what is checked and printed."""
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument(
        "--driver",
        metavar="PROG",
        help="the driver, a program that operates the client, with its arguments (docs/driver.md)",
    )
    who.add_argument(
        "--cmd",
        metavar="PROG",
        help="instead of a driver, the client itself, such as './client {host} {port} {user}'; a {codec} in it stands "
        "for the codec.  Only some checks are possible then",
    )
    checking.add_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Do what the role does, and give the exit code: 0 conformant, 1 not, 3 no target, 4 nothing, 5 the suite's fault."""
    return int(arguments.role(arguments))


def _server(arguments: argparse.Namespace) -> int:
    return examine_server(arguments, CHECKS, [checking.chosen(CHECKS, arguments)], shared=arguments.shared)


def _client(arguments: argparse.Namespace) -> int:
    return examine_client(arguments, CLIENT_CHECKS, [checking.chosen(CLIENT_CHECKS, arguments)])


def examine_server(
    arguments: argparse.Namespace,
    every: Sequence[Check],
    batches: Iterable[Sequence[Check]],
    *,
    shared: bool = False,
) -> int:
    """Run batches of checks on the server that the arguments name; `every` is all checks that there are.

    Gives the exit code.  After a batch in which a check did not pass, no other batch runs.  `shared`: others use the server.
    """
    profile = checking.declared(arguments, arguments.codec or available())
    profile = checking.trusting(arguments, profile, arguments.target)
    settings = Settings(
        profile,
        arguments.jobs,
        arguments.timeout,
        arguments.cut or ["whole"],
        arguments.codec or (profile.codecs if arguments.profile is None else None),
        shared,
        arguments.seed,
        fresh_name(),
    )

    def examine(target: Target, checks: Sequence[Check], report: Callable[[Result], None]) -> bool:
        passed, gone = False, None
        try:
            results = run_checks(target, checks, settings, report)
            passed = all(result.verdict is Verdict.PASSED for result in results)
        except Gone as error:
            gone = error
            raise
        finally:
            if not passed and (said := target.last_words()):
                print("The program's last words:", *map(escaped, said), sep="\n  ")
            if not passed and (ended := target.ending()):
                print(f"The program is gone: {ended}")
            if gone is not None:
                print(f"{gone}; --fresh starts the program anew for each check")
        if left_out := {check.name for check in checks} - {result.check.name for result in results}:
            print(f"{len(left_out)} checks do not fit {target.transport}, the codecs or the profile")
        return passed

    def work(report: Callable[[Result], None]) -> None:
        with opened(arguments.target, profile.tls, fresh=arguments.fresh) as target:
            all(examine(target, checks, report) for checks in batches)

    return checking.carry_out(arguments, checking.Subject("server", arguments.target, profile, every), work)


def examine_client(
    arguments: argparse.Namespace, every: Sequence[ClientCheck], batches: Iterable[Sequence[ClientCheck]]
) -> int:
    """Run batches of checks on the client that the arguments name; `every` is all checks that there are.

    Gives the exit code.  After a batch in which a check did not pass, no other batch runs.
    """
    target = arguments.cmd if arguments.driver is None else arguments.driver
    words = words_of(target)
    if not words:
        raise UsageError(
            "give a program and its arguments as one quoted word, such as --driver './my_driver --fast'"
        )

    def examine(
        settings: ClientSettings,
        make: Callable[[], Subject],
        checks: Sequence[ClientCheck],
        report: Callable[[Result], None],
    ) -> bool:
        fitting = [check for check in checks if check.alone or arguments.driver]
        outcome = run_client_checks(make, fitting, settings, report)
        if len(fitting) < len(checks):
            print(f"{len(checks) - len(fitting)} checks need a driver, see docs/driver.md")
        for what, names in outcome.left_out.items():
            print(f"{len(names)} checks are left out, since the driver does not support {what}")
        return all(result.verdict is Verdict.PASSED for result in outcome.results)

    def work(report: Callable[[Result], None]) -> None:
        if arguments.driver:
            make: Callable[[], Subject] = partial(Driven, words)
            codecs = arguments.codec or available()
            probe(partial(Driven, words), codecs, arguments.timeout)
        else:
            make = partial(Lone, words)
            codecs = spoken(words, arguments.codec, arguments.timeout)
        settings = ClientSettings(
            codecs, arguments.jobs, arguments.timeout, arguments.cut or ["whole"], arguments.seed
        )
        all(examine(settings, make, checks, report) for checks in batches)

    return checking.carry_out(arguments, checking.Subject("client", target, checks=every), work)
