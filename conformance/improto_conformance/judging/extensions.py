"""Commands of extensions: what each side may send to the other once the client is registered.

Clients ignore those of servers (CLIENT-6).  Servers answer those of clients with `unknown-command` (CONN-11), or do what
the extension says.
"""

from improto.errors import DecodeError
from improto.messages import COMMANDS, Code

__all__ = ["is_extension", "is_tried"]


def is_extension(error: DecodeError) -> bool:
    """Tell whether what could not be read is well-formed and of a command that the specification does not have.

    A server that sends a command of clients sends nonsense.
    """
    return error.code == Code.UNKNOWN_COMMAND and error.explanation.partition(" ")[0] not in COMMANDS


def is_tried(error: DecodeError) -> bool:
    """Tell whether what a client sent is well-formed and of a command that some servers know and others need not.

    The name of such a command begins with an underscore.
    """
    return error.code == Code.UNKNOWN_COMMAND and error.explanation.startswith("_")
