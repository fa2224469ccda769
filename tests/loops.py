"""Runs tests on an event loop, and waits there for what a client receives."""

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable
from functools import wraps
from typing import Final, TypeVar

from improto.user import Item

__all__ = ["on_loop", "turns_until", "upto"]

_DEADLINE: Final = 20.0
_T = TypeVar("_T", bound=Item)
_R = TypeVar("_R")


def on_loop(
    test: Callable[..., Awaitable[None]], factory: Callable[[], asyncio.AbstractEventLoop] | None = None
) -> Callable[..., None]:
    """Run a test on an event loop, with a deadline for its failure; a callback that fails is one as well."""

    @wraps(test)
    def run(*args: object, **kwargs: object) -> None:
        failures: list[object] = []

        async def bounded() -> None:
            asyncio.get_running_loop().set_exception_handler(lambda loop, context: failures.append(context))
            async with asyncio.timeout(_DEADLINE):
                await test(*args, **kwargs)

        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(bounded())
        assert not failures

    return run


async def upto(items: AsyncIterable[Item], kind: type[_T]) -> _T:
    """Take what arrives up to the first of a kind."""
    async for item in items:
        if isinstance(item, kind):
            return item
    raise AssertionError(f"all ended before {kind}")


async def turns_until(task: asyncio.Task[_R]) -> int:
    """Count the turns that another task gets until one is done."""
    turns = 0
    while not task.done():
        turns += 1
        await asyncio.sleep(0)
    await task
    return turns
