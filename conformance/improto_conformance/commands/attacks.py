"""`improto attacks`: runs all attacks on the codecs, and writes down the results."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from improto.errors import UsageError
from improto_conformance.codecs.attacks import ATTACKS
from improto_conformance.codecs.attacks.attack import Attack
from improto_conformance.codecs.attacks.measure import BOUNDS, Measured

__all__ = ["HELP", "Setting", "configure", "run", "table"]

HELP: Final = "try attacks on the codecs, each in its own process, and measure what they cost"

_IDENTITY: Final = "import platform as p; print(p.python_implementation(), p.python_version())"
_MEBIBYTE: Final = 2**20
_WAYS: Final[Mapping[str, Sequence[str]]] = {
    "": ("ascii", "json", "msgpack", "pickle"),
    "without improto[fast]": ("ascii", "json", "msgpack"),
    "without improto[fast], msgpack without its extension": ("msgpack",),
}
"""What an interpreter has to work without, and the codecs for which that makes a difference."""


@dataclass(frozen=True, slots=True)
class Setting:
    """An interpreter, and what it has to work without: one of `_WAYS`."""

    python: str
    without: str = ""

    @property
    def name(self) -> str:
        """What to call it; UsageError if it cannot be started."""
        try:
            asked = subprocess.run([self.python, "-c", _IDENTITY], stdout=subprocess.PIPE, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise UsageError(
                f"{self.python} is not a Python that can be started ({getattr(error, 'strerror', error)}); name one in which improto is installed"
            ) from None
        return ", ".join(filter(None, [asked.stdout.decode().strip(), self.without]))

    def run(self, ids: Sequence[str]) -> Iterator[Measured]:
        """Run those attacks for which it makes a difference; UsageError if improto is not installed there."""
        chosen = [id for id in ids if ATTACKS[id].codec in _WAYS[self.without]]
        environment = dict(os.environ)
        with TemporaryDirectory() as ahead:
            if "fast" in self.without:
                Path(ahead, "msgspec.py").write_text("raise ImportError('left out')", encoding="utf-8")
                environment["PYTHONPATH"] = os.pathsep.join(
                    filter(None, [ahead, environment.get("PYTHONPATH")])
                )
            if "extension" in self.without:
                environment["MSGPACK_PUREPYTHON"] = "1"
            yield from self._run(chosen, environment)

    def _run(self, ids: Sequence[str], environment: Mapping[str, str]) -> Iterator[Measured]:
        with subprocess.Popen(
            [self.python, "-m", "improto_conformance.codecs.attacks", *ids],
            env=environment,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        ) as process:
            for line in process.stdout or ():
                fields: dict[str, Any] = json.loads(line)
                fields["executed"] = tuple(fields["executed"])
                yield Measured(**fields)
        if process.returncode:
            raise UsageError(f"{self.python} cannot run the attacks; install 'improto[msgpack,fast]' for it")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `attacks`."""
    add = parser.add_argument
    add(
        "--only",
        action="append",
        metavar="PATTERN",
        help="run only these attacks, e.g. 'json/*' (default: all)",
    )
    add(
        "--python",
        action="append",
        default=[],
        metavar="PROG",
        help="run them in this interpreter as well, for which improto[msgpack,fast] must be installed",
    )
    add("--table", type=Path, metavar="FILE", help="write the results, as Markdown")


def run(arguments: argparse.Namespace) -> int:
    """Run attacks in each interpreter, with and without optional packages; 0 if all stayed in their bounds, otherwise 1."""
    patterns: list[str] = arguments.only or ["*"]
    ids = [id for id in ATTACKS if any(fnmatchcase(id, pattern) for pattern in patterns)]
    if not ids:
        raise UsageError("no attack has such a name; names are, for example, json/nan and msgpack/nil")
    results: dict[str, list[Measured]] = {}
    wrong = 0
    for python in [sys.executable, *arguments.python]:
        for setting in [Setting(python, without) for without in _WAYS]:
            found = results[setting.name] = []
            for measured in setting.run(ids):
                found.append(measured)
                for complaint in measured.complaints(ATTACKS[measured.id]):
                    wrong += 1
                    print(f"WRONG {complaint}", flush=True)
            print(f"{setting.name}: {len(found)} attacks", flush=True)
    if arguments.table is not None:
        arguments.table.write_text("\n".join(table(results)) + "\n", encoding="utf-8")
    return 1 if wrong else 0


def table(results: Mapping[str, Sequence[Measured]]) -> Iterator[str]:
    """Give the lines of the page about the results of attacks, by setting."""
    yield "# How the codecs withstand attacks"
    yield ""
    yield "Made by `bash .ci/run attacks`."
    yield ""
    yield "Each attack is read as it would arrive from a socket, in a process of its own.  The number of its bytes bounds its time and"
    yield "its memory: the system ends the process when the time is over, and gives it no more memory.  After an error that is not fatal"
    yield "a legal message was read; after a fatal error nothing was read.  Meanwhile nothing was imported, compiled, opened or started,"
    yield "as the interpreter's own audit events show.  *Memory* is the peak above what the process had before.  *Time* is processor"
    yield "time, including the time to make the bytes.  If an attack was run in several settings, the largest values are shown."
    yield ""
    yield from (f"- {name}: {len(measured)} attacks" for name, measured in results.items())
    yield ""
    yield "Reading may cost this much, and tests enforce it:"
    yield ""
    yield "| codec | memory for each byte that is held (a message up to the limit, and 64 KiB) | time for each byte |"
    yield "|---|---|---|"
    yield from (f"| {name} | {bounds.memory} bytes | {bounds.time:g} µs |" for name, bounds in BOUNDS.items())
    yield ""
    yield "A message from a server may be as long as `Limits.roster` of the client, which is 16 MiB by default.  By these bounds, a"
    yield "message of a hostile server may take 2 GiB of the client's memory in pickle, 1.5 GiB in msgpack, and 1 GiB in the other two"
    yield "codecs, until it is read or refused.  The worst attack that is known, a pickle of memo entries only (PICKLE-34), takes less"
    yield "than half of that.  A roster of 1,000 users has about 20 KiB.  If you cannot spare so much memory, give the client's"
    yield "`wire.Connection` a lower limit; a `Session` always uses the default."
    for codec in BOUNDS:
        rows = [row for attack in ATTACKS.values() if attack.codec == codec for row in _row(attack, results)]
        if not rows:
            continue
        yield ""
        yield f"## {codec}"
        yield ""
        yield "| attack | what is sent | bytes | what happens | memory, MiB | time, ms |"
        yield "|---|---|---:|---|---:|---:|"
        yield from rows


def _row(attack: Attack, results: Mapping[str, Sequence[Measured]]) -> Iterator[str]:
    measured = [one for each in results.values() for one in each if one.id == attack.id]
    if not measured:
        return
    first = measured[0]
    ends = dict.fromkeys(f"{one.outcome}, fatal" if one.fatal else one.outcome for one in measured)
    memory = max(one.memory for one in measured) / _MEBIBYTE
    milliseconds = 1000 * max(one.seconds for one in measured)
    cells = (
        attack.name,
        attack.title,
        f"{first.fed:,}",
        " or ".join(ends),
        f"{memory:.1f}",
        f"{milliseconds:.1f}",
    )
    yield f"| {' | '.join(cells)} |"
