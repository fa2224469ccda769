#!/usr/bin/env python3
"""A messenger server written from the published specification alone, in a structure of its own.

usage: python3 threads_server.py PORT [--private]        (0: any free port)

Each connection has a thread that reads and one that writes, on blocking sockets; one lock is around all that they
share; one more thread keeps the time and sends the rosters.  It speaks ascii and json, told from the first bytes.
Where the specification leaves a choice it takes an uncommon one: ids of all shapes, rosters unasked and often, sorted
maps, spaces and CR LF in json, no keys twice, explanations of its own.
"""

import atexit
import contextlib
import itertools
import json
import re
import signal
import socket
import sys
import threading
import time
from collections import deque

KIB = 1024
GREETING, REQUEST, LISTING = 4 * KIB, 64 * KIB, 16 * KIB * KIB  # bytes: LIMIT-3, LIMIT-2, LIMIT-21
LIVING, ERROR_TEXT = 64, 512  # LIMIT-18, LIMIT-16
PAUSE, OVERFLOW = 64 * KIB, KIB * KIB  # bytes that wait: FLOW-6, FLOW-7
CHUNK = 32 * KIB  # bytes of one read or write
TO_REGISTER, TO_FLUSH, TO_HURRY, TO_LINGER, TO_TAKE = 60, 60, 5, 1, 60  # s: CONN-17, CONN-22, FLOW-9, CONN-22, CONN-28
TICK, REPEAT, NEVER = 0.05, 0.4, float("inf")  # s; REPEAT: PRESENCE-7
REPLY, SNAPSHOT, EVENT = "reply", "snapshot", "event"  # delivery classes: chapter 8
ID_SHAPES = ("c-{}", "room/{}", "C-{}", '"{}"', "[{}]", "a=b,{}", r"\u0041\{}", "0{}", "{:~<64}", "#{}", "null-{}")

COMMANDS = """
    REGISTER username status / STATUS status / GOODBYE / INVITE users / LIST_CONVERSATIONS
    / JOIN conversation / SEND_MESSAGE conversation text / LEAVE conversation
"""
FIELDS = {command: names for command, *names in map(str.split, COMMANDS.split("/"))}
COMMAND = re.compile("[A-Z_]{1,20}")  # CODEC-4
NAME = re.compile("(?! )[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]{1,64}(?<! )")  # LIMIT-5 to LIMIT-8
ID = re.compile("[!-~]{1,64}")  # LIMIT-13
IN_BOUNDS = {
    "username": NAME.fullmatch,
    "status": lambda text: len(text) <= 256,
    "users": lambda names: 0 < len(names) <= 64 and all(isinstance(x, str) and NAME.fullmatch(x) for x in names),
    "conversation": ID.fullmatch,
    "text": lambda text: len(text.encode()) <= 8 * KIB,
}  # LIMIT-10, LIMIT-11, LIMIT-14


class Refused(Exception):
    """A request has no effect; code and explanation of the ERROR that answers it."""


def known(command):
    """Give the names of a request's fields."""
    if command not in FIELDS:
        raise Refused("unknown-command", "das verstehe ich nicht, désolé")  # CONN-9, CONN-11
    return FIELDS[command]


