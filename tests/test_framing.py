"""Tests of the suite with a codec of somebody else, which frames its payloads in another way than the project's own."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from drivers import OWN
from improto.bindings.asyncio import Server
from improto.bindings.websocket import listen
from improto.cli import main
from improto.codec import Codec, load
from improto.server import Hub
from improto.service import Service
from improto_conformance import Profile, check_codec, check_server
from improto_conformance.connections.links import unframed
from improto_conformance.results import Result
from improto_conformance.servers.checks import CHECKS
from improto_conformance.servers.runner import Settings, run
from improto_conformance.servers.targets import opened
from netstrings import Netstrings
from programs import IMPROTO

DRIVER = f"{sys.executable} {OWN}"


@pytest.fixture
def codec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Codec:
    """Have the codec found by its name."""
    info = tmp_path / "netstrings-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: netstrings\nVersion: 1\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(
        "[improto.codecs]\nnetstrings = netstrings:Netstrings\n", encoding="utf-8"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    return load("netstrings")


@pytest.mark.parametrize("size", [0, 1, 9, 10, 99, 100, 65_536])
def test_payload(size: int) -> None:
    """The payload in a frame is found, however long what stands around it is."""
    payload = b"1" * size
    assert unframed(Netstrings(), Netstrings().frame(payload)) == payload


@pytest.mark.parametrize("data", [b"", b",", b"1:a", b"01:a,", b"2:ab,3:abc,"])
def test_no_frame(data: bytes) -> None:
    """What is not exactly one frame counts as a whole."""
    assert unframed(Netstrings(), data) == data


def test_codec(codec: Codec) -> None:
    """It passes the checks of codecs."""
    check_codec(codec)


def test_server(codec: Codec) -> None:
    """A server that speaks it passes all checks that fit it, since sizes are those of payloads (LIMIT-1)."""
    assert len(check_server(lambda: Service(Hub(), [codec]), Profile([codec.name]))) > 100


def test_websocket(codec: Codec) -> None:
    """On WebSocket it passes all checks that fit it, too."""
    checks = [check for check in CHECKS if check.transport == "websocket"]

    async def serve() -> list[Result]:
        server = Server(Service(Hub(), [codec]))
        _, port = await listen(server, "127.0.0.1", 0)
        with opened(f"ws://127.0.0.1:{port}") as target:
            results = await asyncio.to_thread(run, target, checks, Settings(Profile([codec.name])))
        await server.close()
        return results

    results = asyncio.run(serve())
    assert {result.check.name: result.complaints for result in results if result.complaints} == {}
    assert len(results) > 10


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have programs find it, too."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(Path(__file__).parent)]))


@pytest.mark.usefixtures("programs")
def test_client(codec: Codec) -> None:
    """A client that speaks it passes the checks that fit it; others need bytes that only the project's own codecs have."""
    only = ["--only", "CLIENT-6/*", "--only", "LIMIT-20/*"]
    assert main(["check", "client", "--driver", DRIVER, "--codec", codec.name, *only]) == 0


@pytest.mark.usefixtures("programs")
def test_pair(codec: Codec) -> None:
    """Between a client and a server that speak it, it is read as what it is, though its first bytes do not tell."""
    server = f"cmd:{IMPROTO} serve --codec {codec.name} --port {{port}}"
    assert main(["check", "pair", "--server", server, "--driver", DRIVER, "--codec", codec.name]) == 0
