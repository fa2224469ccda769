"""Runs checks against a server and gives a verdict on each."""

import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from itertools import count
from secrets import token_hex
from threading import Event as Flag
from threading import Lock
from time import monotonic
from typing import Final

from improto.codec import Codec, load
from improto.errors import ImprotoError
from improto_conformance.connections.links import cutting
from improto_conformance.judging.alike import alike
from improto_conformance.judging.judge import Case, judge_case
from improto_conformance.judging.sent import sent
from improto_conformance.profile import DEFAULTS, Profile
from improto_conformance.results import Result, Verdict
from improto_conformance.servers.check import Check
from improto_conformance.servers.deliberate import unmarked
from improto_conformance.servers.party import Lost, Stuck, Unfit, Waits
from improto_conformance.servers.probe import probe
from improto_conformance.servers.stage import Stage
from improto_conformance.servers.targets import NoTarget, Target
from improto_conformance.transcripts.complaints import Complaint, Inconclusive
from improto_conformance.transcripts.transcript import Transcript

__all__ = ["Gone", "Settings", "conduct", "fresh_name", "run"]

# Seconds by which something that must come at a certain time may be late on a busy machine.
_SLACK: Final = 2.0
# Bytes that a party reads in vain once another one has been flooded, and that are kept of what came.
_LESS: Final = 8 * 1024 * 1024
_KEPT: Final = 256 * 1024
# An interpreter runs one thread at a time, and loses more time than that if dozens ask it for a turn.
_PLAYS, _JUDGES = Lock(), Lock()


class Gone(ImprotoError):
    """A started program has ended, so that checks did not run: nothing can be learnt about it any more."""

    def __init__(self, unrun: int) -> None:
        """Say how many did not."""
        super().__init__(f"{unrun} checks did not run after that")
        self.unrun = unrun


@dataclass(frozen=True, slots=True)
class Settings:
    """How to run."""

    profile: Profile = field(default_factory=Profile)
    """What the server declares of itself."""
    jobs: int = 24
    """How many checks run at a time; only one where waiting takes no time."""
    timeout: float = 5.0
    """How many seconds to wait for something that must come."""
    cuts: Sequence[str] = ("whole",)
    """How the sent bytes are cut into writes: each check runs in each way (`links.CUTS`).  WebSocket messages are not cut."""
    codecs: Sequence[str] | None = None
    """The codecs to run in; None for all that the profile declares."""
    shared: bool = False
    """Whether others use the server as well; then checks that must be alone with it do not run."""
    seed: int = 0
    """Decides everything random, which is where `sampled` cuts."""
    run: str = "0"
    """Makes the usernames of this run different from those of others."""


def run(
    target: Target,
    checks: Sequence[Check],
    settings: Settings,
    report: Callable[[Result], None] = lambda result: None,
) -> list[Result]:
    """Do the same as `conduct`, but find out first whether there is a server at all.

    Gone if a program that all checks share ends before all of them have run; `report` has got the results until then.
    NoTarget if it does not speak a codec that was asked for.  If the profile declares one that it does not speak, but
    another one that it speaks, that is for a check to say (CODEC-17).
    With several codecs, what happened in one is compared with what happened in the others.
    """
    reasons: list[NoTarget] = []
    spoken: list[str] = []
    for name in settings.codecs or settings.profile.codecs:
        try:
            probe(target, load(name), f"probe-{name}.{settings.run}", settings.timeout)
            spoken.append(name)
        except NoTarget as error:
            reasons.append(error)
    judged = settings.codecs is None and any(check.name == "CODEC-17/declared" for check in checks)
    if reasons and not (spoken and judged):
        raise reasons[0]
    results = conduct(target, checks, replace(settings, codecs=spoken), report)
    numbers = count()

    def again(result: Result) -> Result:
        check = next(check for check in checks if check is result.check)
        suffix = f".{settings.run}again{next(numbers)}"
        found = _run_one(_Run(target, settings), check, load(result.codec), result.cut, suffix)
        assert found is not None  # it did fit the first time
        return found

    for result in alike(results, again):
        results.append(result)
        report(result)
    return results


def fresh_name() -> str:
    """Give a name for a run that no other run has, on whatever machine it is."""
    return f"{token_hex(3)}-"


def conduct(
    target: Target,
    checks: Sequence[Check],
    settings: Settings,
    report: Callable[[Result], None] = lambda result: None,
) -> list[Result]:
    """Run checks in all codecs for which they are meant; `report` gets each result, and Gone is raised as by `run`.

    Checks that must run alone come first, one after the other; then all others, in the order of the list.
    """
    codecs = {name: load(name) for name in settings.codecs or settings.profile.codecs}
    numbers = count()
    # Where each check has a server of its own, names are the same in each codec, and so is everything that happens.
    work = [
        (check, codec, cut, f".{settings.run}{place if target.virtual else next(numbers)}")
        for name, codec in codecs.items()
        for cut in (settings.cuts if target.stream else ["whole"])
        for place, check in enumerate(checks)
        if target.fits(check)
        and _applies(check, name, settings.profile)
        and not (settings.shared and check.alone)
        and (target.virtual or _seconds(check, settings.profile) <= settings.timeout)
    ]
    results: list[Result] = []

    def note(result: Result | None) -> None:
        if result is not None:
            results.append(result)
            report(result)

    run = _Run(target, settings)
    jobs = 1 if target.virtual else settings.jobs
    # Checks that must be alone run first, while there are no conversations of other checks.
    together: list[tuple[Check, Codec, str, str]] = []
    for each in sorted(work, key=lambda each: not each[0].alone):
        if jobs > 1 and not each[0].alone:
            together.append(each)
        else:
            note(_run_one(run, *each))
    pool = ThreadPoolExecutor(jobs)
    try:
        for future in [pool.submit(_run_one, run, *each) for each in together]:
            note(future.result())
    finally:
        run.over.set()  # after an interruption, only the waits that have begun are finished
        pool.shutdown(cancel_futures=True)
    if run.unrun:
        raise Gone(len(run.unrun))
    return results


