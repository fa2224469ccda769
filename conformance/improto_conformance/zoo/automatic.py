"""Finds out how many small faults in the reference itself the suite finds.

Each mutant from `mutation` is loaded as a copy and tried until a check fails.  First come the checks of clauses that are
named near its place, then all other checks that execute its statement in a run of the reference.  Codecs and the modules
below them are also tried by the vectors, like any decoder and encoder, and modules that clients use by the checks of
clients.  A mutant that no check finds is a survivor, and `survivors.toml` must give the reason.
"""

import re
import resource
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple

from improto_conformance.clients.check import ClientCheck
from improto_conformance.clients.checks import CHECKS as CLIENT_CHECKS
from improto_conformance.clients.lines import NoDriver
from improto_conformance.clients.runner import conduct as conduct_client
from improto_conformance.profile import Profile
from improto_conformance.results import Result, Verdict
from improto_conformance.servers.check import Check
from improto_conformance.servers.checks import CHECKS
from improto_conformance.servers.runner import Settings, conduct
from improto_conformance.servers.targets import Target
from improto_conformance.vectors import Vector, vectors
from improto_conformance.vectors.programs import Ask, judge_decoder, judge_encoder
from improto_conformance.workers import outcomes
from improto_conformance.zoo.answers import NoAnswer, answering
from improto_conformance.zoo.clients.memory import InMemory
from improto_conformance.zoo.copies import Copy, in_memory, load, source
from improto_conformance.zoo.mutation import Mutant, dotted, probed
from improto_conformance.zoo.survivors import Fate, Tried

__all__ = ["MODULES", "WAYS", "Reach", "Way", "reach", "try_all"]


class Way(NamedTuple):
    """One way to try a copy: a part of the suite, and the codec in which it runs, or the kind of vectors."""

    part: str
    """`server`, `private` for what only servers with this policy have to do, `client`, or `vectors`."""
    codec: str


_CORE: Final = (Way("server", "json"), Way("private", "json"), Way("server", "pickle"))
_CLIENT: Final = (Way("client", "json"),)
_FRAMING: Final = (*(Way("vectors", kind) for kind in ("json", "msgpack", "auto")),)

WAYS: Final[Mapping[str, Sequence[Way]]] = {
    "improto/server.py": _CORE,
    "improto/service.py": _CORE,
    "improto/client.py": _CLIENT,
    "improto/session.py": _CLIENT,
    "improto/wire.py": (*_CORE, *_CLIENT, *_FRAMING),
    "improto/states.py": (*_CORE, *_CLIENT, *_FRAMING),
    "improto/limits.py": (*_CORE, *_CLIENT, Way("vectors", "bounds")),
    "improto/messages.py": (*_CORE, *_CLIENT, Way("vectors", "json"), Way("vectors", "msgpack")),
    "improto/outbox.py": _CORE,
    "improto/deadlines.py": _CORE,
    "improto/codec.py": (*_CORE, Way("server", "msgpack"), Way("server", "ascii"), *_FRAMING),
    "improto_codecs/ascii_codec.py": (Way("server", "ascii"), Way("vectors", "ascii")),
    "improto_codecs/json_codec.py": (Way("server", "json"), Way("vectors", "json")),
    "improto_codecs/msgpack_codec.py": (Way("server", "msgpack"), Way("vectors", "msgpack")),
    "improto_codecs/pickle_codec.py": (Way("server", "pickle"), Way("vectors", "pickle")),
    "improto_codecs/canonical.py": (
        *(Way("server", "ascii"), Way("vectors", "ascii"), Way("server", "json"), Way("vectors", "json")),
    ),
    "improto_codecs/opcodes.py": (Way("server", "pickle"), Way("vectors", "pickle")),
    "improto_codecs/plain_pickles.py": (Way("server", "pickle"), Way("vectors", "pickle")),
}
"""The modules that get mutants, and the ways in which each is tried, one after the other."""

_TIMEOUT: Final = 10.0  # seconds of the servers' own clocks
_WORK: Final = 2.0  # seconds of the processor's time that one check may take; the longest takes a tenth of it
_PATIENCE: Final = 120.0  # seconds until a check without work has failed
_MEMORY: Final = 2**30  # bytes of address space
_NEAR: Final = 15  # lines in which a clause is named next to a place
_CLAUSE: Final = re.compile(r"\b[A-Z]+-[0-9]+\b")


class _Trial(NamedTuple):
    """What a worker is to do for one mutant."""

    path: str
    text: str
    plan: Sequence[tuple[Way, Sequence[str]]]
    """The checks of each way that may find it, the likeliest first."""


MODULES: Final[Mapping[str, str]] = {dotted(path): path for path in WAYS}
"""Module → file, of those that get mutants."""


# ---- Which checks execute which lines.

Reach = Mapping[Way, Mapping[str, Mapping[str, frozenset[int]]]]
"""Way → check → file → the lines of the statements that it executes; the check without a name is the import."""


def reach(paths: Iterable[str], jobs: int = 1) -> Reach:
    """Run all checks once against the reference, in each of the ways for these files, and see what they execute."""
    ways = dict.fromkeys(way for path in paths for way in WAYS[path])
    done = outcomes(_reached, ways, jobs=jobs, patience=_PATIENCE)
    return {way: dict(given) for way, given, _ in done}


