"""The command line: `improto COMMAND …`.

Commands come from the entry-point group `improto.commands`; other distributions can add theirs.  An entry point
names a module with

    HELP: str                                one line for the list of commands
    configure(parser: ArgumentParser)        adds the arguments
    run(arguments: Namespace) -> int         does it, and gives the exit code
"""

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import entry_points, version
from io import TextIOWrapper
from typing import Final, Protocol, cast

from improto.cli.text import escaped
from improto.errors import ImprotoError

__all__ = ["ENTRY_POINTS", "FULL", "INTERRUPTED", "UNREAD", "USAGE", "main"]

ENTRY_POINTS: Final = "improto.commands"
USAGE: Final = 2
INTERRUPTED: Final = 130
UNREAD: Final = 141  # the exit code that a shell gives to a program that SIGPIPE has ended
FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says where there is no room for what is printed or written."""


class _Command(Protocol):
    HELP: str

    def configure(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, arguments: argparse.Namespace) -> int: ...


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that `argv` names and give its exit code; SystemExit with 2 if the usage is wrong."""
    if not sys.stdout:  # it was closed when this program was started
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    with suppress(AttributeError):  # a StringIO has no encoding
        cast(TextIOWrapper, sys.stdout).reconfigure(errors="backslashreplace")  # Latin-1 has no "…"
    try:
        arguments = _arguments(argv)
        code = int(arguments.run(arguments))
        sys.stdout.flush()
        return code
    except ImprotoError as error:
        print(f"improto: {escaped(str(error))}", file=sys.stderr)  # it may quote a file of somebody else
        return USAGE
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        if error.errno in FULL:
            print(f"improto: there is no room for the output ({error.strerror}); make some", file=sys.stderr)
        elif error.filename is not None:  # a file that the user has named
            print(f"improto: {error.filename}: {error.strerror}; name another place", file=sys.stderr)
            return USAGE
        elif not isinstance(error, BrokenPipeError):  # that one says that nobody reads what is printed
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # takes what is still flushed at the end
        return UNREAD


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="improto", description="A small instant-messaging protocol.")
    parser.add_argument("--version", action="version", version=f"improto {version('improto')}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    points = sorted(entry_points(group=ENTRY_POINTS), key=lambda point: point.name)
    wanted = (sys.argv[1:] if argv is None else argv)[:1]
    # Only the command that is wanted is imported: to import all takes longer than to start a server.
    for point in [point for point in points if point.name in wanted] or points:
        command = cast(_Command, point.load())
        subparser = commands.add_parser(point.name, help=command.HELP, description=command.HELP)
        command.configure(subparser)
        subparser.set_defaults(run=command.run)
    return parser.parse_args(argv)
