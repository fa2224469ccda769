"""`improto check ROLE`: says whether a server, or a client, conforms."""

import argparse
import shlex
from collections.abc import Callable
from functools import partial
from typing import Final

from improto.cli.text import escaped
from improto.codec import available
from improto.errors import UsageError
from improto_conformance import checking, pair_command
from improto_conformance.checks import CHECKS
from improto_conformance.clients.checks import CHECKS as CLIENT_CHECKS
from improto_conformance.clients.probe import probe, spoken
from improto_conformance.clients.runner import Settings as ClientSettings
from improto_conformance.clients.runner import run as run_client_checks
from improto_conformance.clients.subjects import Driven, Lone, Subject
from improto_conformance.results import Result, Verdict
from improto_conformance.runner import Settings, fresh_name
from improto_conformance.runner import run as run_checks
from improto_conformance.targets import opened

__all__ = ["HELP", "configure", "run"]

HELP: Final = "say whether a server, or a client, conforms to the specification"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `check`, a role each."""
    roles = parser.add_subparsers(title="what to check", required=True, metavar="ROLE")
    server = roles.add_parser("server", help="a server", description=HELP)
    server.add_argument(
        "target",
        metavar="TARGET",
        help="tcp://HOST:PORT, tls://HOST:PORT, unix:PATH, ws://HOST:PORT/PATH, wss://HOST:PORT/PATH, "
        "cmd:'PROGRAM {port}' to start one, or inproc:MODULE:FUNCTION",
    )
    checking.add_declaration(server)
    checking.add_trust(server)
    server.add_argument(
        "--shared", action="store_true", help="others use the server: leave out what has to be alone with it"
    )
    server.add_argument(
        "--fresh",
        action="store_true",
        help="start the program of cmd: anew for each check: none harms another",
    )
    checking.add_options(server)
    server.set_defaults(role=_server, jobs=Settings().jobs)
    client = roles.add_parser("client", help="a client", description="Say whether a client conforms.")
    client.set_defaults(role=_client)
    who = client.add_mutually_exclusive_group(required=True)
    who.add_argument(
        "--driver",
        metavar="PROG",
        help="a program that works the client, with its arguments (docs/driver.md)",
    )
    who.add_argument(
        "--cmd",
        metavar="PROG",
        help="the client itself, such as './client {host} {port} {user}', for checks that need no driver; "
        "{codec} stands for the codec",
    )
    checking.add_options(client)

    pair = roles.add_parser(
        "pair", help=pair_command.HELP, description="Say who is to blame, client or server."
    )
    pair.set_defaults(role=pair_command.run)
    pair_command.configure(pair)


def run(arguments: argparse.Namespace) -> int:
    """Do what the role does, and give the exit code: 0 conformant, 1 not, 3 no target, 4 nothing, 5 the suite's fault."""
    return int(arguments.role(arguments))


def _server(arguments: argparse.Namespace) -> int:
    checks = checking.chosen(CHECKS, arguments)
    profile = checking.trusting(arguments, checking.declared(arguments, arguments.codec or available()))
    settings = Settings(
        profile,
        arguments.jobs,
        arguments.timeout,
        arguments.cut or ["whole"],
        arguments.codec or (profile.codecs if arguments.profile is None else None),
        arguments.shared,
        fresh_name(),
    )

    def work(report: Callable[[Result], None]) -> None:
        with opened(arguments.target, profile.tls, fresh=arguments.fresh) as target:
            passed = False
            try:
                results = run_checks(target, checks, settings, report)
                passed = all(result.verdict is Verdict.PASSED for result in results)
            finally:
                if not passed and (said := target.last_words()):
                    print("The program's last words:", *map(escaped, said), sep="\n  ")
            if left_out := {check.name for check in checks} - {result.check.name for result in results}:
                print(f"{len(left_out)} checks do not fit {target.transport}, the codecs or the profile")

    return checking.carry_out(arguments, checking.Subject("server", arguments.target, profile, CHECKS), work)


def _client(arguments: argparse.Namespace) -> int:
    checks = checking.chosen(CLIENT_CHECKS, arguments)
    words = shlex.split(arguments.driver or arguments.cmd)
    if not words:
        raise UsageError(
            "give a program and its arguments in one word, such as --driver './my_driver --fast'"
        )
    fitting = [check for check in checks if check.alone or arguments.driver]

    def work(report: Callable[[Result], None]) -> None:
        if arguments.driver:
            make: Callable[[], Subject] = partial(Driven, words)
            codecs = arguments.codec or available()
            probe(partial(Driven, words), codecs, arguments.timeout)
        else:
            make = partial(Lone, words)
            codecs = spoken(words, arguments.codec, arguments.timeout)
        settings = ClientSettings(codecs, arguments.jobs, arguments.timeout, arguments.cut or ["whole"])
        left_out = run_client_checks(make, fitting, settings, report).left_out
        if len(fitting) < len(checks):
            print(f"{len(checks) - len(fitting)} checks need a driver, see docs/driver.md")
        for what, names in left_out.items():
            print(f"{len(names)} checks are left out, since the driver does not support {what}")

    target = arguments.driver or arguments.cmd
    return checking.carry_out(arguments, checking.Subject("client", target, checks=CLIENT_CHECKS), work)
