"""Real peers: programs in Python 2.7 and Node.js that share no code with improto, and a session typed through nc."""

import re
import signal
import socket

from programs import Programs
from runtimes import PEERS, each_runtime, lecture, needs_nc, needs_node, needs_python2, where

GAP = ("--gap", "0.15")  # long enough for a loaded machine: what is to come in two reads must not come in one


@needs_python2
@needs_node
@needs_nc
def test_mixed_conversation(programs: Programs) -> None:
    """A Python 2.7 client, a Node.js client, a terminal chat and a session through nc talk in one conversation."""
    server, url = programs.serve("--log-texts", *GAP)
    py = lecture(programs, url, "py")
    node = programs.run("node", PEERS / "node_client.mjs", *where(url), "node", "here")
    node.expect("online .*node=here.*")
    nc = programs.run("nc", *where(url))
    nc.type("REGISTER nc here")
    nc.expect("ONLINE_USERS .*nc=here.*")
    chat = programs.registered(url, "chat", "--codec", "msgpack")
    py.expect("online chat=.*, nc=here, node=here, py=here")

    py.type("invite node nc chat")
    id = py.expect(r"invitation (\S+) from py")[1]
    node.expect(f"invitation {id} from py")
    nc.expect(f"INVITATION {id} py")
    chat.expect(rf"\* py invites you to conversation {id}: /join {id}")

    # Each joins and sees it in the list before the next one does, so all are members before anything is said.
    py.type(f"join {id}", "list")
    py.expect(rf"conversations {id}=\[py\]")
    node.type(f"join {id}", "list")
    node.expect(rf"conversations {id}=\[py, node\]")
    nc.type(f"JOIN {id}", "LIST_CONVERSATIONS")
    nc.expect(f"CONVERSATIONS {id}=py,node,nc")
    chat.type(f"/join {id}", "/list")
    chat.expect(rf"\* conversation {id}: .*py, node, nc, chat.*")

    said = {"py": "from the lecture", "node": "Grüße 😀", "nc": "typed by hand", "chat": "at a terminal"}
    for name, text in said.items():
        match name:
            case "py" | "node":
                {"py": py, "node": node}[name].type(f"send {id} {text}")
            case "nc":
                nc.type(f'SEND_MESSAGE {id} "{text}"')
            case _:
                chat.type(text)
        py.expect(re.escape(f"message {id} {name}: {text}"))
        node.expect(re.escape(f"message {id} {name}: {text}"))
        escaped = text.encode("ascii", "backslashreplace").decode()
        nc.expect(rf'MESSAGE {id} {name} "{re.escape(text) if escaped == text else ".*"}"')
        chat.expect(re.escape(f"[{id}] {name}: {text}"))

    nc.type("GOODBYE")
    assert nc.end()[0] == 0
    chat.expect(r"\* nc went offline")
    py.type("quit")
    py.expect("closed")
    assert py.end(stdin=False)[0] == 0
    chat.expect(r"\* py went offline")
    assert chat.end()[0] == 0
    assert node.end()[0] == 0
    server.process.send_signal(signal.SIGTERM)
    code, log = server.end(stdin=False)
    assert code == 0
    assert any("SEND_MESSAGE" in line and "typed by hand" in line for line in log)


@each_runtime
def test_lecture_client(programs: Programs, python2: list[str]) -> None:
    """With a gap between messages, the client written from the lecture loses none of a burst (LECTURE-4)."""
    _, url = programs.serve(*GAP)
    py = lecture(programs, url, "py", python2)
    py.type("invite nobody")
    py.expect("error no-such-user: .*nobody.*")
    chat = programs.registered(url, "chat", "--codec", "ascii")
    chat.type("/invite py")
    id = py.expect(r"invitation (\S+) from chat")[1]
    py.type(f"join {id}", "list")
    py.expect(rf"conversations {id}=\[py\]")
    chat.type(f"/join {id}", *(f"/send {id} {number}" for number in range(20)))
    for number in range(20):
        py.expect(f"message {id} chat: {number}")
    py.type("status gone", f"leave {id}", "list")
    chat.expect(r'\* py is now "gone"')
    py.expect(rf"conversations {id}=\[chat\]")


@each_runtime
def test_lecture_server(programs: Programs, python2: list[str]) -> None:
    """The terminal client talks to a server written from the lecture, whose ids are integers and errors plain text."""
    server = programs.run(*python2, PEERS / "lecture_server.py", "0")
    port = server.expect(r"listening on (\d+)")[1]
    url = f"tcp://127.0.0.1:{port}"
    py = lecture(programs, url, "py", python2)
    chat = programs.registered(url, "chat", "--codec", "pickle", "--integer-ids", *GAP)
    py.expect("online chat=.*, py=here")
    chat.expect(r"\* py is online \(here\)")
    py.type("invite chat")
    id = py.expect(r"invitation (\S+) from py")[1]
    chat.expect(rf"\* py invites you to conversation {id}: /join {id}")
    # The server takes one recv for one message, and `py` knows no gap: it sends nothing before the last has been seen to work.
    py.type(f"join {id}")
    members = ""
    while "py" not in members:
        chat.type("/list")
        members = chat.expect(rf"\* conversation {id}: (.*)")[1]
    chat.type(f"/join {id}")
    chat.expect(rf"\* you are in conversation {id}; .*")
    py.type("list")
    py.expect(rf"conversations {id}=\[py, chat\]")
    chat.type("/list")
    chat.expect(rf"\* conversation {id}: .*")
    chat.type("hello, lecture")
    py.expect(f"message {id} chat: hello, lecture")
    py.type(f"send {id} hello, chat")
    chat.expect(rf"\[{id}\] py: hello, chat")
    chat.type("/join 99")
    chat.expect(r"! No such conversation: 99")


@needs_python2
def test_lecture_client_sees_the_server_die(programs: Programs) -> None:
    """Killed in mid-conversation, the server leaves clients that say so and end."""
    server, url = programs.serve(*GAP)
    py = lecture(programs, url, "py")
    chat = programs.registered(url, "chat", "--codec", "pickle")
    server.process.kill()
    py.expect("closed")
    chat.expect("! .*server.*")
    assert chat.end(stdin=False)[0] == 1


def test_closed_lid(programs: Programs) -> None:
    """A peer that neither reads nor closes keeps nobody from talking."""
    _, url = programs.serve()
    host, port = where(url)
    with socket.create_connection((host, int(port))) as lid:
        lid.sendall(b"REGISTER lid here\n")
        ann = programs.registered(url, "ann", "--codec", "json")
        ann.expect(r"\* lid is online \(here\)")
        ann.type("/invite lid")
        id = ann.expect(r"\* conversation (\S+) is yours: .*")[1]
        lid.sendall(f"JOIN {id}\n".encode())
        ann.type(f"/join {id}", *("x" * 8000 for _ in range(100)), "still here")
        ann.expect(rf"\[{id}\] ann: still here")
