"""Checks the driver itself before any client is judged, so that faults of the driver do not count against its client."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from improto.codec import available, detect, load
from improto.errors import DecodeError, UsageError
from improto_conformance.clients.lines import NoDriver, broken, read
from improto_conformance.clients.stage import Stage, Unsupported
from improto_conformance.clients.subjects import Driven, Lone
from improto_conformance.servers.party import Stuck, Waits
from improto_conformance.transcripts.complaints import Inconclusive

__all__ = ["probe", "spoken"]


def probe(make: Callable[[], Driven], codecs: Sequence[str], timeout: float) -> None:
    """Try a driver, with clients in the first of these codecs that it supports.

    NoDriver if it breaks a rule, does not react, or supports none of the codecs.
    """
    driver = make()
    try:
        _lines(driver, timeout)
        codec = next((codec for codec in codecs if _registers(driver, codec, timeout)), None)
        if codec is None:
            raise NoDriver(f"the driver has none of the codecs {', '.join(codecs)}; see --codec")
        _registers(driver, codec, timeout)  # another client, after the first
    except (Stuck, OSError) as error:
        raise NoDriver(f"the driver, or its client, gets nowhere: {error}; see docs/driver.md") from None
    finally:
        in_order = driver.close()
    if not in_order:
        raise broken("DRIVER-9")


def _lines(driver: Driven, timeout: float) -> None:
    """Try commands that need no server."""
    driver.begin("morse", "ann")
    host, port = driver.address()
    commands: list[tuple[dict[str, Any], str, str]] = [
        ({"do": "frobnicate"}, "unsupported", "DRIVER-3"),
        ({"do": "reset", "later": ["?"]}, "did", "DRIVER-4"),
        ({"do": "join", "conversation": "7"}, "refused", "DRIVER-5"),
        ({"do": "connect", "host": host, "port": port, "codec": "morse"}, "unsupported", "DRIVER-6"),
        ({"do": "reset"}, "did", "DRIVER-4"),
    ]
    for number, (command, wanted, rule) in enumerate(commands):
        driver.ask(json.dumps(command))
        try:
            line = driver.hear(timeout)
        except TimeoutError:
            raise Stuck(f"{command['do']!r} was not answered; does the driver flush each line?") from None
        if line is None:
            what = repr(command["do"]) if number else "its first command"
            raise NoDriver(
                f"before it answered {what}, the driver {driver.ending()}; see what it says when run by hand"
            )
        told = read(line)
        if told.to != command["do"]:
            raise broken("DRIVER-2", line)
        if told.answer not in (wanted, "unsupported" if command["do"] != "reset" else wanted):
            raise broken(rule, line)
    driver.over()


def _registers(driver: Driven, codec: str, timeout: float) -> bool:
    """Let a client register; tell whether the driver supports the codec at all."""
    try:
        with Stage(driver, load(codec), Waits(timeout)) as stage:
            stage.enter()
    except Unsupported:
        return False
    return True


def spoken(words: Sequence[str], wanted: Sequence[str] | None, timeout: float) -> Sequence[str]:
    """Give the codecs in which to check a client without a driver; NoDriver if it is not a client, or lacks a wanted codec.

    It is started once for each codec; if there is no `{codec}` in its command, once, and its first bytes show the codec.
    """
    if any("{codec}" in word for word in words):
        codecs = wanted or available()
        for codec in codecs:
            if (found := _first_codec(words, codec, timeout)) != codec:
                raise NoDriver(f"the client, asked for {codec}, speaks {found}; name its codecs with --codec")
        return codecs
    found = _first_codec(words, "", timeout)
    if wanted and list(wanted) != [found]:
        raise UsageError(f"the client speaks {found}; write {{codec}} into its command, or leave --codec out")
    return [found]


def _first_codec(words: Sequence[str], codec: str, timeout: float) -> str:
    """Give the codec of a client's first bytes; if a codec was asked for, bytes of no codec are left for the checks to judge."""
    client = Lone(words)
    advice = (
        f"name its codecs with --codec if {codec} is none of them"
        if codec
        else "does it use {host}, {port} and {user}?"
    )
    try:
        link = client.begin(codec, "ann")(timeout)
        data = b""
        while (found := detect(data)) is None:
            more = link.receive(timeout)
            if not more:
                raise NoDriver(f"the client closes its connection before it has sent REGISTER; {advice}")
            data = (data + more).lstrip(b" \r\n")
        link.close()
    except Inconclusive as error:
        raise NoDriver(f"{error}; {advice}") from None
    except (TimeoutError, ConnectionResetError):
        raise NoDriver(f"the client connects and does not send REGISTER; {advice}") from None
    except DecodeError:
        if codec:
            return codec
        raise NoDriver(
            "the client's first bytes belong to no codec of this protocol; does it send REGISTER first, without TLS?"
        ) from None
    finally:
        client.over()
    return found
