"""All exceptions that improto raises, in one tree.

    ImprotoError
    ├── UsageError        the calling program broke a rule of the API
    ├── InvalidMessage    a message cannot be built from these values
    ├── DecodeError       bytes from a peer are no message (codecs raise it; the wire layer catches it)
    ├── RegistryError     a codec is unknown, is not installed, or its name is taken twice
    ├── SnapshotError     a snapshot cannot be restored
    ├── CannotConnect     there is no server to talk to
    ├── Lost              a client's connection ended without its GOODBYE
    └── Refused           a server does not take a user, or has no time for a call

What a *peer* does wrong never comes out of the core as an exception: it becomes an ERROR message for the
peer and an event for the embedder.  So an exception out of `Connection`, `Service` or `Hub` means that the
calling program misused them, or that improto has a bug.
"""

__all__ = [
    "CannotConnect",
    "DecodeError",
    "ImprotoError",
    "InvalidMessage",
    "Lost",
    "Refused",
    "RegistryError",
    "SnapshotError",
    "UsageError",
]


class ImprotoError(Exception):
    """The root: catch this to catch everything that improto raises."""


class UsageError(ImprotoError):
    """The calling program asked for something that the protocol or the API forbids; nothing was changed."""


class InvalidMessage(ImprotoError, ValueError):
    """A message cannot be built from these values.  `field` names the one that is wrong."""

    def __init__(self, field: str, reason: str) -> None:
        """Say which `field` is wrong and what it should be."""
        super().__init__(f"{field}: {reason}")
        self.field = field


class DecodeError(ImprotoError, ValueError):
    """Bytes from a peer are not a message.

    `code` is one of `too-large`, `malformed`, `unknown-command`, `invalid` (see `improto.messages.Code`).
    If it is `fatal`, nobody knows where the next message would begin, and the stream is over; otherwise the framing is
    intact, and reading goes on behind the bad message.  `offset` is the byte of the payload at which the fault was
    seen, counted from 0, or None where the codec does not know.
    """

    def __init__(
        self, code: str, explanation: str, *, fatal: bool = False, offset: int | None = None
    ) -> None:
        """Say what is wrong, by `code` and in words, and where."""
        super().__init__(f"{code}: {explanation}")
        self.code = code
        self.explanation = explanation
        self.fatal = fatal
        self.offset = offset


class RegistryError(ImprotoError, LookupError):
    """A codec cannot be loaded; the message says what to install or to change."""


class SnapshotError(ImprotoError, ValueError):
    """A snapshot cannot be restored: it is damaged or of another version."""


class CannotConnect(ImprotoError):
    """There is no server to talk to; the message says where, and what to do."""


class Lost(ImprotoError):
    """A client's connection ended without a GOODBYE of its own (CLIENT-16).

    `code` is that of the ERROR with which the server said why, such as `shutting-down`, or `forbidden` for a user who
    was kicked; None if it did not say.
    """

    def __init__(self, message: str, code: str | None = None) -> None:
        """Say what has happened, and with which `code` the server has ended the connection, if it gave one."""
        super().__init__(message)
        self.code = code


class Refused(ImprotoError):
    """A server does not take a user, or has no time for a call.

    `code` is that of its ERROR, such as `name-in-use` or `rate-limited` (see `improto.messages.Code`); None if that has
    no code.
    """

    def __init__(self, code: str | None, message: str) -> None:
        """Say why, in the server's words."""
        super().__init__(message)
        self.code = code
