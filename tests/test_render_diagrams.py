"""Tests of the diagrams: they show the transition table, all of it and nothing else, and can be read."""

import re
from itertools import combinations
from xml.etree import ElementTree

import pytest

from improto.messages import COMMANDS
from improto.states import TRANSITIONS, State
from improto_spec.render.diagrams import PLACES, Place, mermaid, svg

EDGES = {
    (source, message.FROM.value, message.COMMAND, target)
    for source, row in TRANSITIONS.items()
    for message, target in row.items()
}
TEXT = "{http://www.w3.org/2000/svg}text"


def texts() -> list[ElementTree.Element]:
    """Give all pieces of text of the picture."""
    return list(ElementTree.fromstring(svg()).iter(TEXT))


def test_end_in_one_newline() -> None:
    """Both files end in one newline, and are the same each time."""
    for draw in (mermaid, svg):
        assert draw().endswith("\n")
        assert not draw().endswith("\n\n")
        assert draw() == draw()


def test_mermaid_shows_the_table() -> None:
    """Each transition is an edge whose label says who sends what, and there is no other edge."""
    first, start, *lines = mermaid().splitlines()
    assert first == "stateDiagram-v2"
    assert start.split() == ["[*]", "-->", State.OPEN]
    edges: list[tuple[str, str, str, str]] = []
    for line in lines:
        edge = re.fullmatch(r" {4}(\w+) --> (\w+) : ([^:;]+)", line)
        assert edge
        for sent in edge[3].split("<br/>"):
            sender, command = sent.split()
            edges.append((State(edge[1]), sender, command, State(edge[2])))
    assert len(edges) == len(EDGES)
    assert set(edges) == EDGES


def test_mermaid_has_one_edge_for_two_states() -> None:
    """What leads from one state to another shares one edge."""
    edges = re.findall(r"(\w+ --> \w+) :", mermaid())
    assert len(set(edges)) == len(edges)


def test_svg_names_states() -> None:
    """Each state has a box with its name."""
    assert [text.text for text in texts() if text.get("class") == "state"] == list(State)


def test_svg_shows_the_table() -> None:
    """Each transition is a line of text that says who sends what."""
    labels = sorted(str(text.text) for text in texts() if text.get("class") in ("client", "server"))
    legend = ["C: sent by the client", "S: sent by the server"]
    assert labels == sorted([f"{sender[0].upper()} {command}" for _, sender, command, _ in EDGES] + legend)
    assert {label.split()[1] for label in labels if ":" not in label} == set(COMMANDS)


def test_svg_has_an_arrow_for_two_states() -> None:
    """There is one arrow from each state to each that can follow, and one to where a connection begins."""
    arrows = [node for node in ElementTree.fromstring(svg()).iter() if node.get("class") == "arrow"]
    assert len(arrows) == 1 + len({(source, target) for source, _, _, target in EDGES})


def test_svg_has_no_texts_on_each_other() -> None:
    """No text overlaps another one or leaves the picture, in letters of 9 by 16."""
    picture = ElementTree.fromstring(svg())
    boxes: list[tuple[float, float, float, float]] = []
    for text in picture.iter(TEXT):
        x, y, half = float(text.get("x", "nan")), float(text.get("y", "nan")), 4.5 * len(str(text.text))
        boxes.append((x - half, y - 12, x + half, y + 4))
    _, _, width, height = map(float, picture.get("viewBox", "").split())
    assert all(left >= 0 and top >= 0 and right <= width and low <= height for left, top, right, low in boxes)
    for one, two in combinations(boxes, 2):
        assert one[2] <= two[0] or two[2] <= one[0] or one[3] <= two[1] or two[3] <= one[1]


@pytest.mark.parametrize("state", State)
def test_svg_needs_a_place_for_each_state(state: State) -> None:
    """A state that nobody gave a place is complained about by name, not left out."""
    places: dict[State, Place] = {each: place for each, place in PLACES.items() if each is not state}
    with pytest.raises(LookupError, match=f"for: {state}"):
        svg(places)


def test_svg_follows_the_places() -> None:
    """A box stands where its state's place is."""
    moved = {**PLACES, State.CLOSED: Place(333, 444, 1)}
    boxes = [node for node in ElementTree.fromstring(svg(moved)).iter() if node.get("class") == "box"]
    centres = [
        (
            float(box.get("x", 0)) + float(box.get("width", 0)) / 2,
            float(box.get("y", 0)) + float(box.get("height", 0)) / 2,
        )
        for box in boxes
    ]
    assert centres == [(moved[state].x, moved[state].y) for state in State]
