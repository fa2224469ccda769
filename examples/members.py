#!/usr/bin/env python3
"""A server on a Unix socket that looks up in a database who may use which name.

    sqlite3 members.db "CREATE TABLE members (uid INTEGER, username TEXT); INSERT INTO members VALUES (1000, 'ann')"
    members.py members.db /run/improto.sock

The system says which user id is at the other end of a connection.  The look-up runs in a thread, and others are served
meanwhile.
"""

import asyncio
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from improto.bindings.asyncio import Server
from improto.codec import load_all
from improto.messages import Register
from improto.server import Hub, Policy
from improto.service import Peer, Service


async def main(database: str, path: str) -> None:
    """Serve until SIGTERM or SIGINT."""

    def look_up(uid: int, username: str) -> bool:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            found = connection.execute(
                "SELECT 1 FROM members WHERE uid = ? AND username = ?", (uid, username)
            ).fetchone()
        return found is not None

    async def admit(peer: Peer, request: Register) -> str | None:
        if peer.credentials is None:
            return "connect on the Unix socket"
        if await asyncio.to_thread(look_up, peer.credentials.uid, request.username):
            return None
        return "this name is not yours"

    service = Service(Hub(Policy(ask=True)), load_all())
    server = Server(service, admit=admit)
    await server.listen_unix(path)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    print(f"listening on unix:{path}", flush=True)
    await stop.wait()
    await server.close()


if __name__ == "__main__":
    if len(sys.argv) != 3 or not Path(sys.argv[1]).exists():
        sys.exit(f"usage: {sys.argv[0]} DATABASE SOCKET, where the database is a file that is there")
    asyncio.run(main(sys.argv[1], sys.argv[2]))
