"""What a check is, and the list of all of them.

    @check("SEND-3", "the sender gets a copy")
    def sender_gets_copy(stage: Stage) -> None:    # the stimulus
        ...

    @sender_gets_copy.judge
    def _(seen: Transcript) -> Complaints:         # the judgement: no complaint, no fault
        yield from seen.expect(...)

The judgement sees the transcript only.  Whatever it says, everything in the transcript has to be lawful as well
(`judging.judge`).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from improto_conformance.results import Aim
from improto_conformance.servers.stage import Stage
from improto_conformance.transcripts.transcript import Transcript

__all__ = ["Check", "Complaints", "check", "registered"]

Complaints = Iterable[str]


@dataclass(eq=False)
class Check(Aim):
    """One behaviour that a clause demands of a server: how to provoke it, and how to judge it."""

    stimulus: Callable[[Stage], None]
    codecs: tuple[str, ...] | None = None
    """The codecs in which it makes sense; None for all."""
    needs: tuple[str, ...] = ()
    """Further codecs that the server has to speak."""
    policy: str = "any"
    """The policy under which it makes sense: `open`, `private` or `any`."""
    transport: str = "any"
    """The transport on which it makes sense: a byte `stream`, a `websocket`, whose messages are frames, or `any`."""
    half_close: bool = False
    """Whether one of its parties half-closes, which is not possible on every transport."""
    defaults: bool = False
    """Whether it makes sense for the default limits only (LIMIT-25)."""
    alone: bool = False
    """Whether it must run alone, because it chooses names and ids itself, or because others could cause what it waits
    for."""
    seconds: str = ""
    """The name of the time in the profile for which it waits; empty if it does not wait."""
    declared: bool = False
    """Whether it checks what the profile declares, and so makes its messages by the profile."""
    judgement: Callable[[Transcript], Complaints] = field(default=lambda seen: ("this check judges nothing",))

    def judge(self, judgement: Callable[[Transcript], Complaints]) -> Callable[[Transcript], Complaints]:
        """Set the judgement."""
        self.judgement = judgement
        return judgement


_registered: list[Check] = []


def check(
    clause: str,
    title: str,
    *,
    codecs: tuple[str, ...] | None = None,
    policy: str = "any",
    transport: str = "any",
    half_close: bool = False,
    name: str = "",
    seconds: str = "",
    varies: bool = False,
    defaults: bool = False,
    alone: bool = False,
) -> Callable[[Callable[[Stage], None]], Check]:
    """Make a stimulus a check of a clause; the name of the check is `name`, or else that of the stimulus."""

    def register(stimulus: Callable[[Stage], None]) -> Check:
        made = Check(
            f"{clause}/{name or stimulus.__name__.replace('_', '-')}",
            clause,
            title,
            stimulus,
            codecs,
            policy=policy,
            transport=transport,
            half_close=half_close,
            seconds=seconds,
            varies=varies,
            defaults=defaults,
            alone=alone,
            declared=name == "declared",
        )
        _registered.append(made)
        return made

    return register


def registered() -> list[Check]:
    """Give all checks of the modules that have been imported."""
    return list(_registered)
