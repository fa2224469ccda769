"""Serves a broken server: `python -m improto_conformance.zoo.broken NAME PORT`."""

import asyncio
import sys
from collections.abc import Sequence

from improto.errors import UsageError
from improto_conformance.zoo.broken import BROKEN, serve


def main(argv: Sequence[str]) -> None:
    """Run the server that `argv` names, at the port that it gives."""
    if len(argv) != 2 or argv[0] not in BROKEN or not argv[1].isdecimal():
        raise UsageError(f"give a name and a port; the names are {', '.join(BROKEN)}")
    asyncio.run(serve(BROKEN[argv[0]], int(argv[1])))


if __name__ == "__main__":
    main(sys.argv[1:])
