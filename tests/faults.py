"""The faults that every binding is tried with: what is done, what the server promises, and where that applies.

Each is one scenario, which knows nothing of the binding.  What the server promises after all of them, `Ground.judge`
expects: it goes on to serve, says no more on its standard error than the fault allows, and holds nothing any more, no
descriptor, task, thread, connection or byte.

    python tests/faults.py docs/faults.md

writes the page about them.
"""

import multiprocessing
import os
import resource
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from threading import Lock
from typing import Any, Final

from frames import TEXT, frame
from ground import BINDINGS, EXAMPLE, Binding, Ground
from improto.messages import (
    Conversations,
    Error,
    Invitation,
    Invite,
    Join,
    ListConversations,
    Message,
    OnlineUsers,
    Register,
    SendMessage,
)
from improto_conformance.servers.party import Party
from improto_conformance.transcripts.transcript import Event

__all__ = ["FAULTS", "Fault", "page"]

Scenario = Callable[[Ground], None]
_LONG: Final = "x" * 8000


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault."""

    name: str
    promise: str
    run: Scenario
    """What is done, as its docstring says, and what is expected."""
    options: dict[str, Any]
    """How to serve, as `served` takes it."""
    said: str
    """A pattern of what the server writes to its standard error."""
    where: Callable[[Binding], bool]
    networked: bool
    """Whether a network is needed."""

    @property
    def done(self) -> str:
        """What is done."""
        return (self.run.__doc__ or "").strip()

    @property
    def bindings(self) -> list[Binding]:
        """Those that it is tried on."""
        plain = not self.networked and not self.said and self.options.keys() <= {"bounds"}
        tried = (*BINDINGS, EXAMPLE) if plain else BINDINGS
        return [binding for binding in tried if self.where(binding)]


FAULTS: Final[list[Fault]] = []


def fault(
    name: str,
    promise: str,
    *,
    said: str = "",
    where: Callable[[Binding], bool] = lambda binding: True,
    networked: bool = False,
    **options: Any,
) -> Callable[[Scenario], Scenario]:
    """Add a scenario to the table."""

    def add(run: Scenario) -> Scenario:
        FAULTS.append(Fault(name, promise, run, options, said, where, networked))
        return run

    return add


def texts(ground: Ground, label: str) -> list[str]:
    """Give the texts that a party has received, in order."""
    return [item.text for item in ground.stage.transcript.heard(label) if isinstance(item, Message)]


def codes(ground: Ground, label: str) -> list[str]:
    """Give the codes of the ERRORs that a party has received."""
    items = [entry.item for entry in ground.stage.transcript.of(label) if entry.event is Event.RECEIVED]
    return [str(item.code) for item in items if isinstance(item, Error)]


def hear(party: Party, text: str) -> None:
    """Receive up to a certain text."""
    party.wait(lambda message: isinstance(message, Message) and message.text == text, text[:20])


def heard_last(party: Party, text: str) -> bool:
    """Receive up to a certain text, or to the server's last word, after which the party closes."""
    found = party.wait(
        lambda message: isinstance(message, Error) or (isinstance(message, Message) and message.text == text),
        f"{text[:20]} or an ERROR",
    )
    if isinstance(found, Error):
        party.close()
    return isinstance(found, Error)


# -- connections that break ---------------------------------------------------------------------------------------


@fault(
    "reset in mid-message",
    "The whole message has its effect, and the half one has none.  The user is offline at once, and the name is free.",
)
def reset(ground: Ground) -> None:
    """A member sends one and a half messages, and then its connection is reset."""
    (ann, bo), (_, cable) = ground.talk("ann", "bo")
    ann.wait_to_see("bo", "here")
    id = ground.stage.transcript.conversation
    bo.send(SendMessage(id, "whole"))
    hear(ann, "whole")
    cable.left = 40
    bo.send(SendMessage(id, _LONG))
    bo.reset()
    ann.wait_to_see("bo", None)
    ann.barrier()
    assert texts(ground, "ann") == ["whole"]
    ground.enter("bo")


