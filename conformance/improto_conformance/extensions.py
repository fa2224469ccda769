"""Commands of extensions, which a server may send to registered clients, and which clients ignore (CLIENT-6)."""

from improto.errors import DecodeError
from improto.messages import COMMANDS, Code

__all__ = ["is_extension"]


def is_extension(error: DecodeError) -> bool:
    """Tell whether what could not be read is well-formed and of a command that the specification does not have.

    A server that sends a command of clients sends nonsense.
    """
    return error.code == Code.UNKNOWN_COMMAND and error.explanation.partition(" ")[0] not in COMMANDS
