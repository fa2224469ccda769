"""Tests of the page in a real browser: what becomes of it when the server refuses, halts, goes or comes again."""

import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import trustme

from browsing import Host, Site, Visit, enter, expect, heard, invite, join, keep, playwright, say
from programs import DEADLINE, Programs

pytest_plugins = ["browsing"]


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


def intruded(visit: Visit, url: str) -> tuple[Any, list[Any]]:
    """Open the page, and give it with its connections, on which more can be sent to it than what the server sends."""
    page, sockets = visit("about:blank"), list[Any]()

    def between(socket: Any) -> None:
        sockets.append(socket)
        socket.connect_to_server()

    page.route_web_socket("**", between)
    page.goto(url)
    return page, sockets


NONSENSE = [
    ("{", "makes no sense"),
    ('{"type":"MESSAGE","conversation":"1","sender":"bo"}', "makes no sense"),
    ('{"type":"FAREWELL","a":1}', "has sent FAREWELL, which this page does not know"),
    ('{"type":"farewell"}', "makes no sense"),
    ('{"type":["FAREWELL"]}', "makes no sense"),
    ('{"type":"ERROR","message":"\\ud83d"}', "makes no sense"),
    ('{"type":"ERROR","message":"x","more":["\\ude00"]}', "makes no sense"),
    ('{"type":"ERROR","message":"x","\\ude00":1}', "makes no sense"),
    ('{"type":"ERROR","message":"x","more":[[[[]]]]}', "makes no sense"),
    ('{"type":"ERROR","message":"x","more":' + "[" * 100_000 + "]" * 100_000 + "}", "makes no sense"),
    ('{"type":"MESSAGE","conversation":"1","sender":"bo","text":"x"}', "makes no sense"),
    ('{"type":"CONVERSATIONS","conversations":{}}', "makes no sense"),
    ('{"type":"ONLINE_USERS","users":{"bo":""}}', "makes no sense"),
    ('{"type":"ERROR","message":"all is well","more":[[[1]]],"even":"\\ud83d\\ude00"}', "all is well"),
]


def test_nonsense(host: Host, visit: Visit) -> None:
    """What no server should send, or only a later one would, is ignored and told of (CLIENT-6, CLIENT-18, CLIENT-19)."""
    page, sockets = intruded(visit, host.url)
    enter(page, "ann")
    host.come("bo")
    expect(page.get_by_role("region", name="People online")).to_contain_text("bo")
    for sent, told in NONSENSE:
        sockets[0].send(sent)
        expect(page.get_by_role("alert")).to_contain_text(told)
        page.get_by_role("button", name="Dismiss").click()
    invite(page, "bo")
    say(page, "goes on")
    expect(page.get_by_role("log")).to_contain_text("goes on")


def test_crossing_a_leave(host: Host, visit: Visit) -> None:
    """Nothing is told of what is said in a conversation until the server knows that the user has left it (CLIENT-19)."""
    page, sockets = intruded(visit, host.url)
    enter(page, "ann")
    host.come("bo")
    invite(page, "bo")
    say(page, "hi")
    expect(page.get_by_role("log")).to_contain_text("hi")
    host.halt()
    page.get_by_role("button", name="Leave").click()
    said = '{"type":"MESSAGE","conversation":"1","sender":"bo","text":"x"}'
    sockets[0].send(said)
    expect(page.get_by_role("log")).to_be_hidden()
    expect(page.get_by_role("alert")).to_be_empty()
    host.go_on()
    invite(page, "bo")
    sockets[0].send(said)
    expect(page.get_by_role("alert")).to_contain_text("makes no sense")


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


def test_refusal_of_something_else(host: Host, visit: Visit) -> None:
    """A text does not come back when what the server refuses is something that was asked before it (ORDER-2)."""
    page = visit(host.url)
    host.do(host.crowd(*(f"user {at:02}" for at in range(65))))
    enter(page, "ann")
    invite(page, "user 00")
    boxes = page.get_by_role("region", name="People online").get_by_role("checkbox")
    expect(boxes).to_have_count(65)
    boxes.evaluate_all(
        "boxes => boxes.forEach(box => box.checked = true)"
    )  # more than may be invited (LIMIT-14)
    host.halt()
    page.get_by_role("button", name="Start a conversation").click()
    say(page, "hi")
    host.go_on()
    expect(page.get_by_role("log")).to_contain_text("hi")
    expect(page.get_by_role("alert")).to_contain_text("(invalid)")
    expect(page.get_by_label("Message", exact=True)).to_have_value("")


def test_unsent(site: Site, visit: Visit, programs: Programs) -> None:
    """What the server may not have got before the connection was lost, and what was begun, can still be copied."""
    programs.registered(site.tcp, "bo")
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


def test_network_is_back(site: Site, visit: Visit, programs: Programs) -> None:
    """When the device has network again, the page connects at once."""
    page = visit("about:blank")
    page.clock.install()
    page.goto(site.url)
    enter(page, "ann")
    # So that the time of the next attempt never comes.
    page.clock.pause_at(page.evaluate("Date.now()") / 1_000 + 1)
    site.program.stop()
    expect(page.get_by_role("status").filter(has_text="No connection")).to_be_visible()
    page.context.set_offline(True)
    while page.evaluate("navigator.onLine"):  # else the page might never be told that there was no network
        pass
    again = Site(programs, site.port, "--verbose")
    page.context.set_offline(False)
    again.program.expect(".* REGISTER")  # the page itself is not drawn while its clock stands


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