def _applies(check: Check, codec: str, profile: Profile) -> bool:
    """Tell whether a check makes sense in a codec, for a server that declares this."""
    return (
        (check.codecs is None or codec in check.codecs)
        and set(profile.codecs) >= set(check.needs)
        and check.policy in ("any", "private" if profile.private else "open")
        and (not check.defaults or profile.limits == DEFAULTS)
    )


def _seconds(check: Check, profile: Profile) -> float:
    """Tell how long a check waits for something that comes at a certain time."""
    return float(getattr(profile, check.seconds)) if check.seconds else 0.0


@dataclass(frozen=True, slots=True)
class _Run:
    """What the checks of one run share."""

    target: Target
    settings: Settings
    over: Flag = field(default_factory=Flag)
    """Set when the results are no longer wanted."""
    flooded: Flag = field(default_factory=Flag)
    """Set when the server has sent other things without end: in hundreds of checks they would fill the memory."""
    gone: Flag = field(default_factory=Flag)
    """Set when a check has found that the program which all checks share has ended."""
    unrun: list[Check] = field(default_factory=list[Check])
    """The checks that were to run after that."""
    lawful: dict[str, Case] = field(default_factory=dict[str, Case])
    """Check → a case of it that was found lawful: the same case in another codec is just as lawful."""


def _run_one(run: _Run, check: Check, codec: Codec, cut: str, suffix: str) -> Result | None:
    """Give the result, or None if the check does not fit the limits that the server declares, or there is no server."""
    if run.gone.is_set():
        run.unrun.append(check)
        return None
    target = run.target
    with target.anew() if target.anew is not None else nullcontext(target) as own:
        return _run_on(own, run, check, codec, cut, suffix)


def _run_on(target: Target, run: _Run, check: Check, codec: Codec, cut: str, suffix: str) -> Result | None:
    settings = run.settings
    longest = max(settings.timeout, 2 * settings.profile.presence)
    waits = Waits(longest, 0.0 if target.virtual else _SLACK, over=run.over, turn=_PLAYS)
    if run.flooded.is_set():
        waits.most = _LESS
    connect = cutting(target.begin(), cut, f"{settings.seed} {check.name} {codec.name}")
    stage = Stage(connect, codec, suffix, waits, settings.profile, declared=check.declared)
    start = monotonic()
    try:
        complaints = _complaints(check, stage, run, target)
        verdict = Verdict.FAILED if complaints else Verdict.PASSED
    except Unfit:
        return None
    except Inconclusive as error:
        complaints, verdict = [str(error)], Verdict.INCONCLUSIVE
    except Exception:  # a fault of the check must not look like a fault of the server
        complaints, verdict = [traceback.format_exc()], Verdict.BROKEN
    finally:
        stage.close()
    seen = stage.transcript
    if waits.flooded:
        run.flooded.set()
    if run.flooded.is_set():
        seen = seen.beginning(_KEPT)
    return Result(
        check,
        codec.name,
        cut,
        verdict,
        tuple(dict.fromkeys(complaints)),  # a server may send the same nonsense very often
        seen,
        monotonic() - start,
        waits.expired,
    )


class Careless(ImprotoError):
    """A check sent something without effect that was not marked as deliberate: a fault of the suite."""


def _complaints(check: Check, stage: Stage, run: _Run, target: Target) -> list[str]:
    """Give what is wrong, each fault once; Inconclusive if nothing is wrong but something cannot be judged."""
    stuck: list[str] = []
    broke: list[str] = []
    lost: Lost | None = None
    seen = stage.transcript
    seen.lossless = check.clause == "CONN-22"
    try:
        with _PLAYS:
            check.stimulus(stage)
    except Lost as error:
        lost = error
    except Stuck as error:
        stuck.append(str(error))
    except OSError as error:
        ending = target.ending()
        broke.append(ending or str(error))
        if ending and run.target.anew is None:
            run.gone.set()
    with _JUDGES:
        made = [] if lost else list(check.judgement(seen))
        found = list(sent(seen))
        try:
            # What nobody can read, CODEC-7, is told in other words if it is known what is wrong with the bytes.
            judged = _judged(check, seen, run)
            found += [each for each in judged if not found or each.clause != "CODEC-7"]
        except Inconclusive:
            if not made and not found and not stuck and not broke:
                raise
        # A fault of the check's own clause has been told by the check, if it has complained.
        complaints = [
            *made,
            *(each.line() for each in found if not made or each.clause != check.clause),
            *broke,
        ]
        if lost and not complaints:
            raise Inconclusive(f"{lost}, which may have destroyed it")
        if not complaints and not stuck and (unintended := list(unmarked(seen))):
            raise Careless("; ".join(unintended))
        return complaints or stuck  # what was received says more than what was waited for in vain


def _judged(check: Check, seen: Transcript, run: _Run) -> list[Complaint]:
    case = Case.of(seen, run.settings.profile)
    if case == run.lawful.get(check.name):
        return []
    found = judge_case(case)
    if not found:
        run.lawful[check.name] = case
    return found
