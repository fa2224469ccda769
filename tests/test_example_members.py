"""Tests of `examples/members.py`: a server that looks its users up in a database."""

import asyncio
import os
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from improto.bindings.asyncio import connect
from improto.errors import Refused
from programs import Programs

PROGRAM = Path(__file__).parent.parent / "examples" / "members.py"


async def online(url: str, name: str) -> list[str]:
    """Register and give who is there then."""
    async with connect(url, name) as me:
        return list(me.view.online)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_members(programs: Programs, tmp_path: Path, signum: signal.Signals) -> None:
    """Who has connected with a user id gets the names that the file gives it, and no others."""
    with closing(sqlite3.connect(tmp_path / "members.db")) as database:
        database.execute("CREATE TABLE members (uid INTEGER, username TEXT)")
        uid = os.getuid()
        database.execute("INSERT INTO members VALUES (?, 'ann'), (?, 'bo')", (uid, uid + 1))
        database.commit()
    path = str(tmp_path / "socket")
    server = programs.run(sys.executable, PROGRAM, str(tmp_path / "members.db"), path)
    server.expect(f"listening on unix:{path}")
    assert asyncio.run(online(f"unix:{path}", "ann")) == ["ann"]
    for name in ("bo", "ann' OR '1"):
        with pytest.raises(Refused, match="not yours") as refused:
            asyncio.run(online(f"unix:{path}", name))
        assert refused.value.code == "forbidden"
    server.process.send_signal(signum)
    assert server.end(stdin=False)[0] == 0
