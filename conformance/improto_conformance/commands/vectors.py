"""`improto vectors`: writes the vectors, and tries them on decoders and encoders in any language."""

import argparse
from collections import Counter
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path
from typing import Final

from improto.cli.text import escaped
from improto.errors import UsageError
from improto_conformance.reports.run import CONFORMANT, FAILURE, NO_TARGET, NOTHING
from improto_conformance.transcripts.complaints import cut
from improto_conformance.vectors import Vector, vectors
from improto_conformance.vectors.programs import NoProgram, Tally, check_decoder, check_encoder
from improto_spec import clauses

__all__ = ["HELP", "configure", "run"]

HELP: Final = (
    "write the vectors, which are examples as data, or check a decoder or encoder in any language with them"
)

_SHOWN: Final = 20
_WIDTH: Final = 1000  # of a complaint, which quotes an answer


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vectors`."""
    actions = parser.add_subparsers(title="what to do", required=True, metavar="ACTION", dest="action")
    about = "write the vectors, their schema and the page about them"
    export = actions.add_parser("export", help=about, description=about)
    export.add_argument("folder", type=Path, metavar="DIR", help="the folder, which is made if there is none")
    about = "try the message and stream vectors on a program"
    check = actions.add_parser("check", help=about, description=about)
    check.add_argument(
        "--decoder", metavar="PROG", help="the decoder: a program with its arguments, as one quoted word"
    )
    check.add_argument("--encoder", metavar="PROG", help="the encoder: the same program or another one")
    check.add_argument(
        "--only",
        action="append",
        metavar="PATTERN",
        help="use only vectors with these ids or clauses, e.g. 'json/*'",
    )


def run(arguments: argparse.Namespace) -> int:
    """Do it; 0 if all went well, 1 if a vector failed, 3 if the program cannot be run, 4 if nothing was judged."""
    if arguments.action == "export":
        return _export(arguments.folder)
    if not arguments.decoder and not arguments.encoder:
        raise UsageError(
            "give --decoder PROG or --encoder PROG; README.md beside the vectors says what the program must do"
        )
    every = vectors().values()
    for pattern in arguments.only or ():
        if not any(_matches(vector, [pattern]) for vector in every):
            raise UsageError(
                f"no vector has an id or clause like {pattern!a}; patterns are, for example, 'json/*' and 'JSON-4'"
            )
    chosen = [vector for vector in every if _matches(vector, arguments.only)]
    try:
        tallies = {
            role: check(command, chosen)
            for role, command, check in (
                ("decoder", arguments.decoder, check_decoder),
                ("encoder", arguments.encoder, check_encoder),
            )
            if command
        }
    except NoProgram as error:
        print(f"improto: {error}")
        return NO_TARGET
    for role, tally in tallies.items():
        _report(role, tally)
    if any(tally.failed for tally in tallies.values()):
        return FAILURE
    return CONFORMANT if all(tally.passed for tally in tallies.values()) else NOTHING


def _export(folder: Path) -> int:
    source = files("improto_spec") / "vectors"
    folder.mkdir(parents=True, exist_ok=True)
    for file in sorted(source.iterdir(), key=lambda file: file.name):
        if file.name.endswith((".json", ".md")):
            (folder / file.name).write_bytes(file.read_bytes())
            print(folder / file.name)
    return 0


def _matches(vector: Vector, only: list[str] | None) -> bool:
    names = (vector.id, vector.clause)
    return only is None or any(fnmatchcase(name, pattern) for name in names for pattern in only)


def _report(role: str, tally: Tally) -> None:
    told = {(vector.id, complaint): vector for vector, complaint in tally.failed}
    # A stream is cut in many ways.
    times = Counter((vector.id, complaint) for vector, complaint in tally.failed)
    for (id, complaint), vector in list(told.items())[:_SHOWN]:
        often = f" ({times[id, complaint]} times)" if times[id, complaint] > 1 else ""
        print(f"FAILED {escaped(cut(complaint, _WIDTH))}{often}")
        print(f"  {vector.data['comment']}\n  {vector.clause}: {clauses()[vector.clause].text}")
    if len(told) > _SHOWN:
        print(f"… and {len(told) - _SHOWN} more")
    print(f"{role}: {tally.passed} passed, {len(tally.failed)} failed, {tally.unsupported} unsupported")
