"""What a check is, and the list of all of them.

@check("SEND-3", "the sender gets a copy")
def sender_gets_copy(stage: Stage) -> None:        # the stimulus
...

@sender_gets_copy.judge
def _(seen: Transcript) -> Complaints:             # the judgement: no complaint, no fault
yield from seen.expect(...)
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from improto_conformance.results import Aim
from improto_conformance.stage import Stage
from improto_conformance.transcript import Transcript

__all__ = ["Check", "Complaints", "check", "registered"]

Complaints = Iterable[str]


@dataclass(eq=False)
class Check(Aim):
    """One behaviour that a clause demands of a server: how to provoke it, and how to tell."""

    stimulus: Callable[[Stage], None]
    codecs: tuple[str, ...] | None = None
    """The codecs in which it makes sense; None for all."""
    needs: tuple[str, ...] = ()
    """Further codecs that the server has to speak."""
    policy: str = "any"
    """The policy under which it makes sense: `open`, `private` or `any`."""
    transport: str = "any"
    """Where it makes sense: on a byte `stream`, on a `websocket`, whose messages are frames, or on `any`."""
    half_close: bool = False
    """Whether a party of it half-closes, which not every transport can."""
    defaults: bool = False
    """Whether it holds for the default limits only (LIMIT-25)."""
    alone: bool = False
    """Whether it uses names and ids of its own choice, or waits for what others would cause, so that nothing else may
    run against the server meanwhile."""
    seconds: str = ""
    """The time of the profile that it waits for, if it waits at all."""
    declared: bool = False
    """Whether it is about what the profile says, and so makes its messages by that."""
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
    """Make a stimulus into a check of a clause, named by the stimulus unless there is a `name`."""

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
    """Give all checks of the modules that were imported."""
    return list(_registered)