class Ascii:
    """Chapter 11.1.  `decode` takes a line without its end, and gives command and fields, or None for a blank line."""

    HEX = "[0-9A-Fa-f]"
    CODE = rf"(?:[0-9A-CEFa-cef]{HEX}{{3}}|[Dd](?:[0-7]{HEX}{{2}}|[89ABab]{HEX}{{2}}\\u[Dd][C-Fc-f]{HEX}{{2}}))"
    QUOTED = rf'"(?:[ !#-\[\]-~]|\\(?:["\\/bfnrt]|u{CODE}))*+"'
    WORD, ATOM = r"[!#-'*-Z\\^-z|~][!#-~]*+", r"[!#-+\--<>-~]++"
    FIELD, ITEM = f"(?:{WORD}|{QUOTED})", f"(?:{ATOM}|{QUOTED})"
    OTHER = re.compile(f" *+({COMMAND.pattern})((?: ++{FIELD})*+) *+")
    MAPS = re.compile(
        f" *+(?:ONLINE_USERS(?: ++{ITEM}={ITEM})*+|CONVERSATIONS(?: ++{ITEM}=(?:{ITEM}(?:,{ITEM})*+)?)*+) *+"
    )

    @classmethod
    def decode(cls, line):
        text = line.decode("latin-1")
        if not text.strip(" "):
            return None  # ASCII-3
        found = cls.OTHER.fullmatch(text)
        if not found:  # the maps of the other side are well-formed, and unknown here
            raise Refused("unknown-command" if cls.MAPS.fullmatch(text) else "malformed", "")  # ASCII-11
        command, names = found[1], known(found[1])
        words = [json.loads(word) if word[0] == '"' else word for word in re.findall(cls.FIELD, found[2])]
        if names == ["users"]:
            return command, {"users": words}
        if len(words) != len(names):
            raise Refused("invalid", f"{command} takes {' and '.join(names) or 'no field'}")  # ASCII-10
        return command, dict(zip(names, words, strict=True))

    @classmethod
    def encode(cls, command, fields):
        parts = [command]
        for value in fields.values():
            if isinstance(value, str):
                parts.append(cls.written(value, cls.WORD))
            else:
                entries = [(key, [item] if isinstance(item, str) else item) for key, item in sorted(value.items())]
                parts += [f"{cls.written(key)}={','.join(map(cls.written, items))}" for key, items in entries]
        return " ".join(parts).encode("ascii") + b"\n"

    @classmethod
    def written(cls, text, bare=ATOM):
        return text if re.fullmatch(bare, text) else json.dumps(text)


class Json:
    """Chapter 11.2; methods as in Ascii."""

    @classmethod
    def decode(cls, line):
        if not line.strip(b" \t\r"):
            return None  # JSON-5
        try:
            value = cls.parsed(line.decode())  # JSON-10
            json.dumps(value, ensure_ascii=False).encode()  # LIMIT-24: no lone surrogate, wherever it stands
            command = COMMAND.fullmatch(value["type"])[0]  # None[0] is a TypeError, too
        except (ValueError, TypeError, KeyError):
            raise Refused("malformed", "an object with a command as its type is wanted") from None  # JSON-7
        names = known(command)
        if missing := [name for name in names if name not in value]:
            raise Refused("invalid", f"{missing[0]} is missing")  # JSON-12
        return command, {name: value[name] for name in names}

    @classmethod
    def parsed(cls, text):
        brackets = re.sub(r'"(?:[^"\\]|\\.)*+"|[^][{}"]', "", text)
        depths = itertools.accumulate((each in "[{") - (each in "]}") for each in brackets)
        if max(depths, default=0) > 4:  # LIMIT-17, before the parser recurses into it
            raise ValueError("too deep")
        # Numbers may have any size and are of no use: they are not converted.  `int` fails for NaN (JSON-9).
        return json.loads(text, object_pairs_hook=cls.members, parse_constant=int, parse_int=len, parse_float=len)

    @staticmethod
    def members(pairs):
        if len(members := dict(pairs)) != len(pairs):
            raise ValueError("a key twice")  # JSON-14
        return members

    @staticmethod
    def encode(command, fields):
        return json.dumps({"type": command, **fields}, sort_keys=True).encode("ascii") + b"\r\n"


def told(head):
    """Tell the codec from the first bytes after blanks, None: not yet; ConnectionAbortedError if none of these."""
    if not head or head[:1] == b"{":
        return Json if head else None  # CODEC-12
    if not head[:1].isupper():
        raise ConnectionAbortedError  # CODEC-15; and msgpack, CODEC-13
    space, feed = head.find(b" ", 0, 21), head.find(b"\n", 0, 21)
    if space < 0 or 0 <= feed < space:
        return Ascii if feed >= 0 or len(head) >= 21 else None
    if head[space + 1 : space + 2] in (b"\x80", b"(", b")", b"]", b"}"):
        raise ConnectionAbortedError  # pickle, CODEC-14
    return Ascii if len(head) > space + 1 else None


