"""Makes checks of clients from the client scenarios among the vectors."""

from collections.abc import Sequence
from functools import partial
from typing import cast

from improto.messages import Request, Response
from improto_conformance.clients.check import ClientCheck
from improto_conformance.clients.lines import IGNORED, LOST, Item
from improto_conformance.clients.stage import Stage
from improto_conformance.vectors import Vector, vectors
from improto_conformance.vectors.values import Tagged, read_bytes, read_map, read_message

__all__ = ["scenario_check", "scenario_checks"]


def scenario_checks() -> list[ClientCheck]:
    """Give a check for each client scenario."""
    return [scenario_check(vector) for vector in vectors().values() if vector.kind == "client"]


def scenario_check(vector: Vector) -> ClientCheck:
    """Make a check of a client scenario."""
    data = vector.data
    return ClientCheck(
        f"{vector.clause}/{vector.id}",
        vector.clause,
        data["comment"],
        partial(_play, data["steps"]),
        (data["codec"],) if "codec" in data else None,
    )


def _play(steps: Sequence[Tagged], stage: Stage) -> None:
    stage.begin()
    for step in steps:
        _do(step, stage)


def _do(step: Tagged, stage: Stage) -> None:
    if "ask" in step:
        stage.ask(cast("Request", read_message(step["ask"])))
    elif "serve" in step:
        stage.serve(*(read_message(each) for each in step["serve"]))
    elif "bytes" in step:
        stage.serve_bytes(read_bytes(step["bytes"]))
    elif "end" in step:
        stage.end()
    elif "sends" in step:
        for each in step["sends"]:
            stage.sends(type(read_message(each)))
    elif "tells" in step:
        _hear([_told(each) for each in step["tells"]], stage)
    elif "online" in step:
        if stage.online != read_map(step["online"]):
            stage.complaints.append(
                f"the client was to see {step['online']!a} online, and sees {stage.online!a}"
            )
    else:  # closed
        stage.read_to_end()


def _hear(wanted: Sequence[Item], stage: Stage) -> None:
    for item in wanted:
        told = stage.told(item if isinstance(item, str) else item.COMMAND)
        if told == LOST != item == IGNORED:
            return  # the client may tell of a fault together with the end
        if told != item:
            stage.complaints.append(f"the client was to tell of {item!a}, and told of {told!a}")


def _told(item: Tagged) -> Item:
    if "message" in item:
        return cast("Response", read_message(item["message"]))
    return IGNORED if "fault" in item else LOST
