"""Write what was measured as a Markdown page and as a plot."""

import platform
from html import escape
from importlib.metadata import version
from itertools import groupby
from typing import NamedTuple

__all__ = ["Row", "StreamRow", "plot", "table"]

SHOWN = ("improto", "pydantic", "cattrs", "mashumaro", "adaptix")
"""What the names of ways in the plot begin with."""


class Row(NamedTuple):
    """One way for one value: nanoseconds, and how many times those of the baseline."""

    value: str
    name: str
    baseline: str
    encode: float
    decode: float
    encode_ratio: float
    decode_ratio: float


class StreamRow(NamedTuple):
    """One way for a stream in chunks of a size: nanoseconds for each message."""

    chunk: int
    name: str
    time: float


HEAD = """# Benchmarks

Made by `python benchmarks/run.py`, whose text explains how it measures.  Python {python};
{peers}.

Times are nanoseconds of processor time.  The number in brackets is the time divided by that of the line in bold above.
Decoding gives a typed and validated object, unless the name says *untyped*.  The statuses in rosters are words; in `ascii`, a
roster whose names or statuses need quotes takes longer to write.  Adaptix tries the classes of a union one after the other,
and MESSAGE is the first of them.

`improto json` works without the packages of `improto[fast]`; all other lines of improto use them.  Messages and bytes are the
same.  Improto always writes pickles in a form for old readers, whatever protocol it reads.  Protobuf is not measured, since it
needs a compiler of its own to define messages.

![Time compared with msgspec](benchmarks.svg)
"""


def table(rows: list[Row], streams: list[StreamRow]) -> str:
    """Write the page."""
    packages = ["msgspec", "orjson", "pydantic", "cattrs", "mashumaro", "adaptix", "msgpack"]
    peers = ", ".join(f"{name} {version(name)}" for name in packages)
    lines = [HEAD.format(python=platform.python_version(), peers=peers)]
    for value, of in groupby(rows, lambda row: row.value):
        lines += [f"## {value}", "", "| | encode | decode |", "|---|---|---|"]
        for row in of:
            name = f"**{row.name}**" if row.name == row.baseline else row.name
            lines.append(
                f"| {name} | {row.encode:,.0f} ({row.encode_ratio:.1f}) | {row.decode:,.0f} ({row.decode_ratio:.1f}) |"
            )
        lines.append("")
    lines += [
        "## Streams of 10,000 MESSAGEs of 20 characters",
        "",
        "Time for each message that is read from the stream, in nanoseconds.",
        "",
    ]
    lines += ["| | chunks of 64 KiB | chunks of 16 bytes |", "|---|---|---|"]
    for name in dict.fromkeys(row.name for row in streams):
        times = [f"{row.time:,.0f}" for row in streams if row.name == name]
        lines.append(f"| {name} | {' | '.join(times)} |")
    return "\n".join(lines) + "\n"


def plot(rows: list[Row]) -> str:
    """Draw the ratios of decoding as bars, one group for each value."""
    shown = [row for row in rows if row.name.startswith(SHOWN) and "pickle" not in row.name]
    scale = 600 / max(row.decode_ratio for row in shown)
    parts, y = [], 30
    for value, of in groupby(shown, lambda row: row.value):
        parts.append(f'<text x="10" y="{y}" font-weight="bold">{escape(value)}</text>')
        for row in of:
            y += 18
            width = row.decode_ratio * scale
            colour = "#2a6f97" if row.name.startswith("improto") else "#adb5bd"
            parts.append(f'<text x="10" y="{y}">{escape(row.name)}</text>')
            parts.append(f'<rect x="170" y="{y - 11}" width="{width:.0f}" height="13" fill="{colour}"/>')
            parts.append(f'<text x="{175 + width:.0f}" y="{y}">{row.decode_ratio:.1f}</text>')
        y += 30
    title = '<text x="10" y="14">Decoding: how many times as long as msgspec (less is better)</text>'
    style = 'font-family="sans-serif" font-size="12"'
    body = "\n".join([title, *parts])
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="830" height="{y}" {style}>\n{body}\n</svg>\n'
