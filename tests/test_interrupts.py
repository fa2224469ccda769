"""Tests of what Ctrl-C leaves behind in a client with threads, wherever it comes."""

import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from itertools import count
from types import FrameType
from typing import Any, Final

import pytest

import serving
from improto.bindings.threads import Server, Session, dial
from improto.client import Timeouts
from improto.errors import ImprotoError

DEADLINE: Final = 20.0
TIMES: Final = Timeouts(reply=DEADLINE, goodbye=DEADLINE)

CALLS: Final[dict[str, Callable[[Session], object]]] = {
    "register": lambda me: me.register("ann"),
    "list_conversations": Session.list_conversations,
    "status": lambda me: me.status("here"),
    "receive": lambda me: me.receive(DEADLINE),
    "goodbye": Session.goodbye,
    "close": Session.close,
}


@contextmanager
def interrupted(at: int) -> Generator[None]:
    """Raise KeyboardInterrupt as this thread begins with the `at`-th function: one of the places where Python does so."""
    begun = 0

    def trace(frame: FrameType, event: str, _: Any) -> None:
        nonlocal begun
        module = str(frame.f_globals.get("__name__"))
        # With "_acquire_restore", Python's own `Event.wait` would raise something else.
        ours = module.startswith(("improto", "threading")) and frame.f_code.co_name != "_acquire_restore"
        begun += event == "call" and ours
        if begun == at:
            sys.settrace(None)
            raise KeyboardInterrupt

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


def served(server: Server) -> int:
    """Count the connections that the server has."""
    with server.lock:
        return len(server.links)


def in_time(work: Callable[[], object]) -> bool:
    """Do something in another thread; tell whether it came to an end, within a time that is shorter than all time-outs."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(DEADLINE / 2)
    return not thread.is_alive()


@pytest.mark.parametrize("name", CALLS)
def test_interrupted_call(name: str) -> None:
    """Wherever Ctrl-C interrupts a call, later calls get their own replies or raise Lost, and the session can be closed."""
    with serving.with_threads() as (server, port):
        for at in count(1):
            me = dial(f"tcp://127.0.0.1:{port}", "json", timeouts=TIMES)
            if name != "register":
                me.register(f"ann{at}")

            def later(me: Session = me, at: int = at) -> None:
                with suppress(ImprotoError):
                    if not me.view.username:
                        me.register(f"bo{at}")
                    assert [me.list_conversations() for _ in range(2)] == [{}, {}]

            done = False
            with suppress(KeyboardInterrupt), interrupted(at):
                CALLS[name](me)
                done = True
            if name != "close":
                assert in_time(later), at
            assert in_time(me.close), at
            assert in_time(lambda: [None for _ in iter(lambda: served(server), 0)]), at
            if done:
                return


def test_interrupted_dial() -> None:
    """Wherever Ctrl-C interrupts the making of a connection, it is closed."""
    with serving.with_threads() as (server, port):
        for at in count(1):
            me: Session | None = None
            with suppress(KeyboardInterrupt), interrupted(at):
                me = dial(f"tcp://127.0.0.1:{port}", "json")
            if me is not None:
                me.close()
                return
            assert in_time(lambda: [None for _ in iter(lambda: served(server), 0)]), at
