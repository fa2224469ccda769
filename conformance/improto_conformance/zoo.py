"""`improto zoo`: the suite against itself.

Each broken server has to fail a check of the clause that it violates, and each variant has to pass all checks.
A check that no broken server fails may check nothing: it is named.
"""

import argparse
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from improto.service import Service
from improto_conformance.broken import BROKEN
from improto_conformance.checks import CHECKS
from improto_conformance.profile import Profile
from improto_conformance.results import Verdict
from improto_conformance.runner import Settings
from improto_conformance.runner import run as run_checks
from improto_conformance.targets import in_process
from improto_conformance.variants import VARIANTS

__all__ = ["HELP", "Beast", "configure", "matrix", "meet", "run"]

HELP: Final = (
    "try the suite on servers that are wrong on purpose, and on others that are right in another way"
)

_CODEC: Final = "json"
_TIMEOUT: Final = 10.0  # seconds of the servers' own clocks


@dataclass(frozen=True, slots=True)
class Beast:
    """One server and what the suite says of it."""

    name: str
    clause: str
    """The one that it violates, or that allows it."""
    broken: bool
    failed: tuple[str, ...]
    """The names of the checks that it failed."""

    @property
    def well(self) -> bool:
        """Whether the suite is right about it."""
        if not self.broken:
            return not self.failed
        return any(name.startswith(f"{self.clause}/") for name in self.failed)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `zoo`."""
    parser.add_argument("--matrix", type=Path, metavar="FILE", help="write what failed what, as Markdown")


def run(arguments: argparse.Namespace) -> int:
    """Meet all; 0 if the suite is right about each of them, else 1."""
    with ProcessPoolExecutor() as pool:
        beasts = list(pool.map(meet, [*BROKEN, *VARIANTS]))
    if arguments.matrix is not None:
        arguments.matrix.write_text("\n".join(matrix(beasts)) + "\n", encoding="utf-8")
    wrong = [beast for beast in beasts if not beast.well]
    for beast in wrong:
        got = ", ".join(beast.failed) or "nothing"
        print(f"WRONG {beast.name} ({beast.clause}): failed {got}")
    killed = sum(beast.well for beast in beasts if beast.broken)
    spared = sum(beast.well for beast in beasts if not beast.broken)
    vacuous = _vacuous(beasts)
    print(f"{killed} of {len(BROKEN)} broken servers failed a check of the clause that they violate")
    print(f"{spared} of {len(VARIANTS)} lawful servers passed")
    print(f"{len(vacuous)} of {len(CHECKS)} checks failed none of them")
    return 1 if wrong else 0


def meet(name: str) -> Beast:
    """Run all checks on a broken server or a variant."""
    if name in BROKEN:
        broken = BROKEN[name]
        failed = _failed(lambda: broken.service(broken.hub()), private=False)
        return Beast(name, broken.clause, True, failed)
    variant = VARIANTS[name]
    return Beast(name, variant.clause, False, _failed(variant.make, private=variant.private))


def matrix(beasts: list[Beast]) -> Iterator[str]:
    """Give the lines of the matrix."""
    yield "# What the suite says of servers that are wrong on purpose, and of lawful ones"
    yield ""
    yield "Made by `improto zoo --matrix FILE`, in the json codec.  Checks that fail a server are named by clause."
    yield ""
    yield "| server | violates | failed by its own clause | and by |"
    yield "|---|---|---|---|"
    for beast in (beast for beast in beasts if beast.broken):
        own = [name for name in beast.failed if name.startswith(f"{beast.clause}/")]
        others = dict.fromkeys(name.partition("/")[0] for name in beast.failed if name not in own)
        yield f"| {beast.name} | {beast.clause} | {len(own)} | {', '.join(others)} |"
    yield ""
    yield "| lawful server | by | failed |"
    yield "|---|---|---|"
    for beast in (beast for beast in beasts if not beast.broken):
        yield f"| {beast.name} | {beast.clause} | {', '.join(beast.failed) or 'none'} |"
    yield ""
    vacuous = _vacuous(beasts)
    yield f"Checks that failed none of them: {len(vacuous)} of {len(CHECKS)}."
    yield ""
    yield from (f"- {name}" for name in vacuous)


def _vacuous(beasts: list[Beast]) -> list[str]:
    killing = {name for beast in beasts if beast.broken for name in beast.failed}
    return [check.name for check in CHECKS if check.name not in killing]


def _failed(make: Callable[[], Service], *, private: bool) -> tuple[str, ...]:
    settings = Settings(Profile([_CODEC], private), jobs=1, timeout=_TIMEOUT)
    results = run_checks(in_process(make), CHECKS, settings)
    return tuple(result.check.name for result in results if result.verdict is not Verdict.PASSED)
