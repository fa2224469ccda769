"""`improto check ROLE`: says whether a server, or a client, conforms."""

import argparse
import os
from collections.abc import Callable
from typing import Final

from improto.cli.text import escaped
from improto.codec import available
from improto_conformance import checking
from improto_conformance.addresses import Tls
from improto_conformance.checks import CHECKS
from improto_conformance.profile import Profile
from improto_conformance.results import Result, Verdict
from improto_conformance.runner import Settings
from improto_conformance.runner import run as run_checks
from improto_conformance.targets import opened

__all__ = ["HELP", "configure", "run"]

HELP: Final = "say whether a server conforms to the specification"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `check`, a role each."""
    roles = parser.add_subparsers(title="what to check", required=True, metavar="ROLE")
    server = roles.add_parser("server", help="a server", description=HELP)
    server.set_defaults(role=_server)
    server.add_argument(
        "target",
        metavar="TARGET",
        help="tcp://HOST:PORT, tls://HOST:PORT, unix:PATH, ws://HOST:PORT/PATH, wss://HOST:PORT/PATH, "
        "cmd:'PROGRAM {port}' to start one, or inproc:MODULE:FUNCTION",
    )
    server.add_argument(
        "--ca", default="", metavar="FILE", help="certificates to trust, for tls:// and wss://"
    )
    server.add_argument("--insecure", action="store_true", help="trust any certificate")
    server.add_argument(
        "--server-name", default="", metavar="NAME", help="whom the certificate has to be for"
    )
    server.add_argument("--private", action="store_true", help="the server lets only invited users join")
    checking.add_options(server)


def run(arguments: argparse.Namespace) -> int:
    """Do what the role does, and give the exit code: 0 conformant, 1 not, 3 no target, 4 nothing, 5 the suite's fault."""
    return int(arguments.role(arguments))


def _server(arguments: argparse.Namespace) -> int:
    checks = checking.chosen(CHECKS, arguments)
    profile = Profile(arguments.codec or available(), arguments.private)
    settings = Settings(
        profile, arguments.jobs, arguments.timeout, arguments.cut or ["whole"], f"{os.getpid():x}-"
    )

    tls = Tls(arguments.ca, arguments.insecure, arguments.server_name)

    def work(report: Callable[[Result], None]) -> None:
        with opened(arguments.target, tls) as target:
            passed = False
            try:
                results = run_checks(target, checks, settings, report)
                passed = all(result.verdict is Verdict.PASSED for result in results)
            finally:
                if not passed and (said := target.last_words()):
                    print("The program's last words:", *map(escaped, said), sep="\n  ")
            if left_out := sum(not target.fits(check) for check in checks):
                print(f"{left_out} checks do not fit {target.transport}")

    return checking.carry_out(arguments, checking.Subject("server", arguments.target, profile, CHECKS), work)
