"""Calls a function in processes of its own, where it may hang or end its process.

    for item, given, done in outcomes(function, items, jobs=2, patience=20.0):
        ...     # what function(item) yielded, and whether it came to its end

A pool of the standard library would wait for ever for a call that hangs, and give up all calls if one ends its process.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from queue import SimpleQueue
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
        self.end()
        self._begin()
        return Outcome(item, given, False)

    def end(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.join()
        self._pipe.close()


def outcomes(
    function: Callable[[_A], Iterable[_B]], items: Iterable[_A], *, jobs: int, patience: float
) -> Iterator[Outcome[_A, _B]]:
    """Call a function of a module for each item, in the order of the items but so many at a time.

    `patience`: seconds between two things that it yields, after which its process is killed.
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

    try:
        with ThreadPoolExecutor(jobs) as pool:
            yield from pool.map(call, items)
    finally:
        for worker in workers:
            worker.end()


def _work(function: Callable[[object], Iterable[object]], pipe: "Connection[object, object]") -> None:
    with suppress(EOFError):  # the caller wants no more
        while True:
            item = pipe.recv()
            try:
                for value in function(item):
                    pipe.send((_GAVE, value))
            except Exception as error:
                pipe.send((_RAISED, error))
            else:
                pipe.send((_DONE, None))