class Connection:
    """One connection, and the user who is registered on it.  All but the socket is under the hub's lock."""

    def __init__(self, hub, sock):
        self.hub, self.sock = hub, sock
        self.codec = self.name = None
        self.outbox = deque()  # of delivery class and bytes
        self.waiting = self.events = 0  # bytes: all, what is being sent included; and those of events in the outbox
        self.sending, self.sending_since = b"", NEVER
        self.closing, self.deadline = False, time.monotonic() + TO_REGISTER
        self.changed = threading.Condition(hub.lock)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.writer = threading.Thread(target=self.write, daemon=True)
        with hub.lock:
            hub.connections.add(self)
        self.writer.start()
        self.reader.start()

    def lines(self):
        """Yield the lines that come, until the stream ends or the connection is closing."""
        buffer = bytearray()
        while not self.closing and (chunk := self.sock.recv(CHUNK)):
            if not self.codec:
                chunk = bytes(buffer + chunk).lstrip(b" \r\n")  # CODEC-11
                buffer[:] = chunk
                with self.hub.lock:
                    self.codec = told(chunk)
                if not self.codec:
                    continue
                buffer.clear()
            for number, piece in enumerate(chunk.split(b"\n")):
                if number:
                    yield bytes(buffer).removesuffix(b"\r")
                    buffer.clear()
                buffer += piece
                if len(buffer) - buffer.endswith(b"\r") > (GREETING if self.name is None else REQUEST):
                    raise Refused("too-large", "my patience is shorter than this line")  # LIMIT-2, LIMIT-3, LIMIT-4

    def read(self):
        """Handle what comes until the connection ends; then throw away what still comes (CONN-22)."""
        with contextlib.suppress(OSError):
            try:
                for line in self.lines():
                    self.hub.take(self, line)
            except Refused as refused:
                self.hub.refuse(self, *refused.args)
        self.hub.end(self)  # CONN-18, CONN-19; an incomplete line is dropped, CONN-21
        with contextlib.suppress(OSError):
            while self.sock.recv(CHUNK):
                pass

    def write(self):
        """Send what waits, in order; at the end shut down, wait for the peer's end, and close (CONN-22)."""
        try:
            while data := self.hub.next_output(self):
                for start in range(0, len(data), CHUNK):
                    self.sending_since = time.monotonic()
                    self.sock.sendall(data[start : start + CHUNK])
                self.sending_since = NEVER
            self.sock.shutdown(socket.SHUT_WR)
            self.deadline = time.monotonic() + TO_LINGER
        except OSError:
            self.hub.end(self)
            self.deadline = 0.0
        self.reader.join()
        with self.hub.lock:
            self.hub.connections.discard(self)
        self.sock.close()


class Conversation:
    def __init__(self, initiator, invited):
        self.initiator, self.members = initiator, {}  # in the order of joining (LIST-8): a dict as an ordered set
        self.holders, self.ever = set(invited), set(invited)  # of invitations: now; whenever (JOIN-7)


