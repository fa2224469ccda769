#!/usr/bin/env python3
"""Works improto's own asyncio client for `improto check client --driver`; `docs/driver.md` is what it follows."""

import asyncio
import json
import sys
from collections.abc import Mapping
from typing import Any

from improto.bindings.asyncio import Session, dial
from improto.codec import available
from improto.errors import Lost, UsageError
from improto.messages import COMMANDS, Error
from improto.user import Reconnected
from improto.wire import Fault

REQUESTS = {
    "register": "REGISTER",
    "status": "STATUS",
    "invite": "INVITE",
    "join": "JOIN",
    "send": "SEND_MESSAGE",
    "leave": "LEAVE",
    "list": "LIST_CONVERSATIONS",
    "goodbye": "GOODBYE",
}
EVENTS = {
    "ONLINE_USERS": "online",
    "INVITATION": "invitation",
    "CONVERSATIONS": "conversations",
    "MESSAGE": "message",
    "ERROR": "error",
}


class Driver:
    """One client after the other, each on a connection of its own."""

    def __init__(self) -> None:
        self.session: Session | None = None
        self.listening: asyncio.Task[None] | None = None

    async def do(self, line: Mapping[str, Any]) -> str:
        """Do what the suite's user wants, and give the answer."""
        match line["do"]:
            case "connect":
                if line["codec"] not in available():
                    return "unsupported"
                url = f"tcp://{line['host']}:{line['port']}"
                self.session = await dial(url, line["codec"])
                self.listening = asyncio.create_task(self.listen(self.session))
            case "reset":
                if self.session is not None and self.listening is not None:
                    self.session.close()
                    self.listening.cancel()
                    self.session = self.listening = None
            case word if word not in REQUESTS:
                return "unsupported"
            case _ if self.session is None:
                return "refused"
            case word:
                kind = COMMANDS[REQUESTS[word]]
                request: Any = kind(*(line[field.name] for field in kind.FIELDS))
                try:
                    self.session.request(request)
                except (UsageError, Lost):
                    return "refused"
                await self.session.drain()
        return "did"

    async def listen(self, session: Session) -> None:
        """Tell what the client receives, up to the end."""
        try:
            async for item in session:
                if isinstance(item, Fault):
                    tell(event="ignored", why=item.explanation)
                elif not isinstance(item, Reconnected):
                    more = {"code": item.code} if isinstance(item, Error) else {}
                    fields = zip(item.FIELDS, item.values(), strict=True)
                    tell(event=EVENTS[item.COMMAND], **{field.name: value for field, value in fields}, **more)
            tell(event="closed")
        except Lost as error:
            tell(event="lost", why=str(error))


def tell(**members: Any) -> None:
    """Write one line."""
    print(json.dumps(members), flush=True)


async def main() -> None:
    """Do what each line says, until there are no more."""
    driver = Driver()
    while line := await asyncio.to_thread(sys.stdin.readline):
        command = json.loads(line)
        tell(**{await driver.do(command): command["do"]})


asyncio.run(main())
