"""`improto check ROLE`: says whether a server, or a client, conforms."""

import argparse
import os
from typing import Final

from improto.codec import available
from improto_conformance import checking
from improto_conformance.checks import CHECKS
from improto_conformance.profile import Profile
from improto_conformance.runner import Settings
from improto_conformance.runner import run as run_checks
from improto_conformance.targets import NoTarget, opened

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
        help="tcp://HOST:PORT, cmd:'PROGRAM {port}' to start one, or inproc:MODULE:FUNCTION",
    )
    server.add_argument("--private", action="store_true", help="the server lets only invited users join")
    checking.add_options(server)


def run(arguments: argparse.Namespace) -> int:
    """Do what the role does, and give the exit code: 0 conformant, 1 not, 3 no target, 4 nothing, 5 the suite's fault."""
    return int(arguments.role(arguments))


def _server(arguments: argparse.Namespace) -> int:
    checks = checking.chosen(CHECKS, arguments)
    settings = Settings(
        Profile(arguments.codec or available(), arguments.private),
        arguments.jobs,
        arguments.timeout,
        arguments.cut or ["whole"],
        f"{os.getpid():x}-",
    )
    try:
        with opened(arguments.target) as target:
            results = run_checks(target, checks, settings, checking.reporter(arguments))
            left_out = sum(not target.fits(check) for check in checks)
    except NoTarget as error:
        print(f"improto: {error}")
        return checking.NO_TARGET
    if left_out:
        print(f"{left_out} checks do not fit {target.transport}")
    return checking.conclude(results, arguments)