@fault(
    "half-close",
    "Everything that came before the end is handled, and all replies arrive before the server closes.",
    where=lambda binding: binding.frames or not binding.secure,
)
def half_close(ground: Ground) -> None:
    """A client asks for 2 MB of lists, ends its stream (on WebSocket with a close frame), and only then begins to read."""
    (ann, bo), _ = ground.talk("ann", "bo")
    ann.send(*[Invite((bo.name,))] * 60)
    ann.barrier()
    before = len(ground.stage.transcript.lists("ann"))
    ann.send(*[ListConversations()] * 500)
    ann.half_close()
    ann.read_to_end()
    assert len(ground.stage.transcript.lists("ann")) - before == 500


@fault(
    "half-open peer",
    "The member is taken offline when it has taken nothing for the write time-out, here 0.5 s.  Others are served.",
    bounds={"write": 0.5, "flush": 0.1, "events": 1 << 30},
)
def half_open(ground: Ground) -> None:
    """A member vanishes silently: it takes nothing of what it is sent, and nobody closes its connection."""
    (ann, _), _ = ground.talk("ann", "bo")
    id = ground.stage.transcript.conversation
    for number in range(1000):
        ann.send(SendMessage(id, f"{number} {_LONG}"))
        hear(ann, f"{number} {_LONG}")
        if number > 300 and "bo" not in ann.roster:
            break
    ann.wait_to_see("bo", None)


@fault(
    "reader that stalls",
    "When more events wait for it than the bound allows, its connection is closed with `slow-consumer`.  It gets what "
    "came before in order, and the memory is free again.  Meanwhile the others get everything.",
    bounds={"flush": 0.1},
)
def stall(ground: Ground) -> None:
    """A member stops reading while 2 MB of messages and more are sent to it."""
    parties, _ = ground.talk("ann", "bo", "slow")
    ann, bo, slow = parties
    id = ground.stage.transcript.conversation
    sent: list[str] = []
    while len(sent) < 250 or "slow" in ann.roster:
        sent.append(f"{len(sent)} {_LONG}")
        ann.send(SendMessage(id, sent[-1]))
        hear(ann, sent[-1])
        hear(bo, sent[-1])
        assert len(sent) < 2500
    assert texts(ground, "ann") == texts(ground, "bo") == sent
    ground.until(lambda held: held.peers == 2 and held.queued == 0)
    slow.read_to_end()
    heard = texts(ground, "slow")
    assert heard == sent[: len(heard)]


# -- many connections -----------------------------------------------------------------------------------------------


@fault(
    "many readers that stall",
    "Together they never have more waiting than the bound, here 1 MB: the connections with the most waiting are closed.",
    bounds={"flush": 0.1, "events": 1 << 30, "all_queues": 1_000_000},
)
def many_stall(ground: Ground) -> None:
    """Four of five members stop reading, and the fifth goes on sending until two of them are closed."""
    (ann, *_), _ = ground.talk("ann", *(f"slow{number}" for number in range(4)))
    id = ground.stage.transcript.conversation
    for number in range(2500):
        ann.send(SendMessage(id, f"{number} {_LONG}"))
        hear(ann, f"{number} {_LONG}")
        if number % 20 == 0:
            assert ground.held().queued < 1_000_000 + len(_LONG)
        if len(ann.roster) <= 3:
            break
    assert len(ann.roster) <= 3


@fault(
    "accept flood",
    "The server holds at most twice as many connections as are allowed, including those that it has yet to tell why it "
    "refuses them.  The others are served, and there is room again when the flood is over.",
    connections=20,
    per_address=20,
    bounds={"linger": 5.0},
)
def flood(ground: Ground) -> None:
    """300 clients connect where 20 are allowed, and send nothing."""
    ann, _ = ground.enter("ann")
    flooding = [ground.plain() for _ in range(300)]
    # The system hands connections over in order, so the last one is closed when all have been looked at.
    assert flooding[-1].recv(1) == b""
    ann.barrier()
    assert ground.held().descriptors <= ground.idle.descriptors + 40 + 1
    for each in flooding:
        each.close()
    ground.until(lambda held: held.peers == 1)


