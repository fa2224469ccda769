"""What the json codec does faster with the package `orjson`, if it is installed: the same, byte by byte.

It writes all messages.  It reads only maps in which nothing is escaped and nothing nested: other JSON it does not
take or refuse as the standard library and the bounds of this project do.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import cast

from improto.messages import AnyMessage
from improto_codecs.canonical import Writer

__all__ = ["parser", "writers"]

Parser = Callable[[str], dict[str, str]]

_orjson: ModuleType | None
try:
    _orjson = import_module("orjson")
except ImportError:
    _orjson = None


def parser(plain: Parser) -> Parser:
    """Give what reads a map faster, or else `plain`; ValueError if it is no JSON."""
    return plain if _orjson is None else cast("Parser", _orjson.loads)


def writers(plain: Mapping[type[AnyMessage], Writer]) -> Mapping[type[AnyMessage], Writer]:
    """Give what writes messages of each class faster, or else `plain`."""
    if _orjson is None:
        return plain
    return {message: _writer(message, slower, _orjson.dumps) for message, slower in plain.items()}


def _writer(message: type[AnyMessage], plain: Writer, dumps: Callable[[object], bytes]) -> Writer:
    members = [f'"{name}": message.{name}' for name, _ in message.FIELDS]
    members.insert(0, f'"type": "{message.COMMAND}"')  # JSON-2, JSON-3
    source = [
        "def write(message):",
        f" try: return dumps({{{', '.join(members)}}})",
        " except TypeError: return plain(message)",  # a key is of a class of its own, which it does not take
    ]
    scope: dict[str, object] = {"dumps": dumps, "plain": plain}
    exec("\n".join(source), scope)
    return cast("Writer", scope["write"])
