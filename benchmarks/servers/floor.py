"""The least that an instant-messaging server in Python can do: what `run.py` measures all others against.

It reads `REGISTER name status`, `JOIN id` and `SEND_MESSAGE id text` as lines of improto's ascii codec and writes
`ONLINE_USERS` and `MESSAGE id name text`.  Nothing is checked, nobody is told of errors, no roster is repeated, and a
reader that stops fills the memory.  What one turn of the loop causes is joined and written once per connection.

    python floor.py PORT [uvloop]
"""

import asyncio
import sys
from collections.abc import Callable
from typing import cast

__all__ = ["Floor"]


class Floor:
    """All users and conversations."""

    def __init__(self) -> None:
        """Begin with nobody online."""
        self.users: dict[str, str] = {}
        self.members: dict[str, dict[Connection, None]] = {}
        self.waiting: dict[Connection, None] = {}
        self.loop = asyncio.get_running_loop()

    def write(self, to: "Connection", data: bytes) -> None:
        """Queue something for this turn."""
        if not self.waiting:
            self.loop.call_soon(self.flush)
        to.pieces.append(data)
        self.waiting[to] = None

    def flush(self) -> None:
        """Write what was queued."""
        waiting, self.waiting = self.waiting, {}
        for connection in waiting:
            connection.transport.write(b"".join(connection.pieces))
            connection.pieces.clear()


class Connection(asyncio.Protocol):
    """One user."""

    __slots__ = ("buffer", "commands", "floor", "joined", "name", "pieces", "transport")

    def __init__(self, floor: Floor) -> None:
        """Begin without a name."""
        self.floor = floor
        self.buffer = b""
        self.name = ""
        self.pieces: list[bytes] = []
        self.joined: list[str] = []
        self.commands: dict[str, Callable[[str], None]] = {
            "SEND_MESSAGE": self.say,
            "JOIN": self.join,
            "REGISTER": self.register,
        }

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Take lines out of what has arrived."""
        *lines, self.buffer = (self.buffer + data).split(b"\n")
        for line in lines:
            command, _, arguments = line.decode().partition(" ")
            self.commands[command](arguments)

    def connection_lost(self, exc: Exception | None) -> None:
        """Take the user offline."""
        self.floor.users.pop(self.name, None)
        for conversation in self.joined:
            del self.floor.members[conversation][self]

    def register(self, arguments: str) -> None:
        """Answer with everybody who is online."""
        self.name, _, status = arguments.partition(" ")
        self.floor.users[self.name] = status
        roster = " ".join([f"{name}={status}" for name, status in self.floor.users.items()])
        self.floor.write(self, f"ONLINE_USERS {roster}\n".encode())

    def join(self, conversation: str) -> None:
        """Become a member of a conversation, which begins with its first member."""
        self.floor.members.setdefault(conversation, {})[self] = None
        self.joined.append(conversation)

    def say(self, arguments: str) -> None:
        """Tell all members."""
        conversation, _, text = arguments.partition(" ")
        message = f"MESSAGE {conversation} {self.name} {text}\n".encode()
        floor = self.floor
        members = floor.members[conversation]
        if not floor.waiting:
            floor.loop.call_soon(floor.flush)
        for member in members:
            member.pieces.append(message)
        floor.waiting.update(members)


async def main(port: int) -> None:
    """Serve until the end."""
    floor = Floor()
    server = await floor.loop.create_server(lambda: Connection(floor), "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    if "uvloop" in sys.argv:
        import uvloop

        uvloop.install()
    asyncio.run(main(int(sys.argv[1])))
