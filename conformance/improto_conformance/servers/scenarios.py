"""Makes checks of servers from the scenario vectors.

The player of a scenario puts a mark into the transcript after each step.  By these marks the judgement finds out what a party
had received at each step, and compares it.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from improto.codec import Codec, load
from improto.messages import AnyMessage, Goodbye, OnlineUsers, Register
from improto_conformance.servers.check import Check, Complaints
from improto_conformance.servers.party import Party
from improto_conformance.servers.stage import Stage
from improto_conformance.transcripts.transcript import Transcript
from improto_conformance.vectors import Vector, vectors
from improto_conformance.vectors.values import Tagged, read_bytes, read_map, read_message

__all__ = ["scenario_check", "scenario_checks"]

_COUNTED = ("expect", "barrier", "list", "closed")
"""The steps that say which items have come; `list` says that none have."""


def scenario_checks() -> list[Check]:
    """Give a check for each scenario vector of servers."""
    return [scenario_check(vector) for vector in vectors().values() if vector.kind == "scenario"]


def scenario_check(vector: Vector) -> Check:
    """Make a check of a scenario vector."""
    data = vector.data
    steps: Sequence[Tagged] = data["steps"]
    fixed: Mapping[str, str] = data.get("codecs", {})
    everybody_is_fixed = {step["party"] for step in steps} <= fixed.keys()
    return Check(
        f"{vector.clause}/{vector.id}",
        vector.clause,
        data["comment"],
        partial(_play, steps, fixed),
        codecs=tuple(sorted(set(fixed.values())))[:1] if everybody_is_fixed else None,
        needs=tuple(fixed.values()),
        policy=data["policy"],
        transport="stream" if any("bytes" in step for step in steps) else "any",
        half_close=any("half-close" in step for step in steps),
        judgement=partial(_judge, steps),
    )


def _play(steps: Sequence[Tagged], fixed: Mapping[str, str], stage: Stage) -> None:
    parties: dict[str, Party] = {}
    due: dict[str, int] = {}  # how many items each party has to have received
    for number, step in enumerate(steps):
        label: str = step["party"]
        if label not in parties:
            codec: Codec | None = load(fixed[label]) if label in fixed else None
            parties[label] = stage.connect(label, codec)
        for action in _COUNTED:
            due[label] = due.get(label, 0) + len(_listed(step, action))
        _do(step, parties[label], stage.transcript, due[label], deliberate=_in_vain(steps[number:]))
        stage.mark(_mark(number))


def _in_vain(steps: Sequence[Tagged]) -> bool:
    """Tell whether some of what the first step sends is refused, or comes after a GOODBYE."""
    if any(message["command"] == Goodbye.COMMAND for message in steps[0].get("send", ())[:-1]):
        return True
    label = steps[0]["party"]
    for step in (step for step in steps if step["party"] == label):
        items = [item for action in _COUNTED for item in _listed(step, action)]
        if items:
            return any("error" in item for item in items)
    return False


def _do(step: Tagged, party: Party, seen: Transcript, due: int, *, deliberate: bool) -> None:
    resolve = partial(_resolve, seen)
    if "register" in step:
        party.send(Register(party.name, step["register"]))
        party.wait_for(OnlineUsers)
    elif "send" in step:
        messages = [read_message(message, resolve) for message in step["send"]]
        party.send(*messages, deliberate=deliberate)
    elif "bytes" in step:
        party.send_bytes(read_bytes(step["bytes"]))
    elif "expect" in step:
        party.hear(due)
    elif "online" in step:
        _wait_to_see(read_map(step["online"], resolve), party, seen)
    elif "half-close" in step:
        party.half_close()
    elif "reset" in step:
        party.reset()
    elif "closed" in step:
        party.read_to_end()
    else:  # barrier, list
        party.barrier()


def _wait_to_see(online: Mapping[str, object], party: Party, seen: Transcript) -> None:
    def shown(users: Mapping[str, str]) -> bool:
        # Other users of the server have nothing to do with the scenario.
        return {name: status for name, status in users.items() if name.endswith(seen.suffix)} == online

    if not shown(party.roster):
        party.wait(
            lambda message: isinstance(message, OnlineUsers) and shown(message.users),
            f"a roster with {online!a}",
        )


def _judge(steps: Sequence[Tagged], seen: Transcript) -> Complaints:
    resolve = partial(_resolve, seen)
    last: dict[str, str] = {}  # the mark up to which each party's items have been compared
    for number, step in enumerate(steps):
        label, mark = step["party"], _mark(number)
        for action in _COUNTED:
            if action in step:
                wanted = list(_items(_listed(step, action), resolve))
                yield from seen.expect(label, wanted, last.get(label), mark)
                last[label] = mark
        if "list" in step:
            yield from _judge_list(read_map(step["list"], resolve), label, mark, seen)
        if not seen.marked(mark):
            return


def _judge_list(wanted: Mapping[str, object], label: str, mark: str, seen: Transcript) -> Iterator[str]:
    lists = seen.lists(label, until=mark)
    if lists and lists[-1].conversations != wanted:
        yield f"{label} was to be shown {wanted!a} and was shown {dict(lists[-1].conversations)!a}"


def _listed(step: Tagged, action: str) -> Sequence[Tagged]:
    items: Sequence[Tagged] = () if action == "list" else step.get(action, ())
    return items


def _items(items: Sequence[Tagged], resolve: Any) -> Iterator[AnyMessage | str]:
    for item in items:
        yield item["error"] if "error" in item else read_message(item, resolve)


def _resolve(seen: Transcript, tag: Tagged) -> str:
    if "user" in tag:
        return seen.name(tag["user"])
    number: int = tag["conversation"]
    ids = seen.conversations
    return ids[number - 1] if number <= len(ids) else f"conversation-{number}-which-nobody-announced"


def _mark(number: int) -> str:
    return f"step {number + 1}"
