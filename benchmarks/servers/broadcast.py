"""A server that tells everybody what anybody says, with `websockets`, the way its documentation shows.

`python broadcast.py PORT` runs it.
"""

import asyncio
import sys

from websockets.asyncio.server import ServerConnection, broadcast, serve

EVERYBODY: set[ServerConnection] = set()


async def handle(connection: ServerConnection) -> None:
    """Serve one connection."""
    EVERYBODY.add(connection)
    try:
        async for text in connection:
            broadcast(EVERYBODY, text)
    finally:
        EVERYBODY.remove(connection)


async def main(port: int) -> None:
    """Serve until the end."""
    async with serve(handle, "127.0.0.1", port, compression=None, ping_interval=None) as server:
        await server.serve_forever()


asyncio.run(main(int(sys.argv[1])))
