"""`states.mmd` and `states.svg`: the states of a connection and what may be sent in each, drawn from the table.

Both are of the same arrows: all commands that lead from one state to another share one, and each command is marked
with who sends it.  The Mermaid text leaves the layout to whoever shows it; the picture needs nothing to be shown, and
has a fixed place for each state: a state that is new to the table must be given one.
"""

from collections.abc import Mapping
from html import escape
from math import hypot
from operator import attrgetter
from typing import Final, NamedTuple

from improto.messages import AnyMessage, Role
from improto.states import TRANSITIONS, State

__all__ = ["PLACES", "Place", "mermaid", "svg"]


class Place(NamedTuple):
    """Where a state's box has its centre, and to which side of it a loop goes: -1 is up, 1 is down."""

    x: int
    y: int
    loop: int


PLACES: Final[Mapping[State, Place]] = {
    State.OPEN: Place(150, 330, -1),
    State.REGISTERING: Place(450, 330, -1),
    State.REGISTERED: Place(770, 330, -1),
    State.CLOSED: Place(450, 520, 1),
}
"""The layout of the picture."""

_WIDTH, _HEIGHT = 920, 640
_HALF_WIDTH, _HALF_HEIGHT = 75, 24  # of a state's box
_LINE = 19  # from one line of text to the next
_LETTER = 8.5  # a little more than a letter's width in the labels
_LOOP = 46  # how far a loop goes from its box
_APART = 11  # how far each of two opposite arrows keeps from the middle

_STYLE: Final = """\
  <style>
    text { font: 14px monospace; text-anchor: middle; fill: #222 }
    .state { font: bold 16px sans-serif }
    .client { fill: #0b4f9e }
    .server { fill: #9a3412 }
    .note { font: 14px sans-serif }
    .box { fill: #eef3fa; stroke: #334; stroke-width: 1.5 }
    .arrow { fill: none; stroke: #556; stroke-width: 1.5; marker-end: url(#head) }
  </style>
  <defs>
    <marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" orient="auto">
      <path d="M0 0 L10 5 L0 10 Z" fill="#556"/>
    </marker>
  </defs>"""


def mermaid() -> str:
    """Give the text of `states.mmd`; a label has a line for each command."""
    lines = ["stateDiagram-v2", f"    [*] --> {next(iter(TRANSITIONS))}"]
    for (source, target), messages in _arrows().items():
        label = "<br/>".join(f"{message.FROM} {message.COMMAND}" for message in messages)
        lines.append(f"    {source} --> {target} : {label}")
    return "\n".join(lines) + "\n"


def svg(places: Mapping[State, Place] = PLACES) -> str:
    """Give the text of `states.svg`; LookupError if a state has no place."""
    homeless = [state for state in TRANSITIONS if state not in places]
    if homeless:
        raise LookupError(f"no place in the picture for: {', '.join(homeless)}")
    arrows = _arrows()
    start = places[next(iter(TRANSITIONS))]
    size = f'width="{_WIDTH}" height="{_HEIGHT}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">',
        "  <title>The states of a connection</title>",
        _STYLE,
        f'  <rect {size} fill="#fff"/>',
        f'  <circle cx="{start.x - _HALF_WIDTH - 40}" cy="{start.y}" r="7" fill="#334"/>',
        _path(f"M{start.x - _HALF_WIDTH - 33} {start.y} H{start.x - _HALF_WIDTH}"),
    ]
    for (source, target), messages in arrows.items():
        if source is target:
            lines += _loop(places[source], messages)
        else:
            lines += _straight(places[source], places[target], messages, two=(target, source) in arrows)
    for state in TRANSITIONS:
        lines += _box(places[state], state)
    return "\n".join([*lines, *_legend(), "</svg>"]) + "\n"