@fault("2,000 cycles", "Nothing is leaked: no file descriptor, task, thread or connection.")
def cycles(ground: Ground) -> None:
    """Clients connect and close 2,000 times: silent or registered, in an orderly way, by a reset, or within a message."""
    for number, kind in enumerate(islice(cycle(["silent", "silent", "close", "reset", "half"]), 2000)):
        if kind == "silent":
            ground.plain().close()
            continue
        party, cable = ground.connect(f"u{number}")
        if kind == "half":
            cable.left = 20
        party.send(Register(party.name, ""))
        if kind != "half":
            party.wait_for(OnlineUsers)
        if kind == "reset":
            party.reset()
        else:
            party.close()


@fault(
    "slow sender",
    "A client that has not registered in time, here 0.5 s, is told so, and its connection is closed.  Others are served.",
    bounds={"register": 0.5},
)
def slowloris(ground: Ground) -> None:
    """A client sends its REGISTER byte by byte, and never sends the last byte."""
    ann, _ = ground.enter("ann")
    slow, cable = ground.connect("slow")
    cable.left = 0
    slow.send(Register("slow", "x" * 200))
    cable.left = None
    for at in range(len(cable.lost) - 1):
        cable.send(cable.lost[at : at + 1])
        ann.barrier()
    slow.read_to_end()
    assert codes(ground, "slow") == ["timeout"]


@fault(
    "out of descriptors",
    "The server says so once.  It serves those who are connected, waits without using the processor, and accepts again "
    "when there is room.",
    said=r"[^\n]*no more connections can be accepted \(Too many open files\)[^\n]*\n",
    spare=5,
)
def exhausted(ground: Ground) -> None:
    """More clients connect than the server may have file descriptors for, and disconnect again."""
    ann, _ = ground.enter("ann")
    many = [ground.plain() for _ in range(30)]
    for _ in range(100):
        ann.barrier()
    late = ground.plain()
    late.settimeout(1.0)
    before = cpu(ground)
    with suppress(TimeoutError):
        late.recv(1)
    assert cpu(ground) - before < 0.1
    ann.barrier()
    for each in [*many, late]:
        each.close()
    ground.enter("bo")[0].barrier()


@fault(
    "a lower limit of descriptors",
    "The server says so once, serves those that are there, and accepts again when it may have more.",
    said=r"[^\n]*no more connections can be accepted[^\n]*\n",
)
def lowered(ground: Ground) -> None:
    """The system lets the server have one descriptor, which has many, while somebody connects."""
    ann, _ = ground.enter("ann")
    _, most = resource.prlimit(ground.process.pid, resource.RLIMIT_NOFILE)
    allowed = resource.prlimit(ground.process.pid, resource.RLIMIT_NOFILE, (1, most))
    late = ground.plain()
    late.settimeout(0.5)
    with suppress(TimeoutError):
        late.recv(1)
    ann.barrier()
    resource.prlimit(ground.process.pid, resource.RLIMIT_NOFILE, allowed)
    late.close()
    ground.enter("bo")[0].barrier()


@fault(
    "a refused option",
    "That connection is closed at once, without a word on standard error; others are served.",
    # Trio tries to set one itself, and does not care.
    where=lambda binding: binding.scheme != "unix" and binding is not EXAMPLE,
)
def optionless(ground: Ground) -> None:
    """The system sets no options of a connection that was just accepted, as some do not whose client has gone."""
    ann, _ = ground.enter("ann")
    with ground.failing("setsockopt", "EINVAL"):
        assert ground.plain().recv(1) == b""
    ann.barrier()


