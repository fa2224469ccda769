"""Tests of the page in a real browser, beside a client on a terminal.

They keep what they have seen as pictures in `tests/screenshots`, to be looked at by people.
"""

import asyncio
import re
import shutil
import signal
import threading
from collections.abc import Callable, Coroutine, Generator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import pytest
import trustme

from improto.bindings import websocket
from improto.bindings.asyncio import Server
from improto.codec import load
from improto.server import Hub, Policy
from improto.service import Observer, Service
from improto.wire import Rate
from programs import DEADLINE, Program, Programs

playwright = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
expect = playwright.expect
Browser: TypeAlias = Any  # of a package that may be missing when types are checked
Page: TypeAlias = Any

SCREENSHOTS = Path(__file__).with_name("screenshots")
AXE = Path(__file__).with_name("peers") / "node_modules/axe-core/axe.min.js"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
Visit = Callable[..., Page]

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs the browser chromium")
expect.set_options(timeout=DEADLINE * 1000)


@pytest.fixture(scope="module")
def browser() -> Generator[Browser]:
    """Run a browser."""
    assert CHROMIUM is not None
    SCREENSHOTS.mkdir(exist_ok=True)
    with playwright.sync_playwright() as started:
        # Its sandbox does not work for root, nor in most containers; it sees no pages but ours.
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser: Browser) -> Generator[Visit]:
    """Give what opens the page, each time in a browser of its own; none may complain in its console."""
    complaints: list[str] = []
    contexts: list[Any] = []

    def complain(message: Any) -> None:
        complaints.append(getattr(message, "text", None) or str(message))

    def opened(url: str, width: int = 1100, height: int = 720, **options: Any) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", complain)
        page.on("pageerror", complain)
        page.goto(url)
        return page

    yield opened
    for context in contexts:
        context.close()
    # What the browser itself says of a server that is away.
    assert [each for each in complaints if "net::ERR_CONNECTION_" not in each] == []


class Site:
    """A server with its page."""

    def __init__(self, programs: Programs, websocket: int = 0, *options: str) -> None:
        """Run it."""
        listening = r"improto: listening on (\S+) ws(s?://127\.0\.0\.1:(\d+))"
        self.program = programs.start(
            "serve", "--port", "0", "--settle", "0.05", "--websocket", str(websocket), *options
        )
        found = self.program.expect(listening)
        self.tcp = found[1]
        self.url = f"http{found[2]}/"
        self.port = int(found[3])


T = TypeVar("T")


