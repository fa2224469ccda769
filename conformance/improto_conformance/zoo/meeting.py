"""Lets the suite meet beasts, to test the suite itself.

Each *beast* that is wrong on purpose must fail a check of the clause that it violates, and each lawful one must pass all
checks.  A check that no beast fails may check nothing, so its name is printed.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, Final, Protocol

from improto.errors import UsageError
from improto_conformance.clients.check import ClientCheck
from improto_conformance.clients.checks import CHECKS as CLIENT_CHECKS
from improto_conformance.profile import Profile
from improto_conformance.results import Aim, Result, Verdict
from improto_conformance.servers.check import Check
from improto_conformance.servers.checks import CHECKS
from improto_conformance.servers.runner import Settings, conduct
from improto_conformance.servers.targets import Target
from improto_conformance.workers import outcomes
from improto_conformance.zoo.broken import BROKEN, Broken
from improto_conformance.zoo.clients.broken import CLIENTS as BROKEN_CLIENTS
from improto_conformance.zoo.clients.lawful import CLIENTS as LAWFUL_CLIENTS
from improto_conformance.zoo.clients.memory import tried_on
from improto_conformance.zoo.copies import in_memory
from improto_conformance.zoo.variants import VARIANTS

__all__ = [
    "EXCUSED",
    "KINDS",
    "Beast",
    "Kind",
    "Met",
    "matrix",
    "meet",
    "summary",
    "try_idle",
    "wrong",
]

_TIMEOUT: Final = 10.0  # seconds of the servers' own clocks
_ROUND: Final = 40  # beasts that the checks which have failed none yet are tried on at a time
_IN_ALL: Final = ("reference", "private")  # lawful servers that are met in all codecs
_UNSURE: Final = (Verdict.INCONCLUSIVE, Verdict.BROKEN)
_PATIENCE: Final = 60.0  # seconds until a check that gives no result has failed


class Beast(Protocol):
    """A server or client on which the suite is tried."""

    @property
    def clause(self) -> str:
        """The one that it violates, or that allows it."""
        ...


@dataclass(frozen=True, slots=True)
class Kind:
    """Beasts of one kind, and how the suite meets them."""

    lawful: bool
    beasts: Mapping[str, Beast]
    checks: Sequence[Aim]
    meet: Callable[[str, Sequence[Any]], Iterator[Aim | Result]]
    """Gives each of some checks before it is tried on the beast of this name, and then its results."""


@dataclass(frozen=True, slots=True)
class Met:
    """What the suite says about one beast."""

    kind: str
    name: str
    clause: str
    """The one that it violates, or that allows it."""
    lawful: bool
    failed: tuple[str, ...] = ()
    """The checks that it failed; the last one may have hung, or ended the process."""
    unsure: tuple[str, ...] = ()
    """The checks that were inconclusive, or at fault themselves."""

    @property
    def own(self) -> list[str]:
        """Those of the failed checks that are about its clause."""
        return [name for name in self.failed if name.startswith(f"{self.clause}/")]

    @property
    def well(self) -> bool:
        """Whether the suite is right about it."""
        return not self.unsure and (not self.failed if self.lawful else bool(self.own))


def _broken_server(name: str, checks: Sequence[Check]) -> Iterator[Aim | Result]:
    broken = BROKEN[name]
    return _tried(
        in_memory(broken.copy(), private=broken.private, limits=broken.limits), checks, broken.profile
    )


def _lawful_server(name: str, checks: Sequence[Check]) -> Iterator[Aim | Result]:
    variant, spoken = VARIANTS[name], VARIANTS[name].profile.codecs
    # All of them in all codecs would take minutes: each has one in its turn, and the reference has all.
    turn = list(VARIANTS).index(name) % len(spoken)
    return _tried(
        variant.target, checks, variant.profile, spoken if name in _IN_ALL else spoken[turn : turn + 1]
    )


def _tried(
    target: Target, checks: Sequence[Check], profile: Profile, codecs: Sequence[str] | None = None
) -> Iterator[Aim | Result]:
    settings = Settings(profile, jobs=1, timeout=_TIMEOUT, codecs=codecs)
    for check in checks:
        yield check
        yield from conduct(target, [check], settings)


def _client(clients: Mapping[str, Broken]) -> Callable[[str, Sequence[ClientCheck]], Iterator[Aim | Result]]:
    return lambda name, checks: tried_on(clients[name], checks)


EXCUSED: Final[Mapping[str, str]] = {
    "WS-*": "they need WebSocket, but broken servers run in memory; `tests/test_websocket.py` has faulty WebSocket servers for them",
}
"""Why checks, by pattern of their names, can fail no beast here."""

KINDS: Final[Mapping[str, Kind]] = {
    "broken server": Kind(False, BROKEN, CHECKS, _broken_server),
    "lawful server": Kind(True, VARIANTS, CHECKS, _lawful_server),
    "broken client": Kind(False, BROKEN_CLIENTS, CLIENT_CHECKS, _client(BROKEN_CLIENTS)),
    "lawful client": Kind(True, LAWFUL_CLIENTS, CLIENT_CHECKS, _client(LAWFUL_CLIENTS)),
}
"""All that there are."""


def meet(chosen: Iterable[tuple[str, str]], jobs: int = 1) -> Iterator[Met]:
    """Meet beasts, given by kind and name, so many at a time.

    Lawful ones are tried by all checks, those that are wrong by the checks of the clause that they violate.
    """
    work: list[tuple[str, str, tuple[str, ...]]] = []
    for kind, name in chosen:
        beast, checks = KINDS[kind].beasts[name], KINDS[kind].checks
        wanted = [check.name for check in checks if KINDS[kind].lawful or check.clause == beast.clause]
        work.append((kind, name, tuple(wanted)))
    return _outcomes(work, jobs)


def try_idle(met: Sequence[Met], jobs: int = 1) -> list[Met]:
    """Try the checks that have failed nothing yet on beasts that violate other clauses, until they have failed one."""
    tried = list(met)
    for kind in dict.fromkeys(one.kind for one in met if not one.lawful):
        places = [place for place, one in enumerate(tried) if one.kind == kind]
        for start in range(0, len(places), _ROUND):
            idle = tuple(_vacuous([one for one in tried if one.kind == kind]))
            some = {tried[place].name: place for place in places[start : start + _ROUND]}
            for one in _outcomes([(kind, name, idle) for name in some], jobs) if idle else ():
                before = tried[some[one.name]]
                tried[some[one.name]] = replace(
                    before, failed=before.failed + one.failed, unsure=before.unsure + one.unsure
                )
    return tried


def _outcomes(work: Iterable[tuple[str, str, tuple[str, ...]]], jobs: int) -> Iterator[Met]:
    for (kind, name, _), given, done in outcomes(_meet, work, jobs=jobs, patience=_PATIENCE):
        beast, lawful = KINDS[kind].beasts[name], KINDS[kind].lawful
        if not done and not given:
            raise UsageError(
                f"a process ended before it tried anything on {name}; let it have more memory, or use fewer --jobs"
            )
        if not done:  # the last check hangs, or has ended the process
            given.append((given[-1][0], Verdict.FAILED))
        failed = dict.fromkeys(check for check, verdict in given if verdict is Verdict.FAILED)
        unsure = dict.fromkeys(check for check, verdict in given if verdict in _UNSURE)
        yield Met(kind, name, beast.clause, lawful, tuple(failed), tuple(unsure))


def _meet(which: tuple[str, str, tuple[str, ...]]) -> Iterator[tuple[str, Verdict | None]]:
    """Give the name of each check before it is tried, and with the verdict afterwards."""
    kind, name, wanted = which
    for item in KINDS[kind].meet(name, [check for check in KINDS[kind].checks if check.name in set(wanted)]):
        yield (item.check.name, item.verdict) if isinstance(item, Result) else (item.name, None)


def matrix(met: Sequence[Met]) -> Iterator[str]:
    """Give the lines of the matrix."""
    yield "# How well the suite tells wrong servers and clients from lawful ones"
    yield ""
    yield "Made by `improto zoo --matrix FILE`."
    yield ""
    yield "A *broken* server or client violates one clause on purpose, and all checks of this clause are tried on it.  A check that has"
    yield "failed none of those is then tried on ones that violate other clauses, until it fails one.  On *lawful* servers and clients"
    yield "all checks are tried, on the reference in all codecs, on each of the others in one codec, which changes from one to the next."
    yield ""
    yield from summary(met)
    for kind in dict.fromkeys(one.kind for one in met):
        beasts = [one for one in met if one.kind == kind]
        yield ""
        if KINDS[kind].lawful:
            yield f"| {kind} | by | failed |"
            yield "|---|---|---|"
            for one in beasts:
                yield f"| {one.name} | {one.clause} | {', '.join(one.failed) or 'none'} |"
        else:
            yield f"| {kind} | violates | failed by its own clause | and by |"
            yield "|---|---|---|---|"
            for one in beasts:
                others = dict.fromkeys(name.partition("/")[0] for name in one.failed if name not in one.own)
                own = ", ".join(name.partition("/")[2] for name in one.own)
                yield f"| {one.name} | {one.clause} | {own} | {', '.join(others)} |"
    yield ""
    yield "Checks that failed no broken server or client:"
    yield ""
    yield from (f"- {name}" for name in _vacuous(met))
    yield ""
    yield "Checks that cannot fail any of them:"
    yield ""
    yield from (f"- {pattern}: {reason}" for pattern, reason in EXCUSED.items())


def wrong(one: Met) -> Iterator[str]:
    """Give the lines about a beast that the suite is wrong about."""
    yield f"WRONG {one.kind} {one.name} ({one.clause}): failed {', '.join(one.failed) or 'nothing'}"
    if one.unsure:
        yield f"  inconclusive or at fault: {', '.join(one.unsure)}"


def summary(met: Sequence[Met]) -> Iterator[str]:
    """Give the lines that count beasts and checks."""
    for kind in dict.fromkeys(one.kind for one in met):
        beasts = [one for one in met if one.kind == kind]
        what = "passed" if KINDS[kind].lawful else "failed a check of the clause that they violate"
        yield f"{sum(one.well for one in beasts)} of {len(beasts)} {kind}s {what}"
    checks = _checks(met)
    own = {name for one in met if not one.lawful for name in one.own}
    others = {name for one in met if not one.lawful for name in one.failed} - own
    excused = [name for name in checks if name not in own | others and _excuse(name)]
    yield (
        f"{len(own)} of {len(checks)} checks failed some that violate their own clause, {len(others)} only some that violate "
        f"others, and {len(excused)} cannot fail any"
    )
    yield f"{len(_vacuous(met))} of {len(checks)} checks failed none of them"


def _checks(met: Sequence[Met]) -> list[str]:
    """Give the names of the checks of all kinds that were met."""
    return list(dict.fromkeys(check.name for one in met for check in KINDS[one.kind].checks))


def _vacuous(met: Sequence[Met]) -> list[str]:
    """Give the checks that failed no beast that is wrong, without those that cannot."""
    killing = {name for one in met if not one.lawful for name in one.failed}
    return [name for name in _checks(met) if name not in killing and not _excuse(name)]


def _excuse(check: str) -> str:
    return next((reason for pattern, reason in EXCUSED.items() if fnmatchcase(check, pattern)), "")