def _arrows() -> dict[tuple[State, State], list[type[AnyMessage]]]:
    """Give for each pair of states what leads from the one to the other, what clients send first."""
    arrows: dict[tuple[State, State], list[type[AnyMessage]]] = {}
    for source, row in TRANSITIONS.items():
        for message, target in row.items():
            arrows.setdefault((source, target), []).append(message)
    return {ends: sorted(messages, key=attrgetter("FROM")) for ends, messages in arrows.items()}


def _box(place: Place, state: State) -> list[str]:
    corner = f'x="{place.x - _HALF_WIDTH}" y="{place.y - _HALF_HEIGHT}"'
    size = f'width="{2 * _HALF_WIDTH}" height="{2 * _HALF_HEIGHT}"'
    return [
        f'  <rect class="box" {corner} {size} rx="12"/>',
        _text(place.x, place.y + 6, state, "state"),
    ]


def _loop(place: Place, messages: list[type[AnyMessage]]) -> list[str]:
    edge = place.y + place.loop * _HALF_HEIGHT
    turn = edge + place.loop * _LOOP * 4 / 3  # a curve goes three quarters of the way to where it is drawn
    far = edge + place.loop * (_LOOP + 8)
    middle = far + place.loop * len(messages) * _LINE / 2
    return [
        _path(
            f"M{place.x - 24} {edge} C{place.x - 44} {turn:.0f} {place.x + 44} {turn:.0f} {place.x + 24} {edge}"
        ),
        *_label(place.x, middle, messages),
    ]


def _straight(source: Place, target: Place, messages: list[type[AnyMessage]], *, two: bool) -> list[str]:
    """Draw an arrow from edge to edge; of `two` opposite ones, each keeps to its right and its label outside."""
    dx, dy = target.x - source.x, target.y - source.y
    # From centre to centre it would be hidden by the boxes at both ends, by so much of its length:
    hidden = min(_HALF_WIDTH / abs(dx) if dx else 1, _HALF_HEIGHT / abs(dy) if dy else 1)
    right_x, right_y = -dy / hypot(dx, dy), dx / hypot(dx, dy)
    aside = _APART if two else 0
    x1, y1 = source.x + dx * hidden + right_x * aside, source.y + dy * hidden + right_y * aside
    x2, y2 = target.x - dx * hidden + right_x * aside, target.y - dy * hidden + right_y * aside
    away = aside + _LINE * len(messages) / 2 + 4 if two else 0
    return [
        _path(f"M{x1:.0f} {y1:.0f} L{x2:.0f} {y2:.0f}"),
        *_label(
            (source.x + target.x) / 2 + right_x * away, (source.y + target.y) / 2 + right_y * away, messages
        ),
    ]


def _label(x: float, y: float, messages: list[type[AnyMessage]]) -> list[str]:
    """Write one command per line around the centre given, on white, so that an arrow may pass behind it."""
    lines = [f"{message.FROM[0].upper()} {message.COMMAND}" for message in messages]
    width, height = max(map(len, lines)) * _LETTER + 6, len(lines) * _LINE
    top = y - height / 2
    return [
        f'  <rect x="{x - width / 2:.0f}" y="{top:.0f}" width="{width:.0f}" height="{height:.0f}" fill="#fff"/>',
        *(
            _text(x, top + _LINE * number - 5, line, message.FROM)
            for number, (line, message) in enumerate(zip(lines, messages, strict=True), 1)
        ),
    ]


def _legend() -> list[str]:
    """Write what the letters mean into the empty corner."""
    lines = [
        *((f"{role[0].upper()}: sent by the {role}", role.value) for role in Role),
        ("What has no arrow may not be sent.", "note"),
        (f"The end of a stream leads to {State.CLOSED} from anywhere.", "note"),
    ]
    return [_text(300, 60 + 24 * number, text, style) for number, (text, style) in enumerate(lines)]


def _path(path: str) -> str:
    return f'  <path class="arrow" d="{path}"/>'


def _text(x: float, y: float, text: str, style: str) -> str:
    return f'  <text class="{style}" x="{x:.0f}" y="{y:.0f}">{escape(text)}</text>'
