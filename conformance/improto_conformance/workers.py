"""Calls a function in processes of its own, where it may hang or end its process.

    for item, given, done in outcomes(function, items, jobs=2, patience=20.0):
        ...     # what function(item) yielded, and whether it came to its end

A pool of the standard library would wait for ever for a call that hangs, and give up all calls if one ends its process.
"""

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from queue import SimpleQueue
from signal import SIG_IGN, SIGINT, signal
from threading import Lock
from traceback import format_exc
from typing import Final, Generic, NamedTuple, TypeVar

__all__ = ["Outcome", "outcomes"]

_A = TypeVar("_A")
_B = TypeVar("_B")

_CONTEXT: Final = get_context("spawn")  # a fork would take over the locks of other threads
_GAVE, _DONE, _RAISED = range(3)  # the kinds of answers of a process
_START: Final = 60.0  # seconds until a new process answers, on a busy machine


class Outcome(NamedTuple, Generic[_A, _B]):
    """The result of one call."""

    item: _A
    given: list[_B]
    """What it yielded before it ended."""
    done: bool
    """False if it gave nothing for too long, or its process ended."""


class _Worker(Generic[_A, _B]):
    """One process, which is replaced when it is lost."""

    def __init__(self, function: Callable[[_A], Iterable[_B]]) -> None:
        self._function = function
        self._lock = Lock()  # held while the process is replaced, or ended for good
        self._over = False
        self._begin()

    def _begin(self) -> None:
        self._pipe, theirs = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=_work, args=(self._function, theirs), daemon=True)
        self._process.start()
        theirs.close()
        self._patience = _START

    def call(self, item: _A, patience: float) -> Outcome[_A, _B]:
        """Let the process call the function; its exceptions are raised here."""
        given: list[_B] = []
        try:
            self._pipe.send(item)
            while self._pipe.poll(max(patience, self._patience)):
                self._patience = 0.0
                news, value = self._pipe.recv()
                if news == _RAISED:
                    raise value
                if news == _DONE:
                    return Outcome(item, given, True)
                given.append(value)
        except (EOFError, OSError):
            pass
        with self._lock:
            if not self._over:
                self._kill()
                self._pipe.close()
                self._begin()
        return Outcome(item, given, False)

    def end(self) -> None:
        """End the process, whatever it does; a call that it is busy with returns."""
        with self._lock:
            self._over = True
            self._kill()

    def _kill(self) -> None:
        self._process.kill()
        self._process.join()


def outcomes(
    function: Callable[[_A], Iterable[_B]], items: Iterable[_A], *, jobs: int, patience: float
) -> Generator[Outcome[_A, _B], None, None]:
    """Call a function of a module for each item, in the order of the items but so many at a time.

    `patience`: seconds between two things that it yields, after which its process is killed.  Who wants no more, or is
    interrupted, does not wait for calls.
    """
    free: SimpleQueue[_Worker[_A, _B]] = SimpleQueue()
    workers = [_Worker(function) for _ in range(jobs)]
    for worker in workers:
        free.put(worker)

    def call(item: _A) -> Outcome[_A, _B]:
        worker = free.get()
        try:
            return worker.call(item, patience)
        finally:
            free.put(worker)

    pool = ThreadPoolExecutor(jobs)
    try:
        yield from pool.map(call, items)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.end()
        pool.shutdown()


def _work(function: Callable[[object], Iterable[object]], pipe: "Connection[object, object]") -> None:
    signal(SIGINT, SIG_IGN)  # Ctrl-C reaches the caller too, who ends this process
    with suppress(EOFError):  # the caller wants no more
        while True:
            item = pipe.recv()
            try:
                for value in function(item):
                    pipe.send((_GAVE, value))
            except Exception as error:
                error.add_note(format_exc())  # what is sent has no traceback
                pipe.send((_RAISED, error))
            else:
                pipe.send((_DONE, None))
