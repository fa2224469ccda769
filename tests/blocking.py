"""What tests of the binding with threads ask its servers, and wait for at its clients."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Final, TypeVar

from improto.bindings.threads import Server, Session
from improto.errors import Refused
from improto.user import Item

__all__ = ["listed", "online", "upto"]

_DEADLINE: Final = 20.0
_T = TypeVar("_T", bound=Item)


def online(server: Server) -> list[str]:
    """Give who is online."""
    with server.lock:
        return list(server.service.hub.online)


def upto(session: Session, kind: type[_T]) -> _T:
    """Take what arrives up to the first of a kind."""
    while (item := session.receive(_DEADLINE)) is not None:
        if isinstance(item, kind):
            return item
    raise AssertionError(f"the session ended before {kind}")


def listed(session: Session) -> Mapping[str, tuple[str, ...]]:
    """Ask until the server has time to answer."""
    while True:
        with suppress(Refused):
            return session.list_conversations()
