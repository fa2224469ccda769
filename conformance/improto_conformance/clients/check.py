"""What a check of a client is, and the list of all of them.

    @check("CLIENT-14", "after an ERROR the client goes on as before")
    def error_then_on(stage: Stage) -> None:           # the stimulus
        stage.enter()
        ...

There is no judgement to write: whatever the stimulus is, the client may send only what it was asked for and has to
tell of all that it was served (`judgement`), and what it sends has to be lawful (`judging.client_judge`).
"""

from collections.abc import Callable
from dataclasses import dataclass

from improto_conformance.clients.stage import Stage
from improto_conformance.results import Aim

__all__ = ["ClientCheck", "check", "framed", "registered"]

Stimulus = Callable[[Stage], None]


@dataclass(eq=False)
class ClientCheck(Aim):
    """One behaviour that a clause demands of a client, and how to provoke it."""

    stimulus: Stimulus
    codecs: tuple[str, ...] | None = None
    """The codecs in which it makes sense; None for all."""
    alone: bool = False
    """Whether it works with a client without a driver."""


_registered: list[ClientCheck] = []


def check(
    clause: str,
    title: str,
    *,
    name: str | None = None,
    codecs: tuple[str, ...] | None = None,
    alone: bool = False,
) -> Callable[[Stimulus], ClientCheck]:
    """Make a stimulus a check of a clause; the name of the check is `name`, or else that of the stimulus."""

    def register(stimulus: Stimulus) -> ClientCheck:
        called = name or stimulus.__name__.replace("_", "-")
        made = ClientCheck(f"{clause}/client/{called}", clause, title, stimulus, codecs, alone)
        _registered.append(made)
        return made

    return register


def framed(payload: bytes) -> bytes:
    """Give a msgpack payload as it is on the stream (MSGPACK-2)."""
    return len(payload).to_bytes(4) + payload


def registered() -> list[ClientCheck]:
    """Give all checks of the modules that have been imported."""
    return list(_registered)