def _reached(way: Way) -> Iterator[tuple[str, dict[str, frozenset[int]]]]:
    copy = load({path: probed(source(path)) for path in WAYS})
    modules = {path: copy.module(dotted(path)) for path in WAYS}

    def lines() -> dict[str, frozenset[int]]:
        noted = {path: frozenset(module._reached) for path, module in modules.items()}
        for module in modules.values():
            module._reached.clear()
        return noted

    yield "", lines()
    for name, check in _checks(way, copy).items():
        if check() is not None:
            yield name, lines()


# ---- The parts of the suite.

_Try = Callable[[], Verdict | None]
"""Runs one check; None if it does not apply."""


def _checks(way: Way, copy: Copy) -> Mapping[str, _Try]:
    """Give what tries a copy in some way, by name."""
    if way.part == "vectors":
        ask = answering(copy)
        chosen = [vector for vector in vectors().values() if vector.id.startswith(f"{way.codec}/")]
        return {vector.id: partial(_try_vector, ask, vector) for vector in chosen}
    if way.part == "client":
        fitting = [check for check in CLIENT_CHECKS if check.codecs is None or way.codec in check.codecs]
        return {check.name: partial(_try_client, copy, check, way.codec) for check in fitting}
    private = way.part == "private"
    target = in_memory(copy, private=private)
    settings = Settings(Profile([way.codec], private), jobs=1, timeout=_TIMEOUT)
    checks = [check for check in CHECKS if private <= (check.policy == "private")]
    return {check.name: partial(_try_check, target, check, settings) for check in checks}


def _try_check(target: Target, check: Check, settings: Settings) -> Verdict | None:
    results = conduct(target, [check], settings)
    return results[0].verdict if results else None


def _try_client(copy: Copy, check: ClientCheck, codec: str) -> Verdict:
    try:
        result = conduct_client(InMemory(copy), check, codec)
    except NoDriver:  # what the copy tells is not of the driver protocol
        return Verdict.FAILED
    return result.verdict if isinstance(result, Result) else Verdict.INCONCLUSIVE


def _try_vector(ask: Ask, vector: Vector) -> Verdict:
    try:
        failed = [*judge_decoder(ask, [vector], _cut).failed, *judge_encoder(ask, [vector]).failed]
    except NoAnswer:
        return Verdict.FAILED
    return Verdict.FAILED if failed else Verdict.PASSED


def _cut(data: bytes) -> Iterator[list[bytes]]:
    """Cut a stream in few ways, since there are many mutants: not at all, into single bytes, and in two."""
    yield [data]
    yield [data[at : at + 1] for at in range(len(data))]
    for at in (len(data) // 2, len(data) - 1):
        yield [data[:at], data[at:]]


# ---- Trying mutants.


def try_all(chosen: Sequence[Mutant], reached: Reach, jobs: int = 1) -> Iterator[Tried]:
    """Try mutants, so many at a time, in their order."""
    trials = [_trial(mutant, reached) for mutant in chosen]
    done = outcomes(_try, [trial for trial in trials if trial.plan], jobs=jobs, patience=_PATIENCE)
    for mutant, trial in zip(chosen, trials, strict=True):
        if not trial.plan:
            yield Tried(mutant, Fate.UNREACHED)
            continue
        _, given, ended = next(done)
        unsure = tuple(name for name, verdict in given if verdict not in (None, Verdict.FAILED))
        last, verdict = given[-1] if given else ("", None)
        if not ended:
            yield Tried(mutant, Fate.STOPPED, last, unsure)
        elif verdict is Verdict.FAILED:
            yield Tried(mutant, Fate.KILLED, last, unsure)
        else:
            yield Tried(mutant, Fate.SURVIVED, unsure=unsure)


def _trial(mutant: Mutant, reached: Reach) -> _Trial:
    plan: list[tuple[Way, list[str]]] = []
    planned: set[str] = set()  # a check gives the same verdict in each way
    cited = _cited(source(mutant.path).splitlines(), mutant.line)
    for way in WAYS[mutant.path]:
        lines = {name: by_file.get(mutant.path, frozenset()) for name, by_file in reached[way].items()}
        imported = mutant.statement in lines.pop("")
        reaching = [name for name in lines if imported or mutant.statement in lines[name]]
        names = [name for name in reaching if name not in planned]
        planned.update(names)
        # Of checks for clauses equally near, the one that executes less of the module is more about this place.
        names.sort(key=lambda name: (cited.get(name.partition("/")[0], _NEAR), len(lines[name])))
        if names:
            plan.append((way, names))
    return _Trial(mutant.path, mutant.text, plan)


def _cited(text: Sequence[str], line: int) -> dict[str, int]:
    """Give the clauses that are named near a line, and how far away."""
    cited: dict[str, int] = {}
    for number in range(max(1, line - _NEAR), min(len(text), line + _NEAR) + 1):
        for clause in _CLAUSE.findall(text[number - 1]):
            cited[clause] = min(abs(line - number), cited.get(clause, _NEAR))
    return cited


def _try(trial: _Trial) -> Iterator[tuple[str, Verdict | None]]:
    """Give the name of each check before it is tried; and with a verdict if it did not pass, up to the first failure."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    copy = load({trial.path: trial.text})
    try:
        for way, names in trial.plan:
            checks = _checks(way, copy)
            for name in names:
                signal.setitimer(signal.ITIMER_PROF, _WORK)  # which ends the process
                yield name, None
                verdict = checks[name]()
                if verdict is not Verdict.PASSED and verdict is not None:
                    yield name, verdict
                if verdict is Verdict.FAILED:
                    return
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