class Host(Observer):
    """A server with its page in this process, with which a test can do what only a program around a server can."""

    def __init__(self, rate: Rate | None = None) -> None:
        """Run it, on a loop in a thread of its own."""
        self._rate = rate
        self._crowd = AsyncExitStack()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.turned_away = threading.Event()
        self.server = self.do(self._serve())

    async def _serve(self) -> Server:
        server = Server(Service(Hub(Policy(settle=0.05)), [load("json")], rate=self._rate, observer=self))
        _, port = await websocket.listen(server, "127.0.0.1", 0, page=websocket.chat_page())
        self.address = f"127.0.0.1:{port}"
        self.url = f"http://{self.address}/"
        return server

    async def crowd(self, *names: str) -> None:
        """Have more people come, who stay."""
        for name in names:
            await self._crowd.enter_async_context(websocket.connect(f"ws://{self.address}", name))

    def closed(self, peer: int, reason: str) -> None:
        """Note that somebody was refused."""
        if reason == "forbidden":
            self.turned_away.set()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Have something done on the loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(DEADLINE)

    async def kick(self, name: str) -> None:
        """Put somebody out."""
        self.server.kick(name, "that is enough")

    async def fill(self) -> None:
        """Close all connections, and take none from now on."""
        self.server.links.per_address = 0
        self.server.service.shut_down(self.server.now())
        self.server.wake()

    async def empty(self) -> None:
        """Take connections again."""
        self.server.links.per_address = 10

    def close(self) -> None:
        """End."""
        self.do(self._crowd.aclose())
        self.do(self.server.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(DEADLINE)
        self._loop.close()


@pytest.fixture
def host() -> Generator[Host]:
    """Run a server with its page in this process."""
    host = Host()
    yield host
    host.close()


@pytest.fixture
def slow_host() -> Generator[Host]:
    """Run one that takes ten requests from each client, and then one in four seconds."""
    host = Host(Rate(0.25, 10))
    yield host
    host.close()


@pytest.fixture
def site(programs: Programs) -> Site:
    """Run a server with its page."""
    return Site(programs)


def enter(page: Page, name: str, status: str = "") -> None:
    """Go online."""
    page.get_by_label("Name").fill(name)
    page.get_by_label("Status", exact=True).fill(status)
    page.get_by_role("button", name="Go online").click()
    expect(page.get_by_role("status").filter(has_text="Online as")).to_have_text(f"Online as {name}")


def invite(page: Page, *names: str) -> None:
    """Start a conversation with people, and be in it."""
    people = page.get_by_role("region", name="People online")
    for name in names:
        people.get_by_role("checkbox", name=name).check()
    people.get_by_role("button", name="Start a conversation").click()
    expect(page.get_by_label("Message", exact=True)).to_be_focused()


def join(page: Page, source: str) -> None:
    """Take up an invitation."""
    invitations = page.get_by_role("region", name="Invitations")
    expect(invitations).to_contain_text(f"{source} invites you")
    invitations.get_by_role("button", name="Join").click()
    expect(page.get_by_label("Message", exact=True)).to_be_focused()


def say(page: Page, text: str) -> None:
    """Say something in the conversation that is shown."""
    page.get_by_label("Message", exact=True).fill(text)
    page.get_by_role("button", name="Send").click()


def heard(page: Page) -> list[str]:
    """Give what was said in the conversation that is shown."""
    texts: list[str] = page.get_by_role("log").locator(".text").all_text_contents()
    return texts


def keep(page: Page, name: str) -> None:
    """Keep a picture."""
    page.screenshot(path=SCREENSHOTS / f"{name}.png")


def terminal(programs: Programs, site: Site, name: str) -> Program:
    """Run a client on a terminal."""
    return programs.registered(site.tcp, name)


def test_conversation(site: Site, visit: Visit, programs: Programs) -> None:
    """Two pages and a terminal are in one conversation, and all see the same."""
    ann, bo = visit(site.url), visit(site.url, color_scheme="dark")
    keep(ann, "enter-light")
    keep(bo, "enter-dark")
    enter(ann, "ann", "at my desk")
    enter(bo, "bo")
    cy = terminal(programs, site, "cy")
    expect(bo.get_by_role("region", name="People online")).to_contain_text("at my desk")
    invite(ann, "bo", "cy")
    cy.expect(r"\* ann invites you to conversation 1.*")
    cy.type("/join 1", "hello from a terminal")
    expect(ann.get_by_role("log")).to_contain_text("hello from a terminal")
    expect(bo.get_by_role("status").filter(has_text="invites you")).to_have_text(
        "ann invites you to a conversation."
    )
    keep(bo, "invitation-dark")
    join(bo, "ann")
    texts = [
        "Good morning! Shall we meet at ten?",
        "Yes.\nBring the plans, please: all of them, with the drawings of the house.",
    ]
    say(bo, texts[0])
    cy.expect(r"\[1\] bo: Good morning! .*")
    say(ann, texts[1])
    cy.expect(r"\[1\] ann: Yes\..*")
    for page in (ann, bo):
        expect(page.get_by_role("log").get_by_text("Bring the plans")).to_be_visible()
    assert heard(bo) == texts
    assert heard(ann) == ["hello from a terminal", *texts]
    expect(ann.get_by_text("Members: ")).to_have_text("Members: ann, cy and bo")
    keep(ann, "conversation-light")
    keep(bo, "conversation-dark")
    bo.get_by_role("button", name="Leave").click()
    expect(bo.get_by_role("region", name="Conversations of others")).to_contain_text("ann and cy")


def test_two_conversations(site: Site, visit: Visit, programs: Programs) -> None:
    """What is said elsewhere is counted and announced, and read when one goes there; one can decline, and go offline."""
    ann, bo = visit(site.url), visit(site.url)
    enter(ann, "ann")
    enter(bo, "bo")
    invite(ann, "bo")
    join(bo, "ann")
    invite(bo, "ann")
    ann.get_by_role("button", name="Decline").click()
    expect(ann.get_by_role("region", name="Invitations")).to_be_hidden()
    ann.get_by_label("Message", exact=True).press_sequentially("in the first")
    invite(ann, "bo")
    expect(ann.get_by_label("Message", exact=True)).to_have_value("")  # what was begun is not for others
    ann.get_by_role("button", name="Leave").click()
    ann.get_by_role("region", name="Conversations", exact=True).get_by_role("button", name="bo").click()
    expect(ann.get_by_label("Message", exact=True)).to_have_value("in the first")
    say(ann, "in the first one")
    talks = bo.get_by_role("region", name="Conversations", exact=True)
    expect(talks.get_by_role("button", name="ann 1 new")).to_be_visible()
    expect(bo).to_have_title("(1) improto")
    expect(bo.get_by_role("status").filter(has_text="has written")).to_have_text("ann has written.")
    talks.get_by_role("button", name="ann 1 new").click()
    expect(bo.get_by_role("log")).to_contain_text("in the first one")
    expect(bo).to_have_title("improto")
    ann.get_by_label("Your status").fill("gone soon")
    ann.get_by_role("button", name="Change").click()
    expect(bo.get_by_role("region", name="People online")).to_contain_text("gone soon")
    ann.get_by_role("button", name="Go offline").click()
    expect(ann.get_by_label("Name")).to_be_focused()
    expect(bo.get_by_text("Nobody else.")).to_be_visible()


NASTY = '<img src=x onerror="document.hacked=1"><b>&amp;</b>'


def test_markup(site: Site, visit: Visit, programs: Programs) -> None:
    """Whatever people call themselves and say is shown as the text that it is."""
    for name in ("__proto__", "constructor"):
        terminal(programs, site, name)
    bad = programs.start("chat", site.tcp, NASTY, "--codec", "json", "--status", f"</ul>{NASTY}")
    bad.expect(r"\* registered as .*")
    ann = visit(site.url)
    enter(ann, "ann")
    people = ann.get_by_role("region", name="People online")
    for name in (NASTY, f"</ul>{NASTY}", "__proto__", "constructor"):
        expect(people.get_by_text(name, exact=True)).to_be_visible()
    invite(ann, NASTY, "__proto__")
    bad.type("/join 1", f"<script>document.hacked=1</script>{NASTY}", "\u202eback", "/list")
    expect(ann.get_by_role("log")).to_contain_text("back")
    assert heard(ann) == [f"<script>document.hacked=1</script>{NASTY}", "\u202eback"]
    expect(ann.get_by_role("heading", name=NASTY)).to_be_visible()
    assert ann.locator("img").count() == 1  # the page's own
    assert ann.evaluate("document.hacked") is None
    keep(ann, "markup-light")


def test_reconnect(site: Site, visit: Visit, programs: Programs) -> None:
    """When the server goes and comes again, the page says so, is online again, and can talk in new conversations."""
    ann, bo = visit(site.url), visit(site.url, color_scheme="dark")
    enter(ann, "ann")
    enter(bo, "bo", "in the dark")
    invite(ann, "bo")
    join(bo, "ann")
    say(bo, "before")
    expect(ann.get_by_role("log")).to_contain_text("before")
    site.program.stop()
    for page in (ann, bo):
        expect(page.get_by_role("alert")).to_contain_text("The connection is lost.")
        expect(page.get_by_role("button", name="Start a conversation")).to_be_disabled()
    for page, other in ((ann, "bo"), (bo, "ann")):  # where one was typing nothing can be said any more
        expect(page.get_by_role("heading", name=other)).to_be_focused()
    keep(bo, "lost-dark")
    again = Site(programs, site.port)
    assert again.url == site.url
    for page, name in ((ann, "ann"), (bo, "bo")):
        expect(page.get_by_text(f"Online as {name}")).to_be_visible()
        page.get_by_role("button", name="Dismiss").first.click()
    expect(ann.get_by_role("region", name="People online")).to_contain_text("in the dark")
    expect(ann.get_by_text("You are not in it any more.")).to_be_visible()
    assert heard(ann) == ["before"]
    invite(ann, "bo")  # which has the id of the old one, and is another
    join(bo, "ann")
    say(bo, "after")
    expect(ann.get_by_role("log")).to_contain_text("after")
    assert heard(ann) == heard(bo) == ["after"]


def test_refusals(site: Site, visit: Visit, programs: Programs) -> None:
    """What the server refuses is told as an alert, and nothing that was typed is lost."""
    terminal(programs, site, "ann")
    page = visit(site.url)
    page.get_by_label("Name").fill("ann")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("(name-in-use)")
    expect(page.get_by_label("Name")).to_be_focused()
    keep(page, "refused-light")
    enter(page, "bo")
    expect(page.get_by_role("alert")).to_be_empty()
    page.get_by_role("button", name="Start a conversation").click()
    expect(page.get_by_role("alert")).to_contain_text("Choose people first.")
    page.get_by_role("button", name="Dismiss").click()
    expect(page.get_by_role("alert")).to_be_empty()
    page.get_by_role("button", name="Start a conversation").click()
    expect(page.get_by_role("alert")).to_contain_text("Choose people first.")
    invite(page, "ann")
    expect(page.get_by_role("alert")).to_be_empty()  # since that was done
    say(page, 4097 * "é")
    expect(page.get_by_role("alert")).to_contain_text("at most 8192 bytes")
    assert page.get_by_label("Message", exact=True).input_value() == 4097 * "é"
    say(page, 4096 * "é")
    expect(page.get_by_role("log")).to_contain_text("é")


def test_too_fast(slow_host: Host, visit: Visit) -> None:
    """Texts that the server refuses can be sent again, and what it did not want to tell then is asked for later."""
    ann, bo = visit("about:blank"), visit(slow_host.url)
    ann.clock.install()
    ann.goto(slow_host.url)
    enter(ann, "ann")
    enter(bo, "bo")
    invite(ann, "bo")
    box, said = ann.get_by_label("Message", exact=True), 0
    while not ann.get_by_role("alert").get_by_text("(rate-limited)").is_visible():
        box.press_sequentially(f"text {said} ")
        box.press("Enter")
        said += 1
    join(bo, "ann")
    say(bo, "hi")
    expect(ann.get_by_role("log")).to_contain_text("hi")
    known = "".join(heard(ann)).replace("hi", "") + box.input_value()
    assert known.split() == " ".join(f"text {at}" for at in range(said)).split()
    members = ann.get_by_text("Members: ann and bo")
    for _ in range(int(DEADLINE)):
        ann.clock.fast_forward(10_000)
        with suppress(playwright.TimeoutError):
            members.wait_for(timeout=1_000)
            break
    expect(members).to_be_visible()


def test_unsent(site: Site, visit: Visit, programs: Programs) -> None:
    """What the server may not have got before the connection was lost, and what was begun, can still be copied."""
    terminal(programs, site, "bo")
    page = visit(site.url)
    enter(page, "ann")
    invite(page, "bo")
    say(page, "received")
    expect(page.get_by_role("log")).to_contain_text("received")
    site.program.process.send_signal(signal.SIGSTOP)
    say(page, "on the way")
    box = page.get_by_label("Message", exact=True)
    expect(box).to_have_value("")
    box.press_sequentially("half a")
    site.program.stop()
    expect(page.get_by_text("You are not in it any more; the text below is not sent.")).to_be_visible()
    expect(box).to_have_value("on the way\nhalf a")
    expect(box).to_be_focused()
    assert not box.is_editable()
    expect(page.get_by_role("button", name="Send")).to_be_hidden()
    keep(page, "unsent-light")
    box.press("Enter")  # which does nothing
    expect(page.get_by_role("alert")).to_be_empty()
    Site(programs, site.port)
    expect(page.get_by_text("Online as ann")).to_be_visible()
    expect(box).to_have_value("on the way\nhalf a")
    page.get_by_role("button", name="Close").click()
    expect(box).to_be_hidden()


def test_kicked(host: Host, visit: Visit) -> None:
    """Who is put out is told so and stays out, and may go online again (ERROR-10)."""
    page = visit(host.url)
    enter(page, "ann")
    host.do(host.kick("ann"))
    expect(page.get_by_role("alert")).to_contain_text("that is enough (forbidden)")
    expect(page.get_by_label("Name")).to_be_focused()
    expect(page.get_by_role("status").filter(has_text="line")).to_have_text("Offline")
    enter(page, "ann")


def test_too_many_connections(host: Host, visit: Visit) -> None:
    """When the connection is lost, and the server has too many others, the page tries again (FLOW-13)."""
    page = visit(host.url)
    enter(page, "ann")
    host.do(host.fill())
    assert host.turned_away.wait(DEADLINE)
    state = page.get_by_role("status").filter(has_text="No connection")
    expect(state).to_contain_text("No connection: too many connections; ")  # CLIENT-15
    expect(page.get_by_text("Nobody else.")).to_be_hidden()  # who knows
    host.do(host.empty())
    expect(page.get_by_role("status").filter(has_text="Online as")).to_have_text("Online as ann")


def test_network_is_back(site: Site, visit: Visit) -> None:
    """When the device has network again, the page connects at once."""
    page = visit("about:blank")
    page.clock.install()
    page.goto(site.url)
    enter(page, "ann")
    # So that the time of the next attempt never comes.
    page.clock.pause_at(page.evaluate("Date.now()") + 1_000)
    site.program.stop()
    expect(page.get_by_role("status").filter(has_text="No connection")).to_be_visible()
    page.context.set_offline(True)
    with page.expect_websocket():
        page.context.set_offline(False)


def test_connecting(site: Site, visit: Visit) -> None:
    """Until the server has taken somebody, what was typed stays, and nothing is said of people whom nobody knows yet."""
    page = visit(site.url)
    page.get_by_label("Name").fill("ann")
    site.program.process.send_signal(signal.SIGSTOP)
    page.get_by_role("button", name="Go online").click()
    expect(page.get_by_role("status").filter(has_text="…")).to_have_text("Connecting …")
    expect(page.get_by_label("Name")).to_have_value("ann")
    expect(page.get_by_role("button", name="Go online")).to_be_disabled()
    expect(page.get_by_text("Nobody else.")).to_be_hidden()
    site.program.process.send_signal(signal.SIGCONT)
    expect(page.get_by_text("Online as ann")).to_be_visible()
    expect(page.get_by_role("heading", name="No conversation")).to_be_focused()


def test_no_server(site: Site, visit: Visit) -> None:
    """Who cannot go online at all is told so."""
    page = visit(site.url)
    site.program.stop()
    page.get_by_label("Name").fill("ann")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("The server cannot be reached")


def test_silent_server(site: Site, visit: Visit) -> None:
    """A server that says nothing any more is asked for a word, then given up, and found again (CONN-26, CONN-27)."""
    page = visit("about:blank")
    page.clock.install()
    page.goto(site.url)
    enter(page, "ann")
    site.program.process.send_signal(signal.SIGSTOP)
    for _ in range(10):
        page.clock.fast_forward(10_000)
    expect(page.get_by_role("alert")).to_contain_text("The server does not answer.")
    site.program.process.send_signal(signal.SIGCONT)
    page.clock.fast_forward(30_000)
    expect(page.get_by_text("Online as ann")).to_be_visible()


def test_tls(visit: Visit, programs: Programs, tmp_path: Path) -> None:
    """Behind TLS the page works as well."""
    certificate = tmp_path / "server.pem"
    trustme.CA().issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(certificate)
    site = Site(programs, 0, "--tls-cert", str(certificate))
    page = visit(site.url, ignore_https_errors=True)
    assert page.evaluate("location.protocol") == "https:"
    enter(page, "ann")


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


def test_keyboard(site: Site, visit: Visit, programs: Programs) -> None:
    """All can be done with the keyboard alone; the focus is always seen and goes where one goes on."""
    bo = terminal(programs, site, "bo")
    page = visit(site.url)
    press = page.keyboard.press
    assert focused(page) == "INPUT name"
    page.keyboard.type("ann")
    press("Tab")
    page.keyboard.type("typing")
    press("Enter")
    expect(page.get_by_role("heading", name="No conversation")).to_be_focused()
    expect(page.get_by_role("checkbox", name="bo")).to_be_visible()
    seen: list[str] = []
    while not seen or seen[-1] != "INPUT bo":
        press("Shift+Tab")
        seen.append(focused(page))
    assert seen == ["BUTTON Change", "INPUT status", "BUTTON Start a conversation", "INPUT bo"]
    press("Space")
    press("Tab")
    press("Enter")
    expect(page.get_by_label("Message", exact=True)).to_be_focused()
    assert focused(page) == "TEXTAREA text"
    bo.expect(r"\* ann invites you.*")
    bo.type("/join 1", "hi")
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
def test_accessible(site: Site, visit: Visit, programs: Programs, scheme: str) -> None:
    """Landmarks, headings and controls have names and roles, what changes is announced, and all text has contrast."""
    bo = terminal(programs, site, "bo")
    page = visit(site.url, color_scheme=scheme)
    for step in ("offline", "online"):
        if step == "online":
            enter(page, "ann", "here")
            invite(page, "bo")
            bo.type("/join 1", "hi")
            bo.type("/invite ann")
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


@pytest.mark.skipif(
    not AXE.is_file(), reason="axe-core is not installed; `npm ci --prefix tests/peers` does so"
)
@pytest.mark.parametrize("media", MEDIA)
def test_axe(site: Site, visit: Visit, programs: Programs, media: str) -> None:
    """In each of its states, in each kind of window, axe finds nothing wrong with the page."""
    rules = {"color-contrast": {"enabled": media != "forced colours"}}  # of which it does not know
    page = visit(site.url, **MEDIA[media])

    def examine(state: str) -> None:
        keep(page, f"axe-{media}-{state}")
        page.evaluate(AXE.read_text())
        found = page.evaluate("(rules) => axe.run({ rules, resultTypes: ['violations'] })", rules)
        assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found["violations"]] == []

    examine("offline")
    site.program.process.send_signal(signal.SIGSTOP)
    page.get_by_label("Name").fill("ann")
    page.get_by_role("button", name="Go online").click()
    expect(page.get_by_text("Connecting …")).to_be_visible()
    examine("connecting")
    site.program.process.send_signal(signal.SIGCONT)
    expect(page.get_by_text("Online as ann")).to_be_visible()
    examine("alone")
    bo = terminal(programs, site, "bo")
    invite(page, "bo")
    bo.expect(r"\* ann invites you.*")
    say(page, "Where are you?")
    expect(page.get_by_role("log")).to_contain_text("Where are you?")  # so the page's user is a member
    bo.type("/join 1", "Good morning!", "/invite ann")
    expect(page.get_by_role("log")).to_contain_text("Good morning!")
    expect(page.get_by_role("button", name="Decline conversation 2")).to_be_visible()
    examine("conversation")
    page.get_by_role("button", name="Start a conversation").click()
    expect(page.get_by_role("alert")).to_contain_text("Choose people first.")
    examine("alert")
    site.program.stop()
    expect(page.get_by_text("You are not in it any more.")).to_be_visible()
    examine("lost")


