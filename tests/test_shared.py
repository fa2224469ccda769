"""Tests of checks on a server that others use."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from improto.bindings.asyncio import Server
from improto.codec import load
from improto.messages import (
    AnyMessage,
    Conversations,
    Goodbye,
    Invitation,
    Invite,
    Join,
    Leave,
    ListConversations,
    OnlineUsers,
    Register,
    Response,
    Role,
    SendMessage,
    Status,
)
from improto.server import Hub, Policy
from improto.service import Service
from improto_conformance.profile import Profile
from improto_conformance.results import Result
from improto_conformance.servers.checks import CHECKS
from improto_conformance.servers.runner import Settings, run
from improto_conformance.servers.targets import tcp

JSON = load("json")
CROWD = [f"user {number}" for number in range(8)]


class Somebody:
    """A user of a server who has nothing to do with the suite, and comes and talks and goes without end."""

    def __init__(self, name: str) -> None:
        """Live among the others of the crowd."""
        self.name = name
        self.visits = 0

    async def live(self, port: int) -> None:
        """Come again and again."""
        while True:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port)
            self.messages = JSON.reader(Role.SERVER)
            try:
                await self.visit()
            finally:
                self.writer.close()
            self.visits += 1

    async def visit(self) -> None:
        """Talk for a while."""
        self.say(Register(self.name, "here"))
        await self.hear(OnlineUsers)
        for number in range(5):
            for other in CROWD:  # not all of them are there
                self.say(Invite((other, self.name)))
            self.say(Status(str(number)), ListConversations())
            for message in await self.hear(Conversations):
                if isinstance(message, Invitation):
                    id = message.conversation
                    self.say(Join(id), SendMessage(id, f"{self.name} was here"), Leave(id))
        self.say(Goodbye())
        while await self.reader.read(64 * 1024):
            pass

    def say(self, *messages: AnyMessage) -> None:
        """Send messages."""
        self.writer.write(b"".join(JSON.frame(JSON.encode(message)) for message in messages))

    async def hear(self, kind: type[Response]) -> list[AnyMessage]:
        """Give all that comes, up to a message of a kind."""
        heard: list[AnyMessage] = []
        while not (heard and isinstance(heard[-1], kind)):
            message = self.messages.next(16 * 1024 * 1024)
            if message is None:
                self.messages.feed(await self.reader.read(64 * 1024))
            else:
                heard.append(message)
        return heard


@asynccontextmanager
async def crowded(port: int) -> AsyncGenerator[list[Somebody]]:
    """Have a crowd on a server."""
    crowd = [Somebody(name) for name in CROWD]
    tasks = [asyncio.create_task(each.live(port)) for each in crowd]
    try:
        yield crowd
        assert not any(task.done() for task in tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def checked() -> tuple[list[Result], int]:
    """Run the checks beside a crowd; give the results, and how often each of it has come and gone meanwhile at least."""
    server = Server(Service(Hub(Policy(settle=0.02)), [JSON]))
    _, port = await server.listen("127.0.0.1", 0)
    async with crowded(port) as crowd:
        settings = Settings(Profile(["json"]), shared=True)
        results = await asyncio.to_thread(run, tcp("127.0.0.1", port), CHECKS, settings)
        visits = min(each.visits for each in crowd)
    await server.close()
    return results, visits


def test_crowd() -> None:
    """While a crowd comes and talks and goes, all checks that need not be alone pass, and nobody is harmed."""
    results, visits = asyncio.run(checked())
    assert {result.check.name: result.complaints for result in results if result.complaints} == {}
    assert not any(result.check in [check for check in CHECKS if check.alone] for result in results)
    assert visits > 1
