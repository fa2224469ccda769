"""Tests of the page in a real browser: people invite each other, talk, and are told of what they miss."""

from browsing import Host, Site, Visit, accept, enter, expect, heard, invite, join, keep, say
from programs import Programs

pytest_plugins = ["browsing"]


def test_conversation(site: Site, visit: Visit, programs: Programs) -> None:
    """Two pages and a terminal are in one conversation, and all see the same."""
    ann, bo = visit(site.url), visit(site.url, color_scheme="dark")
    keep(ann, "enter-light")
    keep(bo, "enter-dark")
    enter(ann, "ann", "at my desk")
    enter(bo, "bo")
    cy = programs.registered(site.tcp, "cy")
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


def test_two_conversations(host: Host, visit: Visit) -> None:
    """What is said elsewhere is counted and announced, and read when one goes there; one can decline, and go offline."""
    ann, bo = visit(host.url), visit(host.url)
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


def test_markup(host: Host, visit: Visit) -> None:
    """Whatever people call themselves and say is shown as the text that it is."""
    for name in ("__proto__", "constructor"):
        host.come(name)
    bad = host.come(NASTY, f"</ul>{NASTY}")
    ann = visit(host.url)
    enter(ann, "ann")
    people = ann.get_by_role("region", name="People online")
    for name in (NASTY, f"</ul>{NASTY}", "__proto__", "constructor"):
        expect(people.get_by_text(name, exact=True)).to_be_visible()
    invite(ann, NASTY, "__proto__")
    accept(bad, f"<script>document.hacked=1</script>{NASTY}", "\u202eback")
    expect(ann.get_by_role("log")).to_contain_text("back")
    assert heard(ann) == [f"<script>document.hacked=1</script>{NASTY}", "\u202eback"]
    expect(ann.get_by_role("heading", name=NASTY)).to_be_visible()
    assert ann.locator("img").count() == 1  # the page's own
    assert ann.evaluate("document.hacked") is None
    keep(ann, "markup-light")


def test_unseen_names(host: Host, visit: Visit) -> None:
    """What nobody would see in a name is shown as an escape, but not what joins letters or signs that are seen."""
    names = {
        "\u200b": r"\u200b",
        "bo\u00ad": r"bo\u00ad",
        "\u200fcy": r"\u200fcy",
        "\u3164": r"\u3164",
        "d  d": "d  d",
        "\U0001f469\u200d\U0001f4bb": "\U0001f469\u200d\U0001f4bb",
        "\u0639\u0644\u06cc\u200c\u0631\u0636\u0627": "\u0639\u0644\u06cc\u200c\u0631\u0636\u0627",
    }
    guests = [host.come(name) for name in names]
    page = visit(host.url)
    enter(page, "ann")
    boxes = page.get_by_role("region", name="People online").get_by_role("listitem")
    expect(boxes).to_have_count(len(names))
    assert sorted(boxes.all_inner_texts()) == sorted(names.values())
    invite(page, r"bo\u00ad", r"\u200b")
    accept(guests[0], "here I am")
    expect(page.get_by_role("log")).to_contain_text(r"\u200b")
    expect(page.get_by_role("log")).to_contain_text("here I am")
    keep(page, "unseen-names-light")
    guests[0].invite("ann")
    expect(page.get_by_role("status").filter(has_text="invites")).to_have_text(
        r"\u200b invites you to a conversation."
    )


def test_status(host: Host, visit: Visit) -> None:
    """Who changes the status is told when that is done, and not before."""
    page = visit(host.url)
    enter(page, "ann")
    told = page.get_by_role("status").filter(has_text="Your status is changed.")
    page.get_by_label("Your status").fill("gone soon")
    host.halt()
    page.get_by_role("button", name="Change").click()
    expect(told).to_have_count(0)
    host.go_on()
    expect(told).to_be_visible()
    keep(page, "status-light")
    host.halt()
    page.get_by_role("button", name="Change").click()  # a second time
    expect(told).to_have_count(0)
    host.go_on()
    expect(told).to_be_visible()


def test_refusals(host: Host, visit: Visit) -> None:
    """What the server refuses is told as an alert, and nothing that was typed is lost."""
    host.come("ann")
    page = visit(host.url)
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


def test_scrolling(host: Host, visit: Visit) -> None:
    """Who reads the last message sees the next; who reads earlier ones is left there, and told how many are new."""
    bo = host.come("bo")
    page = visit(host.url)
    enter(page, "ann")
    invite(page, "bo")
    accept(bo, *(f"text {at}" for at in range(50)))
    log = page.get_by_role("log")
    scroller = page.get_by_role("group", name="Messages")
    expect(log.get_by_text("text 49")).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollHeight - innerHeight") == 0
    page.get_by_role("button", name="Start a conversation").click()
    expect(page.get_by_role("alert")).to_contain_text("Choose people first.")  # which takes room
    page.set_viewport_size({"width": 1000, "height": 500})
    bo.send("1", "text 50")
    expect(log.get_by_text("text 50")).to_be_in_viewport()
    scroller.evaluate("log => log.scrollTop = 200")
    talk = page.get_by_role("region", name="Conversations", exact=True).get_by_role("button")
    for text in ("text 51", "text 52"):
        bo.send("1", text)
    expect(talk).to_have_text("bo 2 new")
    expect(page).to_have_title("(2) improto")
    assert scroller.evaluate("log => log.scrollTop") == 200
    scroller.evaluate("log => log.scrollTop = log.scrollHeight")
    expect(talk).to_have_text("bo ")
    scroller.evaluate("log => log.scrollTop = 200")
    say(page, "mine")
    expect(log.get_by_text("mine")).to_be_in_viewport()


def test_hidden_page(host: Host, visit: Visit) -> None:
    """While the page is in the background, its title counts what is new, also in the conversation that it shows."""
    bo = host.come("bo")
    page = visit(host.url)
    enter(page, "ann")
    invite(page, "bo")
    hide = """(hidden) => {
        Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""  # a browser without windows has no background
    page.evaluate(hide, True)
    accept(bo, "hi")
    expect(page).to_have_title("(1) improto")
    page.evaluate(hide, False)
    expect(page).to_have_title("improto")
