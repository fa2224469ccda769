"""Write what was measured as a Markdown page and as a plot."""

import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

__all__ = ["Delivery", "Held", "Latency", "LogIns", "Memory", "Results", "plot", "table"]


class Delivery(NamedTuple):
    """Seconds of a server for one message to one member."""

    members: int
    in_flight: int
    name: str
    time: float


class LogIns(NamedTuple):
    """Log-ins in a second, and in a second of the server's processor."""

    name: str
    rate: float
    by_cpu: float


class Memory(NamedTuple):
    """Bytes of a registered connection that is idle."""

    name: str
    size: float


class Held(NamedTuple):
    """Connections at once: seconds until all were there, and until all had an answer; bytes of the server."""

    name: str
    connections: int
    came: float
    answered: float
    memory: int


class Latency(NamedTuple):
    """Seconds from one member to another: the median, and what 1 in 100 exceeds."""

    name: str
    median: float
    p99: float


@dataclass(frozen=True)
class Results:
    """All that was measured."""

    cores: Mapping[str, float]
    """Seconds of one message without a transport."""
    deliveries: Sequence[Delivery]
    log_ins: Sequence[LogIns]
    memory: Sequence[Memory]
    held: Sequence[Held]
    latency: Sequence[Latency]
    skipped: Mapping[str, str]

    def times(self) -> dict[str, dict[tuple[int, int], float]]:
        """Give the time of a delivery by server, and by members and messages in flight."""
        found: dict[str, dict[tuple[int, int], float]] = {}
        for row in self.deliveries:
            found.setdefault(row.name, {})[row.members, row.in_flight] = row.time
        return found


HEAD = """# Servers beside others

Made by `python benchmarks/servers/run.py`, whose text explains how it measures.  Python {python}{packages}.
The servers and the programs that drive them run on one machine and use the loopback interface.

## One conversation

The table shows microseconds of the server's processor time for one message to one member.  A text has 20 characters, and every
member gets every message.  With one message in flight, the next message is sent when all members have the last one; with 32
in flight, 32 messages are sent together.  The number in brackets is the time divided by that of a hand-written minimal server
on the same event loop ([`floor.py`](../benchmarks/servers/floor.py), which checks nothing).

![Microseconds for one message to one member](servers.svg)
"""


CORES = """## The core alone

Sans-IO cores, without a transport.  Improto's and the hand-written one take the bytes of one SEND_MESSAGE and give the bytes for
each of ten members; the hand-written one checks nothing.  The cores of other protocols answer the one who has sent something.  The
number in brackets is the time divided by that of the hand-written core.
"""


def table(results: Results) -> str:
    """Write the page."""
    lines = [HEAD.format(python=platform.python_version(), packages=packages())]
    times = results.times()
    columns = list(dict.fromkeys((row.members, row.in_flight) for row in results.deliveries))
    lines += [
        f"| | {' | '.join(f'{members:,} members, {window} in flight' for members, window in columns)} |",
        f"|---|{'---|' * len(columns)}",
    ]
    for name, of in times.items():
        floor = times[floor_of(name)]
        cells = [
            f"{of[column] * 1e6:.2f} ({of[column] / floor[column]:.2f})" if column in of else ""
            for column in columns
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", *[f"Skipped: {name}, since {reason}." for name, reason in results.skipped.items()]]
    lines += ["", CORES, "| | µs |", "|---|---|"]
    least = results.cores["hand-written, Python"]
    lines += [f"| {name} | {time * 1e6:.1f} ({time / least:.1f}) |" for name, time in results.cores.items()]
    lines += [
        "",
        "## Log-ins",
        "",
        "| | each second | each second of the server's processor |",
        "|---|---|---|",
    ]
    lines += [f"| {row.name} | {row.rate:,.0f} | {row.by_cpu:,.0f} |" for row in results.log_ins]
    lines += [
        "",
        "Users connect, register and get the roster of all users who are online.  The program that drives them takes most of the time.",
    ]
    lines += ["", "## Memory of an idle connection", "", "| | KiB |", "|---|---|"]
    lines += [f"| {row.name} | {row.size / 1024:.1f} |" for row in results.memory]
    lines += ["", "## Many connections", ""]
    for row in results.held:
        lines.append(
            f"{row.name}: {row.connections:,} users registered in {row.came:.1f} s, while rosters were sent; then each of them had a reply to "
            f"LIST_CONVERSATIONS within {row.answered:.1f} s.  The server held {row.memory / 2**20:.0f} MiB."
        )
    lines += ["", "## Latency", ""]
    lines += [
        "The time from one member to another, at 500 messages a second; the numbers are the medians of several rounds.  On a machine with",
        "more than one processor, the program that drives the server has a processor of its own.",
        "",
    ]
    lines += ["| | median, µs | 99 of 100 messages within, µs |", "|---|---|---|"]
    lines += [f"| {row.name} | {row.median * 1e6:.0f} | {row.p99 * 1e6:.0f} |" for row in results.latency]
    return "\n".join(lines) + "\n"


def floor_of(name: str) -> str:
    """Name the floor on the same loop."""
    return "hand-written, Python, uvloop" if name.endswith("uvloop") else "hand-written, Python"


def packages() -> str:
    """Give the versions of the packages that are measured."""
    found: list[str] = []
    for name in ("uvloop", "websockets", "wsproto", "h11", "miniircd", "msgspec"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return "".join(f", {each}" for each in found)


def plot(results: Results) -> str:
    """Draw the time of a delivery in the conversation of a hundred as bars, on a logarithmic scale."""
    size = sorted({row.members for row in results.deliveries})[-2:][0]
    parts, y = (
        [
            f'<text x="10" y="14">Microseconds for one message to one of {size} members (less is better)</text>'
        ],
        44,
    )
    for window in (1, 32):
        parts.append(f'<text x="10" y="{y}" font-weight="bold">{window} in flight, logarithmic scale</text>')
        for name, of in results.times().items():
            if (size, window) not in of:
                continue
            y += 18
            time = of[size, window] * 1e6
            width = max(2.0, 150 * math.log10(time / 0.05))
            colour = {"improto": "#2a6f97", "hand-written": "#6c757d"}.get(
                name.split()[0].strip(","), "#adb5bd"
            )
            parts.append(f'<text x="10" y="{y}">{escape(name)}</text>')
            parts.append(f'<rect x="220" y="{y - 11}" width="{width:.0f}" height="13" fill="{colour}"/>')
            parts.append(f'<text x="{225 + width:.0f}" y="{y}">{time:.2f}</text>')
        y += 34
    style = 'font-family="sans-serif" font-size="12"'
    body = "\n".join(parts)
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="700" height="{y - 20}" {style}>\n{body}\n</svg>\n'
