"""The specification as one document: the chapters in `source/`, with what the tables of the code say put in.

A line of a chapter that begins with `@` is replaced:

    @clauses JOIN-1..JOIN-3 CONV-1    these clauses, which then are nowhere else
    @why                              the origins of the clauses since the last such line
    @messages                         the table of all messages
    @message JOIN                     the fields of one, and an example in all codecs
    @transitions                      the table of states
    @grammar                          the grammar of the ascii form
"""

from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files
from typing import Final

from improto.codec import load
from improto.errors import UsageError
from improto.messages import (
    COMMANDS,
    AnyMessage,
    Conversations,
    Error,
    Goodbye,
    Invitation,
    Invite,
    Join,
    Kind,
    Leave,
    ListConversations,
    Message,
    OnlineUsers,
    Register,
    Role,
    SendMessage,
    Status,
)
from improto.states import TRANSITIONS
from improto_spec import Clause, clauses
from improto_spec.render import grammar

__all__ = ["EXAMPLES", "chapters", "render"]

EXAMPLES: Final[Sequence[AnyMessage]] = (
    Register("ann", "at work"),
    OnlineUsers({"ann": "at work", "bo": ""}),
    Status("café"),
    Goodbye(),
    Invite(("bo", "cy")),
    Invitation("7", "ann"),
    ListConversations(),
    Conversations({"7": ("ann", "bo"), "8": ()}),
    Join("7"),
    SendMessage("7", "hi, ann"),
    Message("7", "bo", "hi, ann"),
    Leave("7"),
    Error("not-member: join conversation 7 first"),
)
"""One message of each command, for the examples."""

_CODECS: Final = ("ascii", "json", "msgpack", "pickle")
_BYTES_A_LINE: Final = 24


def render() -> str:
    """Give the whole document, in Markdown; UsageError if a clause stands in it not once."""
    return "\n".join(_document()) + "\n"


@cache
def chapters() -> dict[str, str]:
    """Give the heading under which each clause stands, with its number."""
    found, heading = dict[str, str](), ""
    for line in _document():
        if line.startswith("##"):
            heading = line.lstrip("# ")
        elif line.startswith("- **"):
            found[line.split("**")[1]] = heading
    return found


def _document() -> Iterator[str]:
    placed: list[str] = []
    since: list[Clause] = []
    folder = files("improto_spec") / "source"
    for chapter in sorted(folder.iterdir(), key=lambda file: file.name):
        for line in chapter.read_text(encoding="utf-8").splitlines():
            if not line.startswith("@"):
                yield line
                continue
            directive, *arguments = line.removeprefix("@").split()
            match directive, arguments:
                case "clauses", [*ranges]:
                    found = [clauses()[id] for each in ranges for id in _ids(each)]
                    placed += [clause.id for clause in found]
                    since += found
                    yield from map(_clause, found)
                case "why", []:
                    yield from _why(since)
                    since = []
                case "messages", []:
                    yield from _messages()
                case "message", [command]:
                    yield from _message(command)
                case "transitions", []:
                    yield from _transitions()
                case "grammar", []:
                    yield from ("```abnf", *grammar.render().splitlines(), "```")
                case _:
                    raise UsageError(
                        f"{chapter.name} has the line {line!r}; see {__name__} for what there is"
                    )
        yield ""
    for id in clauses():
        if placed.count(id) != 1:
            raise UsageError(
                f"{id} stands in the chapters {placed.count(id)} times; it has to stand there once"
            )
    if since:
        raise UsageError(f"no table gives the origins of {since[0].id} and what follows it; add an @why")


def _ids(given: str) -> list[str]:
    """Give the ids of `JOIN-1` or `JOIN-1..JOIN-3`."""
    first, _, last = given.partition("..")
    area, _, start = first.rpartition("-")
    end = (last or first).rpartition("-")[2]
    return [f"{area}-{number}" for number in range(int(start), int(end) + 1)]


def _clause(clause: Clause) -> str:
    return f"- **{clause.id}** ({clause.role}): {clause.text}"


def _why(found: Sequence[Clause]) -> Iterator[str]:
    yield "| clause | origin | reason | elsewhere |"
    yield "|---|---|---|---|"
    for clause in found:
        cells = (clause.id, clause.origin, clause.reason, clause.elsewhere)
        yield f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


def _messages() -> Iterator[str]:
    yield "| command | from | fields, in order | delivery class |"
    yield "|---|---|---|---|"
    for command, message in COMMANDS.items():
        fields = ", ".join(_field(name, kind) for name, kind in message.FIELDS) or "none"
        delivery = "" if message.FROM is Role.CLIENT else str(getattr(message, "DELIVERY", ""))
        if message is OnlineUsers:
            delivery += "; the first one on a connection: reply"
        yield f"| {command} | {message.FROM} | {fields} | {delivery} |"


def _field(name: str, kind: Kind) -> str:
    if kind is Kind.NAMES:
        return f"`{name}`: names …"
    return f"`{name}`" if name == kind.value else f"`{name}`: {kind.value}"


def _message(command: str) -> Iterator[str]:
    [example] = [message for message in EXAMPLES if command == message.COMMAND]
    fields = ", ".join(_field(name, kind) for name, kind in example.FIELDS) or "none"
    yield f"{command}, from a {example.FROM}.  Fields: {fields}."
    yield ""
    yield "```"
    for name in _CODECS:
        codec = load(name)
        yield from _shown(name, codec.frame(codec.encode(example)))
    yield "```"
    yield ""


def _shown(name: str, data: bytes) -> Iterator[str]:
    """Show bytes as text, or in hexadecimal if they are not all printable."""
    text = data.decode("utf-8", "replace").replace("\n", "␊")
    if name != "msgpack" and text.isprintable() and "\ufffd" not in text:
        yield f"{name:<9}{text}"
        return
    for at in range(0, len(data), _BYTES_A_LINE):
        yield f"{name if not at else '':<9}{data[at : at + _BYTES_A_LINE].hex(' ')}"


def _transitions() -> Iterator[str]:
    yield "| state | command | sent by | next state |"
    yield "|---|---|---|---|"
    for state, row in TRANSITIONS.items():
        for message, after in row.items():
            yield f"| {state} | {message.COMMAND} | {message.FROM} | {after} |"
