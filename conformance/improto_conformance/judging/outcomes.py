"""What one request may cause: by the model, and by decisions of the server whose reasons cannot be seen from outside."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from improto.messages import Code, Error, Goodbye, Invite, Join, Register, Status
from improto_conformance.judging.asked import Asked, Flaw
from improto_conformance.judging.model import Effect, Output, World, handle, leave_all
from improto_conformance.judging.scope import Scope
from improto_conformance.profile import DEFAULTS

__all__ = ["outcomes"]


def outcomes(
    scope: Scope, world: World, party: str, asked: Asked, head: object, fresh: Callable[[], str]
) -> Iterator[tuple[Effect, bool]]:
    """Give the possible effects of a party's request, and whether the server then closes.

    `head`: what the party received next; only such refusals are given as that could be.  `fresh` gives the id of the
    conversation that an INVITE makes.
    """
    item, stranger = asked.item, world.user(party) is None
    if stranger and not asked.short:
        yield _flawed(world, party, Flaw(Code.TOO_LARGE, fatal=True))
        return
    if item is None:  # CONN-21
        yield Effect(world), False
        return
    code = head.code if isinstance(head, Error) else None
    if isinstance(item, Flaw):
        yield _flawed(world, party, item)
        if item.tried and not stranger:  # a server that knows it, does it or refuses it
            yield Effect(world), False
            if code is not None:
                yield _refused(world, party, code), False
        return
    for other in asked.others:
        if not isinstance(other, Flaw) or other.code == code:
            yield from outcomes(scope, world, party, replace(asked, item=other, others=()), head, fresh)
    if isinstance(item, Goodbye):
        yield handle(world, party, item, "", scope.rules), True
        return
    if code is not None and _may_refuse(scope, item, code):
        yield _refused(world, party, code), False
    id = getattr(item, "conversation", None)
    if not stranger and id is not None:
        if code in _OF_OTHERS and (id in scope.foreign or (scope.hidden and id not in scope.announced)):
            yield Effect(world, (Output(party, Code(code), "SEND-6"),)), False
        if id in scope.foreign:
            yield Effect(world), False  # it goes to a conversation of others
    yield handle(world, party, item, fresh() if isinstance(item, Invite) else "", scope.rules), False


def _refused(world: World, party: str, code: str) -> Effect:
    # An ERROR with a code of its own may be there for any request (ERROR-13).
    return Effect(world, (Output(party, Code(code) if code in _KNOWN else None, "ERROR-3"),))


def _flawed(world: World, party: str, flaw: Flaw) -> tuple[Effect, bool]:
    stranger = world.user(party) is None
    closes = flaw.fatal or (stranger and flaw.code in (Code.MALFORMED, Code.UNKNOWN_COMMAND))  # CONN-15
    outputs = () if flaw.code is None else (Output(party, flaw.code, _CLAUSES[flaw.code]),)
    return Effect(leave_all(world, party) if closes else world, outputs), closes


def _may_refuse(scope: Scope, request: object, code: str) -> bool:
    """Tell whether a server may refuse a request for a reason that cannot be seen from outside."""
    if code not in _KNOWN or code == Code.RATE_LIMITED:  # ERROR-13, FLOW-11
        return True
    if isinstance(request, Register) and code == Code.NAME_IN_USE:
        return not request.username.endswith(scope.suffix)  # somebody else's user
    if code == Code.FORBIDDEN:
        return isinstance(request, Register)  # REGISTER-10
    grows = isinstance(request, Register | Status | Join)
    if isinstance(request, Invite):
        # An id is short, so that an INVITE comes up against LIMIT-18 first, where the bound is 16 MiB.
        grows = scope.rules.limits.roster < DEFAULTS.roster
    return code == Code.TOO_MANY and grows  # LIMIT-21


_OF_OTHERS: Final = (Code.NOT_MEMBER, Code.NOT_INVITED)
"""How a request for a conversation of others is refused."""

_KNOWN: Final = frozenset(code.value for code in Code)

_CLAUSES: Final = {
    Code.TOO_LARGE: "LIMIT-2",
    Code.MALFORMED: "CONN-23",
    Code.UNKNOWN_COMMAND: "CONN-11",
    Code.INVALID: "CODEC-5",
}
