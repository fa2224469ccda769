"""Runs checks of clients, several at a time, and gives a verdict on each."""

import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Self

from improto.codec import available, load
from improto_conformance.clients.check import ClientCheck
from improto_conformance.clients.judgement import judge_driven
from improto_conformance.clients.lines import NoDriver
from improto_conformance.clients.stage import Stage, Unsupported
from improto_conformance.clients.subjects import Subject
from improto_conformance.judging.client_judge import judge_clients
from improto_conformance.results import Result, Verdict
from improto_conformance.servers.party import Stuck, Waits
from improto_conformance.transcripts.complaints import Inconclusive

__all__ = ["Outcome", "Settings", "conduct", "run"]


@dataclass(frozen=True, slots=True)
class Settings:
    """How to run."""

    codecs: Sequence[str] = field(default_factory=available)
    jobs: int = 4
    timeout: float = 5.0
    """How many seconds to wait for something that must come."""
    cuts: Sequence[str] = ("whole",)
    """How the server's bytes are cut into writes: each check runs in each way (`links.CUTS`)."""
    seed: int = 0
    """Decides everything random, which is where `sampled` cuts."""


@dataclass
class Outcome:
    """The result of a run."""

    results: list[Result] = field(default_factory=list[Result])
    left_out: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    """The checks that were left out, by what the driver does not support."""


def run(
    make: Callable[[], Subject],
    checks: Sequence[ClientCheck],
    settings: Settings,
    report: Callable[[Result], None] = lambda result: None,
) -> Outcome:
    """Run checks in all codecs for which they are meant; `report` gets each result, in the order of the list.

    NoDriver if the subject cannot be started, or does not follow the driver protocol.
    """
    work = [
        (check, codec, cut)
        for codec in settings.codecs
        for cut in settings.cuts
        for check in checks
        if check.codecs is None or codec in check.codecs
    ]
    outcome = Outcome()
    with _Pool(make) as pool, ThreadPoolExecutor(settings.jobs) as threads:
        futures = [threads.submit(pool.conduct, *each, settings.timeout, settings.seed) for each in work]
        try:
            for future, (check, _, _) in zip(futures, work, strict=True):
                result = future.result()
                if isinstance(result, Unsupported):
                    outcome.left_out.setdefault(str(result), set()).add(check.name)
                else:
                    outcome.results.append(result)
                    report(result)
        finally:
            for future in futures:
                future.cancel()
    return outcome


class _Pool:
    """The subjects that are free for the next check."""

    def __init__(self, make: Callable[[], Subject]) -> None:
        self._make = make
        self._idle: SimpleQueue[Subject] = SimpleQueue()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        while not self._idle.empty():
            self._idle.get().close()

    def conduct(
        self, check: ClientCheck, codec: str, cut: str, timeout: float, seed: int
    ) -> Result | Unsupported:
        try:
            subject = self._idle.get_nowait()
        except Empty:
            subject = self._make()
        try:
            return conduct(subject, check, codec, cut, timeout, seed)
        finally:
            if not subject.closed:
                self._idle.put(subject)


def conduct(
    subject: Subject, check: ClientCheck, codec: str, cut: str = "whole", timeout: float = 5.0, seed: int = 0
) -> Result | Unsupported:
    """Run one check, and give its result, or what the driver does not support; NoDriver if the driver breaks a rule.

    A driver that does not answer any more is closed.
    """
    waits, start = Waits(timeout), monotonic()
    stage = Stage(subject, load(codec), waits, cut, f"{seed} {check.name}")
    complaints: list[str] = []
    verdict: Verdict | None = None
    try:
        with stage:
            complaints = _complaints(check, stage)
    except Unsupported as error:
        return error
    except NoDriver as error:
        subject.close()
        raise NoDriver(f"{error} (in {check.name}, {codec})") from None
    except Stuck as error:
        subject.close()
        complaints.append(str(error))
    except Inconclusive as error:
        complaints, verdict = [str(error)], Verdict.INCONCLUSIVE
    except Exception:  # a fault of the check must not look like a fault of the client
        complaints, verdict = [traceback.format_exc()], Verdict.BROKEN
    verdict = verdict or (Verdict.FAILED if complaints else Verdict.PASSED)
    seconds = monotonic() - start
    return Result(check, codec, cut, verdict, tuple(complaints), stage.transcript, seconds, waits.expired)


def _complaints(check: ClientCheck, stage: Stage) -> list[str]:
    stuck: list[str] = []
    try:
        check.stimulus(stage)
        stage.finish()
    except (Stuck, OSError) as error:
        stuck.append(str(error))
    judged = [*judge_clients(stage.transcript), *(judge_driven(stage.transcript) if stage.driven else ())]
    # What was waited for in vain comes last, since what was seen instead says more.
    return [*map(str, judged), *stage.complaints, *stuck]
