"""Tests of the page in a real browser: by keyboard and touch, for screen readers, in windows of all kinds."""

import re
from pathlib import Path
from typing import Any

import pytest

from browsing import Host, Page, Visit, accept, enter, expect, heard, invite, keep, say

pytest_plugins = ["browsing"]

AXE = Path(__file__).with_name("peers") / "node_modules/axe-core/axe.min.js"


def focused(page: Page) -> str:
    """Name what has the focus, which has to be seen."""
    seen: str = page.evaluate(
        """() => {
            const at = document.activeElement, style = getComputedStyle(at);
            const shown = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
            return `${at.tagName} ${at.id || at.labels?.[0]?.textContent || at.textContent}${shown ? "" : " unseen"}`.trim();
        }"""
    )
    return seen


def test_keyboard(host: Host, visit: Visit) -> None:
    """All can be done with the keyboard alone; the focus is always seen and goes where one goes on."""
    bo = host.come("bo")
    page = visit(host.url)
    press = page.keyboard.press
    assert focused(page) == "INPUT name"
    page.keyboard.type("ann")
    press("Tab")
    page.keyboard.type("typing")
    press("Enter")
    expect(page.get_by_role("heading", name="No conversation")).to_be_focused()
    expect(page.get_by_role("checkbox", name="bo")).to_be_visible()
    seen: list[str] = []
    while not seen or seen[-1] != "UL users":
        press("Shift+Tab")
        seen.append(focused(page))
    assert seen == ["BUTTON Change", "INPUT status", "BUTTON Start a conversation", "UL users"]
    press("ArrowDown")
    assert focused(page) == "INPUT bo"
    press("Space")
    press("Tab")
    press("Enter")
    expect(page.get_by_label("Message", exact=True)).to_be_focused()
    assert focused(page) == "TEXTAREA text"
    accept(bo, "hi")
    expect(page.get_by_role("log")).to_contain_text("hi")
    page.keyboard.type("one")
    press("Shift+Enter")
    page.keyboard.type("two")
    press("Enter")
    expect(page.get_by_role("log")).to_contain_text("two")
    assert heard(page) == ["hi", "one\ntwo"]
    assert page.get_by_label("Message", exact=True).input_value() == ""
    press("Shift+Tab")
    assert focused(page).startswith("DIV log")
    press("Shift+Tab")
    assert focused(page) == "BUTTON leave"
    press("Enter")
    expect(page.get_by_role("heading", name="No conversation")).to_be_focused()


def test_long_list(host: Host, visit: Visit) -> None:
    """Tab stops once at the list of people; arrow keys, Home, End and first letters lead through it."""
    page = visit(host.url)
    host.do(host.crowd(*(f"user {at:02}" for at in range(60))))
    host.come("a")
    enter(page, "ann")
    people = page.get_by_role("region", name="People online")
    expect(people.get_by_role("checkbox")).to_have_count(61)
    page.get_by_label("Your status").focus()
    for key, at in (
        ("Shift+Tab", "Start a conversation"),
        ("Shift+Tab", "users"),
        ("ArrowDown", "a"),
        ("ArrowUp", "a"),
        ("ArrowDown", "user 00"),
        ("ArrowDown", "user 01"),
        ("End", "user 59"),
        ("ArrowDown", "user 59"),
        ("ArrowUp", "user 58"),
        ("U", "user 59"),
        ("u", "user 00"),
        ("Home", "a"),
        ("Tab", "Start a conversation"),
        ("Shift+Tab", "users"),
        ("u", "user 00"),
    ):
        page.keyboard.press(key)
        assert focused(page).partition(" ")[2] == at
    page.keyboard.press("Space")
    expect(people.get_by_role("checkbox", name="user 00")).to_be_checked()
    keep(page, "long-list-light")


