"""`improto spec export DIR`: writes the specification, and all that is made from its tables, into files.

The same files are in `improto_spec/published`; a test fails if they differ by a byte.
"""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from improto_spec.render import diagrams, dissector, document, grammar, schema, table

__all__ = ["FILES", "HELP", "configure", "run"]

HELP: Final = "write the specification, its tables, schema, grammar, pictures and Wireshark dissector"

FILES: Final[Mapping[str, Callable[[], str]]] = {
    "specification.md": document.render,
    "messages.json": table.render,
    "messages.schema.json": schema.render,
    "ascii.abnf": grammar.render,
    "states.mmd": diagrams.mermaid,
    "states.svg": diagrams.svg,
    "improto.lua": dissector.render,
}
"""Each file that is exported, with the function that makes its text."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `spec`."""
    actions = parser.add_subparsers(title="what to do", required=True, metavar="ACTION")
    export = actions.add_parser("export", help=HELP, description=HELP)
    export.add_argument("folder", type=Path, metavar="DIR", help="the folder, which is made if there is none")


def run(arguments: argparse.Namespace) -> int:
    """Write all files, and name them."""
    folder: Path = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, render in FILES.items():
        (folder / name).write_text(render(), encoding="utf-8", newline="\n")
        print(folder / name)
    return 0