class Hub:
    """Users and conversations.  A method called `on_...` is a request: one step under the lock (ORDER-1)."""

    def __init__(self, private):
        self.private, self.lock, self.connections = private, threading.RLock(), set()
        self.users, self.roster, self.conversations = {}, {}, {}  # connections and statuses by name; by id
        self.numbers = itertools.count(1)
        self.changed, self.last_roster, self.interval = False, 0.0, TICK

    def take(self, connection, line):
        """Handle a line from a connection: chapter 17, steps 3 to 8."""
        with self.lock:
            connection.changed.wait_for(lambda: connection.closing or connection.waiting <= PAUSE)  # FLOW-6
            if connection.closing:
                return
            try:
                if request := connection.codec.decode(line):
                    self.check_and_do(connection, *request)
            except Refused as refused:
                self.refuse(connection, *refused.args)

    def check_and_do(self, connection, command, fields):
        for name, value in fields.items():
            if not isinstance(value, list if name == "users" else str) or not IN_BOUNDS[name](value):
                raise Refused("invalid", f"this is no {name}")  # LIMIT-23
        if command not in ("REGISTER", "GOODBYE") and connection.name is None:
            raise Refused("not-registered", "who are you?")  # CONN-14
        key = fields.get("conversation")
        if key is not None and key not in self.conversations:
            raise Refused("no-such-conversation", f"{key}: gone, or never there")  # JOIN-8, SEND-5, LEAVE-5
        getattr(self, "on_" + command.lower())(connection, *fields.values())

    def on_register(self, connection, username, status):
        if connection.name is not None:
            raise Refused("already-registered", f"you are {connection.name}")  # REGISTER-3
        if username in self.users:
            raise Refused("name-in-use", "first come, first served")  # REGISTER-4
        self.check_size(self.roster, username, status)
        connection.name, connection.deadline = username, NEVER
        self.users[username], self.roster[username] = connection, status
        self.send([connection], REPLY, "ONLINE_USERS", users=self.roster)  # REGISTER-2
        self.show_presence()

    def on_status(self, connection, status):
        self.check_size(self.roster, status)
        self.roster[connection.name] = status
        self.show_presence()

    def on_invite(self, connection, names):
        guests = dict.fromkeys(name for name in names if name != connection.name)  # INVITE-4
        if not guests:
            raise Refused("invalid", "users: an invitation to oneself alone")  # INVITE-5
        if unknown := [name for name in guests if name not in self.users]:
            raise Refused("no-such-user", " ".join(unknown)[: ERROR_TEXT - len("no-such-user: ")])  # INVITE-7, LIMIT-16
        if sum(each.initiator is connection for each in self.conversations.values()) >= LIVING:
            raise Refused("too-many", "end some of your conversations first")  # LIMIT-18
        number = next(self.numbers)
        key = ID_SHAPES[number % len(ID_SHAPES)].format(number)  # CONV-3, CONV-4
        self.check_size(self.lists(), key)
        invited = [connection, *map(self.users.get, guests)]
        self.conversations[key] = Conversation(connection, invited)
        self.send(invited, EVENT, "INVITATION", conversation=key, source=connection.name)

    def on_list_conversations(self, connection):
        self.send([connection], REPLY, "CONVERSATIONS", conversations=self.lists(connection))

    def on_join(self, connection, key):
        conversation = self.conversations[key]
        if self.private and connection not in conversation.ever:
            raise Refused("not-invited", "")  # JOIN-6
        if connection not in conversation.members:  # JOIN-9
            self.check_size(self.lists(), connection.name)
            conversation.holders.discard(connection)
            conversation.members[connection] = None

    def on_send_message(self, connection, key, text):
        conversation = self.conversations[key]
        if connection not in conversation.members:
            raise Refused("not-member", "¿por qué?")  # SEND-6
        self.send(conversation.members, EVENT, "MESSAGE", conversation=key, sender=connection.name, text=text)

    def on_leave(self, connection, key):
        conversation = self.conversations[key]
        if connection not in conversation.members and connection not in conversation.holders:
            raise Refused("not-member", "")  # LEAVE-6
        self.part(connection, key)

    def part(self, connection, key):
        """End a membership or an invitation, and the conversation with the last of them (CONV-2)."""
        conversation = self.conversations[key]
        conversation.members.pop(connection, None)
        conversation.holders.discard(connection)
        if not conversation.members and not conversation.holders:
            del self.conversations[key]

    def lists(self, viewer=None):
        """Give the members of all conversations, or under the policy private of those that a user may see (LIST-9)."""
        return {
            key: [member.name for member in conversation.members]
            for key, conversation in self.conversations.items()
            if viewer is None or not self.private or viewer in conversation.ever
        }

    def check_size(self, *what):
        """Refuse what would make a map too long; in ascii it is never longer than in this form of json (LIMIT-21)."""
        if len(json.dumps(what)) > LISTING - KIB:
            raise Refused("too-many", "the house is full")

    def refuse(self, connection, code, explanation):
        """Answer a request with an ERROR, and close where a clause says so (CONN-15, CONN-24)."""
        with self.lock:
            self.send([connection], EVENT, "ERROR", message=f"{code}: {explanation}")
            if code == "too-large" or (connection.name is None and code in ("malformed", "unknown-command")):
                self.end(connection)

    def fail(self, connection, code, explanation, seconds):
        """Close with a connection ERROR (ERROR-8)."""
        self.send([connection], EVENT, "ERROR", message=f"{code}: {explanation}")
        self.end(connection, seconds)

    def end(self, connection, seconds=TO_FLUSH):
        """Take the user offline, and have the writer close when it has sent what waits."""
        with self.lock:
            if connection.closing:
                return
            connection.closing, connection.deadline = True, time.monotonic() + seconds
            connection.changed.notify_all()
            if connection.name is not None:
                del self.users[connection.name], self.roster[connection.name]  # GOODBYE-4
                for key, conversation in list(self.conversations.items()):
                    conversation.ever.discard(connection)
                    self.part(connection, key)  # GOODBYE-8
                self.show_presence()

    on_goodbye = end  # GOODBYE-3 to GOODBYE-7

    def shut_down(self):
        with self.lock:
            leaving = list(self.connections)
            for connection in leaving:
                self.fail(connection, "shutting-down", "good night", TO_HURRY)  # ERROR-9
        for connection in leaving:
            connection.writer.join()

    def send(self, receivers, kind, command, **fields):
        """Append a response to the queues of all receivers, encoded once for each codec."""
        forms = {}
        for receiver in receivers:
            if receiver.closing or not receiver.codec:  # CODEC-16
                continue
            if receiver.codec not in forms:
                forms[receiver.codec] = receiver.codec.encode(command, fields)
            data = forms[receiver.codec]
            if kind == SNAPSHOT:  # FLOW-2, FLOW-3
                for old in [output for output in receiver.outbox if output[0] == SNAPSHOT]:
                    receiver.outbox.remove(old)
                    receiver.waiting -= len(old[1])
            receiver.outbox.append((kind, data))
            receiver.waiting += len(data)
            receiver.events += len(data) if kind == EVENT else 0
            receiver.changed.notify_all()

    def next_output(self, connection):
        """Wait for what is to be sent next, when all before it has been sent; nothing is the end."""
        with self.lock:
            connection.waiting -= len(connection.sending)
            connection.changed.notify_all()
            connection.changed.wait_for(lambda: connection.outbox or connection.closing)
            kind, connection.sending = connection.outbox.popleft() if connection.outbox else (REPLY, b"")
            connection.events -= len(connection.sending) if kind == EVENT else 0
            return connection.sending

    def show_presence(self):
        """Send the roster to all at once, or as soon as the presence interval allows (PRESENCE-4, PRESENCE-8)."""
        now, self.changed = time.monotonic(), True
        if now - self.last_roster >= self.interval:
            self.changed, self.last_roster = False, now
            self.interval = max(TICK, len(json.dumps(self.roster)) / (8 * KIB))  # PRESENCE-6
            self.send(self.users.values(), SNAPSHOT, "ONLINE_USERS", users=self.roster)

    def keep_time(self):
        """Send rosters that are due, changed or not, and end what has taken too long."""
        while True:
            time.sleep(TICK)
            with self.lock:
                now = time.monotonic()
                if self.changed or now - self.last_roster >= REPEAT:  # PRESENCE-7
                    self.show_presence()
                for connection in list(self.connections):
                    if connection.deadline < now and connection.closing:
                        with contextlib.suppress(OSError):
                            connection.sock.shutdown(socket.SHUT_RDWR)  # both threads wake, whatever they wait for
                    elif connection.deadline < now:
                        self.fail(connection, "timeout", "so long", TO_FLUSH)  # CONN-17
                    elif connection.events > OVERFLOW or now - connection.sending_since > TO_TAKE:
                        self.fail(connection, "slow-consumer", "read faster!", TO_HURRY)  # FLOW-7, CONN-28


def main():
    hub = Hub(private="--private" in sys.argv)
    threading.Thread(target=hub.keep_time, daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    atexit.register(hub.shut_down)
    with socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=512) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # which all connections inherit
        print(f"listening on {listener.getsockname()[1]}", flush=True)
        while True:
            try:
                Connection(hub, listener.accept()[0])
            except OSError:  # too many files are open
                time.sleep(TICK)


if __name__ == "__main__":
    main()