CONTRASTS = """() => {
    const light = (color) => {
        const [r, g, b] = color.match(/[\\d.]+/g).map(Number).map((v) => v / 255)
            .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = (element) => {
        const color = getComputedStyle(element).backgroundColor;
        return /, 0\\)$/.test(color) ? ground(element.parentElement) : color;
    };
    return [...document.body.querySelectorAll("*")]
        .filter((each) => each.checkVisibility() && !each.closest(".unseen, :disabled"))
        .filter((each) => [...each.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
        .map((each) => {
            const [a, b] = [light(getComputedStyle(each).color), light(ground(each))];
            return [each.textContent, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)];
        });
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_accessible(host: Host, visit: Visit, scheme: str) -> None:
    """Landmarks, headings and controls have names and roles, what changes is announced, and all text has contrast."""
    bo = host.come("bo")
    page = visit(host.url, color_scheme=scheme)
    for step in ("offline", "online"):
        if step == "online":
            enter(page, "ann", "here")
            invite(page, "bo")
            accept(bo, "hi")
            bo.invite("ann")
            expect(page.get_by_role("log")).to_contain_text("hi")
            expect(page.get_by_role("button", name="Join")).to_be_visible()
            page.get_by_role("button", name="Start a conversation").click()  # which alerts
        tree = page.locator("body").aria_snapshot()
        assert not re.search(
            r"- (button|textbox|checkbox|link|heading|region|img|navigation)( \[.*\])?:?$", tree, re.MULTILINE
        ), tree
        poor = {text: ratio for text, ratio in page.evaluate(CONTRASTS) if ratio < 4.5}
        assert poor == {}
    for role in ("banner", "main", "log", "alert"):
        expect(page.get_by_role(role)).to_have_count(1)
    expect(page.get_by_role("navigation", name="People and conversations")).to_be_visible()
    expect(page.get_by_role("button", name="Decline conversation 2")).to_be_visible()
    levels = [
        int(level) for level in re.findall(r"heading .*\[level=(\d)\]", page.locator("body").aria_snapshot())
    ]
    assert levels[0] == 1
    assert set(levels[1:]) == {2}
    assert page.locator("html").get_attribute("lang") == "en"


MEDIA: dict[str, dict[str, Any]] = {
    "light": {},
    "dark, without motion": {"color_scheme": "dark", "reduced_motion": "reduce"},
    "narrow": {"width": 320, "height": 640},
    "at 200 %": {"width": 550, "height": 360, "device_scale_factor": 2, "color_scheme": "dark"},
    "forced colours": {"forced_colors": "active", "color_scheme": "dark"},
}


@pytest.mark.parametrize("media", MEDIA)
def test_axe(host: Host, visit: Visit, media: str) -> None:
    """In each of its states, in each kind of window, axe finds nothing wrong with the page."""
    rules = {"color-contrast": {"enabled": media != "forced colours"}}  # of which it does not know
    page = visit(host.url, **MEDIA[media])
    page.evaluate(AXE.read_text())

    def examine(state: str) -> None:
        keep(page, f"axe-{media}-{state}")
        found = page.evaluate("(rules) => axe.run({ rules, resultTypes: ['violations'] })", rules)
        assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found["violations"]] == []

    examine("offline")
    host.halt()
    page.get_by_label("Name").fill("ann")
    page.get_by_role("button", name="Go online").click()
    expect(page.get_by_text("Connecting …")).to_be_visible()
    examine("connecting")
    host.go_on()
    expect(page.get_by_text("Online as ann")).to_be_visible()
    examine("alone")
    bo = host.come("bo")
    invite(page, "bo")
    say(page, "Where are you?")
    expect(page.get_by_role("log")).to_contain_text("Where are you?")  # so the page's user is a member
    accept(bo, "Good morning!")
    bo.invite("ann")
    expect(page.get_by_role("log")).to_contain_text("Good morning!")
    expect(page.get_by_role("button", name="Decline conversation 2")).to_be_visible()
    examine("conversation")
    page.get_by_role("button", name="Start a conversation").click()
    expect(page.get_by_role("alert")).to_contain_text("Choose people first.")
    examine("alert")
    host.do(host.stop())
    expect(page.get_by_text("You are not in it any more.")).to_be_visible()
    examine("lost")


LINES = """(element) => {
    const all = document.createRange();
    all.selectNodeContents(element);
    return all.getClientRects().length;
}"""


def test_switching(host: Host, visit: Visit) -> None:
    """What was said in a conversation is not read out again when one goes back there: that log is a new one."""
    host.come("bo")
    page = visit(host.url)
    enter(page, "ann")
    for text in ("in the first", "in the second"):
        invite(page, "bo")
        say(page, text)
        expect(page.get_by_role("log")).to_have_text(re.compile(f"^ann.*{text}$"))
    second = page.get_by_role("log").element_handle()
    page.get_by_role("button", name="Conversation 1").click()
    expect(page.get_by_role("log")).to_contain_text("in the first")
    assert not second.evaluate("log => log.isConnected")


def test_crowd(host: Host, visit: Visit) -> None:
    """Many people stand in alphabetical order, in a list that scrolls, so that all below it stays near."""
    page = visit(host.url, 360, 640)
    host.do(host.crowd(*(f"user {at:02}" for at in reversed(range(60)))))
    enter(page, "ann")
    boxes = page.get_by_role("region", name="People online").get_by_role("checkbox")
    expect(boxes).to_have_count(60)
    assert boxes.evaluate_all("boxes => boxes.map(box => box.value)") == [f"user {at:02}" for at in range(60)]
    assert page.evaluate("document.documentElement.scrollHeight") < 2 * 640
    keep(page, "crowd-360-light")


def test_touch(host: Host, visit: Visit) -> None:
    """On a phone, a conversation is shown as a whole, without the keyboard until one taps; its Enter begins a line."""
    host.come("bo")
    page = visit(host.url, 360, 640, has_touch=True, is_mobile=True)
    enter(page, "ann")
    page.get_by_role("checkbox", name="bo").tap()
    page.get_by_role("button", name="Start a conversation").tap()
    box, send = page.get_by_label("Message", exact=True), page.get_by_role("button", name="Send")
    expect(page.get_by_role("heading", name="Conversation 1")).to_be_focused()
    expect(page.get_by_text("Nobody else is here until they join.")).to_be_visible()
    expect(page.get_by_text("Enter sends")).to_be_hidden()
    for part in (page.get_by_role("button", name="Leave"), box, send):
        expect(part).to_be_in_viewport(ratio=1)
    box.tap()
    page.keyboard.type("one")
    page.keyboard.press("Enter")
    page.keyboard.type("two")
    send.tap()
    expect(page.get_by_role("log")).to_contain_text("two")
    assert heard(page) == ["one\ntwo"]
    keep(page, "touch-360-light")


@pytest.mark.parametrize(
    ("width", "height", "scheme"),
    [(320, 640, "light"), (550, 360, "dark")],
    ids=["narrow", "at 200 %"],
)
def test_small_windows(host: Host, visit: Visit, width: int, height: int, scheme: str) -> None:
    """In a narrow window, and at 200 %, nothing has to be scrolled sideways, whatever is said; one sees what one types."""
    long = host.come(64 * "W")
    page = visit(host.url, width, height, color_scheme=scheme)
    keep(page, f"enter-{width}-{scheme}")
    enter(page, "ann", 200 * "m")
    invite(page, 64 * "W")
    accept(long, 300 * "w")
    for text in (
        "a short one",
        "and a longer one, with which one sees how lines are broken where there is little room",
    ):
        say(page, text)
    expect(page.get_by_role("log")).to_contain_text("where there is little room")
    expect(page.get_by_role("log")).to_contain_text(300 * "w")
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    expect(page.get_by_label("Message", exact=True)).to_be_in_viewport()
    keep(page, f"conversation-{width}-{scheme}")
    say(page, 8193 * "m")
    dismiss = page.get_by_role("button", name="Dismiss")
    assert dismiss.evaluate(LINES) == 1
    keep(page, f"alert-{width}-{scheme}")