LINES = """(element) => {
    const all = document.createRange();
    all.selectNodeContents(element);
    return all.getClientRects().length;
}"""


def test_scrolling(site: Site, visit: Visit, programs: Programs) -> None:
    """Who reads the last message sees the next; who reads earlier ones is left there, and told how many are new."""
    bo = terminal(programs, site, "bo")
    page = visit(site.url)
    enter(page, "ann")
    invite(page, "bo")
    bo.expect(r"\* ann invites you.*")
    bo.type("/join 1", *(f"text {at}" for at in range(50)))
    log = page.get_by_role("log")
    scroller = page.get_by_role("group", name="Messages")
    expect(log.get_by_text("text 49")).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollHeight - innerHeight") == 0
    page.get_by_role("button", name="Start a conversation").click()
    expect(page.get_by_role("alert")).to_contain_text("Choose people first.")  # which takes room
    page.set_viewport_size({"width": 1000, "height": 500})
    bo.type("text 50")
    expect(log.get_by_text("text 50")).to_be_in_viewport()
    scroller.evaluate("log => log.scrollTop = 200")
    talk = page.get_by_role("region", name="Conversations", exact=True).get_by_role("button")
    bo.type("text 51", "text 52")
    expect(talk).to_have_text("bo 2 new")
    expect(page).to_have_title("(2) improto")
    assert scroller.evaluate("log => log.scrollTop") == 200
    scroller.evaluate("log => log.scrollTop = log.scrollHeight")
    expect(talk).to_have_text("bo ")
    scroller.evaluate("log => log.scrollTop = 200")
    say(page, "mine")
    expect(log.get_by_text("mine")).to_be_in_viewport()