def cpu(ground: Ground) -> float:
    """Give the processor time that the server has used, in seconds."""
    fields = Path(f"/proc/{ground.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# -- what lies under the messages ---------------------------------------------------------------------------------------


@fault(
    "garbage for TLS",
    "The connection is closed at once, and nothing is written to standard error.",
    where=lambda binding: binding.secure,
)
def garbage(ground: Ground) -> None:
    """Bytes arrive that are not TLS: an HTTP request, a message, or a record that ends in nonsense."""
    ann, _ = ground.enter("ann")
    hello = b"\x16\x03\x01\x00\x20\x01\x00\x00\x1c\x03\x03"
    for data in (b"GET / HTTP/1.1\r\n\r\n", b'{"type":"LIST_CONVERSATIONS"}\n', hello + 40 * b"\xff"):
        plain = ground.plain()
        plain.sendall(data)
        with suppress(ConnectionResetError):
            while plain.recv(1000):
                pass  # an alert of TLS
    ann.barrier()


@fault(
    "TLS that is never begun",
    "The connection is closed when the time to register, here 0.5 s, is over.  Until then, as many connections may wait as "
    "may be served.",
    where=lambda binding: binding.secure,
    bounds={"register": 0.5},
)
def silent_handshake(ground: Ground) -> None:
    """One client connects and sends nothing; another one sends half of its first TLS message."""
    ann, _ = ground.enter("ann")
    silent, half = ground.plain(), ground.plain()
    half.sendall(b"\x16\x03\x01\x02\x00\x01\x00")
    assert silent.recv(1) == b""
    assert half.recv(1) == b""
    ann.barrier()


@fault(
    "frames out of order",
    "The connection is closed with code 1002, after the replies to what came before.  Whatever follows has no effect.",
    where=lambda binding: binding.frames,
)
def frames(ground: Ground) -> None:
    """A frame continues a message that has not begun; another frame begins a message within a message; a ping comes in parts."""
    ann, _ = ground.enter("ann")
    never = frame(TEXT, b'{"type":"STATUS","status":"never"}')
    for number, wrong in enumerate(
        (frame(0, b"}"), frame(TEXT, b"{", final=False) + frame(TEXT, b"{}"), frame(9, b"", final=False))
    ):
        label = f"bo{number}"
        bo, cable = ground.enter(label)
        bo.send(ListConversations())
        cable.send(wrong + never)
        bo.read_to_end()
        assert len(ground.stage.transcript.lists(label)) == 1
        ann.wait_to_see(label, None)
    assert all("never" not in roster.users.values() for roster in ground.stage.transcript.rosters("ann"))


# -- processes that end ----------------------------------------------------------------------------------------------


@fault(
    "kill -9 of a client",
    "The messages that it had sent completely reach the others in order, and nothing else does.  Its user is offline at once.",
)
def killed(ground: Ground) -> None:
    """A member sends all the time, and its process is killed."""
    (ann, bo), _ = ground.talk("ann", "bo")
    ann.wait_to_see("bo", "here")
    id = ground.stage.transcript.conversation

    def load() -> None:
        for number in range(1_000_000):
            bo.send(SendMessage(id, f"{number} {_LONG}"))
            hear(bo, f"{number} {_LONG}")

    process = multiprocessing.get_context("fork").Process(target=load)
    process.start()
    hear(ann, f"100 {_LONG}")
    bo.close()  # here; the other process has it still
    process.kill()
    ann.wait_to_see("bo", None)
    ann.barrier()
    process.join()
    heard = texts(ground, "ann")
    assert heard == [f"{number} {_LONG}" for number in range(len(heard))]
    ground.enter("bo")


@fault(
    "SIGTERM under load",
    "If a sender has got its own message back, the message reaches all receivers that go on reading, in one order, "
    "before the server's last message.  The exit code is 0.",
    # A member that a busy machine holds back is no slow consumer here.
    bounds={"linger": 60.0, "flush": 60.0, "events": 2**30, "all_queues": 2**30},
)
def terminated(ground: Ground) -> None:
    """The server is told to end, while eight members send all the time."""
    labels = [f"user{number}" for number in range(8)]
    parties, _ = ground.talk(*labels)
    id = ground.stage.transcript.conversation
    first = Lock()

    def load(party: Party) -> None:
        sent: list[str] = []
        for number in range(1_000_000):
            burst = [f"{party.label} {number} {each} {_LONG[:4000]}" for each in range(5)]
            party.send(*(SendMessage(id, text) for text in burst))
            if sent and heard_last(party, sent[-1]):  # what was sent after that is on its way
                return
            sent = burst
            if number == 20 and first.acquire(blocking=False):
                ground.process.terminate()

    with ThreadPoolExecutor(len(parties)) as threads:
        list(threads.map(load, parties))
    heard = {label: texts(ground, label) for label in labels}
    longest = max(heard.values(), key=len)
    for label in labels:
        assert heard[label] == longest[: len(heard[label])]
        own = [text for text in longest if text.startswith(f"{label} ")]
        returned = [text for text in heard[label] if text.startswith(f"{label} ")]
        assert own[: len(returned)] == returned
        assert codes(ground, label) == ["shutting-down"]
    for sender in labels:
        for text in (text for text in heard[sender] if text.startswith(f"{sender} ")):
            assert all(text in heard[label] for label in labels)
    assert ground.process.wait(20) == 0


# -- networks -----------------------------------------------------------------------------------------------------------


def hosts(binding: Binding) -> bool:
    """Tell whether a binding can serve other hosts."""
    return binding.scheme != "unix"


@fault(
    "packet loss",
    "All messages arrive nevertheless, in one order.",
    where=hosts,
    networked=True,
)
def loss(ground: Ground) -> None:
    """Three members send more than the network can carry, and it loses packets in both directions."""
    labels = ["ann", "bo", "cy"]
    parties, _ = ground.talk(*labels)
    id = ground.stage.transcript.conversation
    ground.network.lose()
    sent = {party.label: [f"{party.label} {each} {_LONG[:2000]}" for each in range(50)] for party in parties}

    def talk(party: Party) -> None:
        party.send(*(SendMessage(id, text) for text in sent[party.label]))
        while len(texts(ground, party.label)) < 150:
            party.wait_for(Message)

    with ThreadPoolExecutor(len(parties)) as threads:
        list(threads.map(talk, parties))
    assert ground.network.lost() > 0
    heard = texts(ground, "ann")
    assert texts(ground, "bo") == texts(ground, "cy") == heard
    for label in labels:
        assert [text for text in heard if text.startswith(label)] == sent[label]


@fault(
    "cut cable",
    "Both are taken offline when the write time-out, here 1 s, is over, since their systems acknowledge nothing and answer "
    "nothing.",
    where=hosts,
    networked=True,
    bounds={"write": 1.0, "flush": 1.0},
)
def cut(ground: Ground) -> None:
    """The cable to two clients is cut; one of them is silent, and messages are being sent to the other."""
    ann, _ = ground.enter("ann")
    bo, _ = ground.enter("bo")
    ann.send(Invite((bo.name,)))
    id = ann.wait_for(Invitation).conversation
    ann.send(Join(id), ListConversations())
    ann.wait_for(Conversations)
    ann.send(*(SendMessage(id, _LONG) for _ in range(100)))
    ground.network.cut()
    ground.until(lambda held: held.peers == 0)
    ground.network.mend()


# -- the page --------------------------------------------------------------------------------------------------------


_HEAD: Final = """\
# How the server withstands faults

Made by `python tests/faults.py docs/faults.md` from the scenarios that `tests/test_faults.py` runs.

Each scenario is tried on each binding that is named, with a real server in a process of its own; `trio` is the example
`examples/trio_server.py`.  After each scenario the server works as before.  It has written no more to standard error than
is said here.  It holds as many descriptors, tasks, threads and connections as at the beginning, and its queues are empty.

| fault | what is done | what the server promises | tried on |
|---|---|---|---|"""


def page() -> str:
    """Give the page about the faults."""
    rows = [
        f"| {fault.name} | {fault.done} | {fault.promise} | {'; '.join(map(str, fault.bindings))} |"
        for fault in FAULTS
    ]
    return "\n".join([_HEAD, *rows, ""])


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page())
