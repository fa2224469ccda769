"""What a sender may write in the two codecs of lines; it uses the grammar of ascii, and `json`."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from improto_conformance.judging.sent.fields import FIELDS, MAPS, NAME, Found, shown, value_of

__all__ = ["in_ascii", "in_json"]


def lines(stream: bytes, clause: str, *, ended: bool) -> Iterator[bytes | tuple[str, str]]:
    *lines, rest = stream.split(b"\n")
    yield from (line.removesuffix(b"\r") for line in lines)
    if rest and ended:
        yield clause, f"{shown(rest)}, which no line feed ends"


_ESCAPE: Final = (
    r'\\(?:["\\/bfnrt]|u(?:[0-9A-CEFa-cef][0-9A-Fa-f]|[Dd][0-7])[0-9A-Fa-f]{2}'
    r"|u[Dd][89ABab][0-9A-Fa-f]{2}\\u[Dd][C-Fc-f][0-9A-Fa-f]{2})"
)
_QUOTED: Final = rf'"(?:[ !#-\[\]-~]|{_ESCAPE})*"'
_WORD: Final = r"[!#-'*-Z\\^-z|~][!#-~]*"
_ATOM: Final = r"[!#-+\--<>-~]+"
_ITEM: Final = rf"(?:{_ATOM}|{_QUOTED})"
_FIELD: Final = re.compile(rf" +(?:{_QUOTED}|{_WORD})(?= |$)")
_ENTRY: Final = re.compile(rf" +{_ITEM}={_ITEM}(?= |$)")
_LIST: Final = re.compile(rf" +{_ITEM}=(?:{_ITEM}(?:,{_ITEM})*)?(?= |$)")
_BARE: Final = re.compile(r'[\["({})\]]')


def in_ascii(stream: bytes, ended: bool) -> Found:
    for line in lines(stream, "ASCII-2", ended=ended):
        if isinstance(line, tuple):
            yield line
        elif line.strip(b" "):
            yield from _ascii_line(line)


def _ascii_line(data: bytes) -> Found:
    line = data.decode("latin-1").strip(" ")
    command, _, _ = line.partition(" ")
    rest = line[len(command) :]
    if not NAME.fullmatch(command):
        yield "ASCII-1", f"{shown(data)}, which does not begin with a command"
        return
    if command not in FIELDS:
        return
    is_map = command in ("ONLINE_USERS", "CONVERSATIONS")
    part = {"ONLINE_USERS": _ENTRY, "CONVERSATIONS": _LIST}.get(command, _FIELD)
    at = count = 0
    while at < len(rest):
        found = part.match(rest, at)
        if found is None:
            clause = _ascii_clause(rest[at:].lstrip(" "), is_map=is_map)
            yield clause, f"{shown(data)}, which fits no grammar from {rest[at : at + 30]!a} on"
            return
        at, count = found.end(), count + 1
    if not is_map and count != len(FIELDS[command]):
        clause = "ASCII-8" if count < len(FIELDS[command]) else "ASCII-1"
        yield ("ERROR-1" if command == "ERROR" else clause), f"{shown(data)}, which has {count} fields"


def _ascii_clause(part: str, *, is_map: bool) -> str:
    """Tell which clause a part violates that fits no grammar."""
    if re.match(r'"(?:[^"\\]|\\.)*\\u[Dd][89A-Fa-f]', part) and not re.search(r"\\[^\"\\/bfnrtu]", part):
        return "ASCII-9"
    if any(not " " <= character <= "~" for character in part):
        return "ASCII-4" if '"' in part or any(character > "~" for character in part) else "ASCII-1"
    if is_map:
        return "ASCII-7"
    return "ASCII-4" if part.startswith('"') else "ASCII-6" if _BARE.search(part) else "ASCII-1"


def in_json(stream: bytes, ended: bool) -> Found:
    for line in lines(stream, "JSON-4", ended=ended):
        if isinstance(line, tuple):
            yield line
        elif line.strip(b" \t\r"):
            for clause, text in _json_line(line, stream):
                yield clause, text
                if clause == "JSON-4":
                    return  # the other parts of the object tell nothing new


def _json_line(data: bytes, stream: bytes) -> Found:
    twice: list[str] = []

    def made(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) < len(pairs):
            twice.extend(key for key, number in Counter(key for key, _ in pairs).items() if number > 1)
        return found

    try:
        text = data.decode()
    except UnicodeDecodeError:
        yield "JSON-10", f"{shown(data)}, which is not UTF-8"
        return
    if text.startswith("\ufeff"):
        yield "JSON-8", f"{shown(data)}, which begins with a byte order mark"
        return
    try:
        members: Any = json.loads(text, object_pairs_hook=made, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        broken = _is_broken(stream[stream.index(data) :])
        yield ("JSON-4" if broken else "JSON-1"), f"{shown(data)}, which is no object on one line"
        return
    found = cast("dict[str, object]", members) if isinstance(members, dict) else {}
    command = found.get("type")
    if not isinstance(command, str) or not NAME.fullmatch(command):
        yield "JSON-1", f"{shown(data)}, which is no object with a command as its type"
        return
    if twice:
        yield "CODEC-7", f"{shown(data)}, where {twice[0]!a} stands twice"
    if command in FIELDS:
        yield from _json_fields(command, found, data)


def _json_fields(command: str, members: Mapping[str, object], data: bytes) -> Found:
    for name in FIELDS[command]:
        if name not in members:
            yield "JSON-2", f"{shown(data)}, which has no {name}"
        else:
            clause = "JSON-3" if name in MAPS else "ERROR-1" if command == "ERROR" else "CODEC-7"
            yield from value_of(name, members[name], clause, "CODEC-7", data)
    if len(members) > 1 + len(FIELDS[command]) and members.keys() >= set(FIELDS[command]):
        yield "CONN-12", f"{shown(data)}, which has more members than {command}"


def _is_broken(rest: bytes) -> bool:
    """Tell whether an object goes on over the line's end."""
    try:
        json.JSONDecoder(strict=False, parse_constant=_no_constant).raw_decode(
            rest.decode("utf-8", "replace")
        )
    except (ValueError, RecursionError):
        return False
    return True


def _no_constant(name: str) -> None:
    raise ValueError(name)
