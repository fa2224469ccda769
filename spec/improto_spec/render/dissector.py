"""`improto.lua`: a dissector for Wireshark, which shows a capture of any of the four codecs as messages.

The template `improto.lua.in` holds all that is about codecs, and opens with how it works.  What it takes from
the tables is filled in here: the commands with their senders and fields, and the bounds by which a payload is
over-long.  So a new command is shown as soon as it is in the table, and a new kind of field as a text.
"""

import re
from importlib.resources import files
from typing import Final

from improto.limits import DEPTH, Limits
from improto.messages import COMMAND_NAME, COMMANDS, AnyMessage, Role

__all__ = ["render"]

_PORT: Final = 6666  # CONN-3
_PLACE: Final = re.compile(r"@([A-Z_]+)@")


def render() -> str:
    """Give the whole Lua source."""
    values = {
        "PORT": str(_PORT),
        "MAX_COMMAND": str(_longest_command()),
        "DEPTH": str(DEPTH),
        "REQUEST": str(Limits().payload(Role.CLIENT, registered=True)),
        "ROSTER": str(Limits().payload(Role.SERVER, registered=True)),
        "COMMANDS": "\n".join(map(_command, COMMANDS.values())),
    }
    template = files("improto_spec.render").joinpath("improto.lua.in").read_text(encoding="utf-8")
    return _PLACE.sub(lambda place: values[place[1]], template)


def _longest_command() -> int:
    """Give how long a command's name may be, which the pattern of names says last (CODEC-4)."""
    return int(re.findall(r"[0-9]+", COMMAND_NAME.pattern)[-1])


def _command(message: type[AnyMessage]) -> str:
    fields = "".join(f', {{name = "{name}", kind = "{kind.name.lower()}"}}' for name, kind in message.FIELDS)
    return f'    {{name = "{message.COMMAND}", from = "{message.FROM}"{fields}}},'