def test_hidden_page(site: Site, visit: Visit, programs: Programs) -> None:
    """While the page is in the background, its title counts what is new, also in the conversation that it shows."""
    bo = terminal(programs, site, "bo")
    page = visit(site.url)
    enter(page, "ann")
    invite(page, "bo")
    bo.expect(r"\* ann invites you.*")
    hide = """(hidden) => {
        Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""  # a browser without windows has no background
    page.evaluate(hide, True)
    bo.type("/join 1", "hi")
    expect(page).to_have_title("(1) improto")
    page.evaluate(hide, False)
    expect(page).to_have_title("improto")


def test_switching(site: Site, visit: Visit, programs: Programs) -> None:
    """What was said in a conversation is not read out again when one goes back there: that log is a new one."""
    terminal(programs, site, "bo")
    page = visit(site.url)
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


def test_touch(site: Site, visit: Visit, programs: Programs) -> None:
    """On a phone, a conversation is shown as a whole, without the keyboard until one taps; its Enter begins a line."""
    terminal(programs, site, "bo")
    page = visit(site.url, 360, 640, has_touch=True, is_mobile=True)
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
def test_small_windows(
    site: Site, visit: Visit, programs: Programs, width: int, height: int, scheme: str
) -> None:
    """In a narrow window, and at 200 %, nothing has to be scrolled sideways, whatever is said; one sees what one types."""
    long = terminal(programs, site, 64 * "W")
    page = visit(site.url, width, height, color_scheme=scheme)
    keep(page, f"enter-{width}-{scheme}")
    enter(page, "ann", 200 * "m")
    invite(page, 64 * "W")
    long.expect(r"\* ann invites you.*")
    long.type("/join 1", 300 * "w")
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
