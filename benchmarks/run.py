"""Measure improto's codecs beside their peers, and write `docs/benchmarks.md` and `docs/benchmarks.svg`.

    pip install -e '.[msgpack,fast]' -r benchmarks/requirements.txt && python benchmarks/run.py

All ways take turns, round by round, so that whatever else the machine does befalls each of them alike; the median
of the rounds counts, and is given as a ratio to msgspec's tagged Structs, or for pickle to the unsafe recipe.
These are no tests: nothing fails here for being slow.
"""

import gc
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from time import process_time_ns

import page

import peers
from improto.codec import Reader, load
from improto.messages import AnyMessage, Message, OnlineUsers, Register

ROUNDS = 15
NANOSECONDS = 10_000_000
"""How long one way is measured in one round."""
STREAM = 10_000
"""Messages in a stream."""


def values() -> dict[str, AnyMessage]:
    """Give what is written and read.  Statuses are words."""

    def roster(size: int) -> OnlineUsers:
        return OnlineUsers({f"user{number}": ("here", "away")[number % 2] for number in range(size)})

    text = "hi there, how are u?"
    return {
        "MESSAGE, 20 characters": Message("7", "ann", text),
        "MESSAGE, 200 characters": Message("7", "ann", text * 10),
        "REGISTER": Register("ann", "here"),
        "ONLINE_USERS, 10 users": roster(10),
        "ONLINE_USERS, 1,000 users": roster(1000),
    }


def loops(work: Callable[[], object]) -> int:
    """Find how often to do it in one round, not counting what is made at the first time."""
    work()
    start = process_time_ns()
    count = 0
    while process_time_ns() - start < NANOSECONDS:
        work()
        count += 1
    return count


def interleaved(works: Sequence[Callable[[], object]], rounds: int = ROUNDS) -> list[float]:
    """Give the median time of each, in nanoseconds."""
    counts = [loops(work) for work in works]
    times: list[list[float]] = [[] for _ in works]
    for _ in range(rounds):
        for work, count, own in zip(works, counts, times, strict=True):
            turns = range(count)
            start = process_time_ns()
            for _ in turns:
                work()
            own.append((process_time_ns() - start) / count)
    return list(map(statistics.median, times))


def messages() -> list[page.Row]:
    """Measure message by message."""
    rows: list[page.Row] = []
    for value, message in values().items():
        ways = peers.ways(message)
        encoded = interleaved([way.encode for way in ways])
        decoded = interleaved([way.decode for way in ways])
        base = {way.name: times for way, *times in zip(ways, encoded, decoded, strict=True)}
        for way, *times in zip(ways, encoded, decoded, strict=True):
            encode, decode = (time / of for time, of in zip(times, base[way.baseline], strict=True))
            rows.append(page.Row(value, way.name, way.baseline, *times, encode, decode))
        print(f"{value}: measured", file=sys.stderr)
    return rows


def streams() -> list[page.StreamRow]:
    """Measure streams in chunks of two sizes: a reader takes all messages, as they come."""
    message = values()["MESSAGE, 20 characters"]
    rows: list[page.StreamRow] = []
    for size in 65536, 16:
        works: list[Callable[[], object]] = []
        names = [
            "msgspec json, lines split by hand",
            "improto ascii",
            "improto json, fast",
            "improto msgpack",
            "improto pickle",
        ]
        struct = peers.ways(message)[0]
        works.append(lambda data=(struct.payload + b"\n") * STREAM, size=size: read_lines(data, size))
        for name in names[1:]:
            codec = load(name.split()[1].rstrip(","))
            data = codec.frame(codec.encode(message)) * STREAM
            works.append(
                lambda codec=codec, data=data, size=size: read(codec.reader(message.FROM), data, size)
            )
        rows += [
            page.StreamRow(size, *row)
            for row in zip(names, [time / STREAM for time in interleaved(works, 5)], strict=True)
        ]
    return rows


def read(reader: Reader, data: bytes, size: int) -> None:
    """Read a whole stream."""
    count = 0
    for at in range(0, len(data), size):
        reader.feed(data[at : at + size])
        while reader.next(65536) is not None:
            count += 1
    assert count == STREAM


def read_lines(data: bytes, size: int) -> None:
    """Read a whole stream of lines with msgspec, in the shortest way that is linear."""
    decode = peers.msgspec.json.Decoder(peers.Structs).decode
    rest, count = bytearray(), 0
    for at in range(0, len(data), size):
        rest += data[at : at + size]
        if b"\n" in data[at : at + size]:
            *lines, last = rest.split(b"\n")
            for line in lines:
                decode(line)
                count += 1
            rest = last
    assert count == STREAM


def main() -> None:
    """Measure everything and write both files."""
    gc.disable()
    docs = Path(__file__).parents[1] / "docs"
    rows = messages()
    text = page.table(rows, streams())
    (docs / "benchmarks.md").write_text(text, encoding="utf-8")
    (docs / "benchmarks.svg").write_text(page.plot(rows), encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
