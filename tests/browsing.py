"""A real browser and servers with the page, for the tests of the page; and what people do on it.

The browser is started once for each module.  Each test has a server of its own, and each visit a profile of its own, so
that no test knows of another.  They keep what they have seen as pictures in `tests/screenshots`, to be looked at by
people.
"""

import asyncio
import shutil
import threading
from collections.abc import Callable, Coroutine, Generator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import pytest

from blocking import upto
from improto.bindings import threads, websocket
from improto.bindings.asyncio import Server
from improto.codec import load
from improto.messages import Invitation
from improto.server import Hub, Policy
from improto.service import Observer, Service
from improto.wire import Rate
from programs import DEADLINE, Programs

playwright = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
expect = playwright.expect
expect.set_options(timeout=DEADLINE * 1000)
Browser: TypeAlias = Any  # of a package that may be missing when types are checked
Page: TypeAlias = Any
Visit: TypeAlias = Callable[..., Page]

SCREENSHOTS = Path(__file__).with_name("screenshots")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
T = TypeVar("T")


@pytest.fixture(scope="module")  # while it runs, no other test can run a loop
def browser() -> Generator[Browser]:
    """Run a browser."""
    if CHROMIUM is None:
        pytest.skip("needs the browser chromium")
    SCREENSHOTS.mkdir(exist_ok=True)
    with playwright.sync_playwright() as started:
        # Its sandbox does not work for root, nor in most containers; it sees no pages but ours.
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser: Browser) -> Generator[Visit]:
    """Give what opens the page, each time in a profile of its own; none may complain in its console."""
    complaints: list[str] = []
    contexts: list[Any] = []

    def complain(message: Any) -> None:
        words = getattr(message, "text", None) or str(message)
        # What the browser itself says of a server that is away, or that goes while the icon is read for the window.
        away = "net::ERR_CONNECTION_" in words
        if "net::ERR_EMPTY_RESPONSE" in words:
            away = message.location["url"].endswith("/icon.svg")
        if not away:
            complaints.append(words)

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
    assert complaints == []


class Site:
    """A server with its page as a program, which a test can halt and kill."""

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


@pytest.fixture
def site(programs: Programs) -> Site:
    """Run a server with its page as a program."""
    return Site(programs)


class Host(Observer):
    """A server with its page in this process: it starts at once, and a test can do what a program around it can."""

    def __init__(self, rate: Rate | None = None) -> None:
        """Run it, on a loop in a thread of its own."""
        self._rate = rate
        self._guests = ExitStack()
        self._crowd = AsyncExitStack()
        self._held: threading.Event | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.turned_away = threading.Event()
        self.server = self.do(self._serve())

    async def _serve(self) -> Server:
        server = Server(Service(Hub(Policy(settle=0.05)), [load("json")], rate=self._rate, observer=self))
        _, self._tcp = await server.listen("127.0.0.1", 0)
        _, port = await websocket.listen(server, "127.0.0.1", 0, page=websocket.chat_page())
        self.address = f"127.0.0.1:{port}"
        self.url = f"http://{self.address}/"
        return server

    def come(self, name: str, status: str = "") -> threads.Session:
        """Have somebody come, who stays."""
        url = f"tcp://127.0.0.1:{self._tcp}"
        return self._guests.enter_context(threads.connect(url, name, status=status, codec="json"))

    async def crowd(self, *names: str) -> None:
        """Have many people come, who stay and do nothing."""
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

    def halt(self) -> None:
        """Do nothing until `go_on`; what comes meanwhile waits in the system."""
        self._held = threading.Event()
        self._loop.call_soon_threadsafe(self._held.wait)

    def go_on(self) -> None:
        """Do what has come meanwhile."""
        if self._held is not None:
            self._held.set()

    async def stop(self) -> None:
        """Shut down, as when a program ends in order."""
        await self.server.close()

    def close(self) -> None:
        """End."""
        self.go_on()
        self.do(self._crowd.aclose())
        self._guests.close()
        self.do(self.stop())
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


def accept(guest: threads.Session, *texts: str) -> None:
    """Have somebody take up the next invitation, and say something."""
    conversation = upto(guest, Invitation).conversation
    guest.join(conversation)
    for text in texts:
        guest.send(conversation, text)


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
