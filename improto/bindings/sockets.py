"""What the bindings on sockets have in common: listening, what the system knows of a peer, and words for its errors."""

import errno
import logging
import os
import socket
import ssl
import stat
import struct
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final, Protocol, cast

from improto.addresses import Address
from improto.errors import CannotConnect, InvalidMessage, UsageError
from improto.messages import Error, Register
from improto.service import Credentials, Peer, Service

__all__ = [
    "NO_ROOM_YET",
    "UNDECIDED",
    "WANTED",
    "ServerTLS",
    "Shortage",
    "Watchable",
    "ask_first",
    "cannot_connect",
    "certified_name",
    "check_place",
    "check_tls",
    "client_tls",
    "context_now",
    "credentials",
    "file_id",
    "free_path",
    "host_of",
    "place",
    "remove_socket",
    "system_reason",
    "tcp_listeners",
    "unix_listener",
    "usable",
    "watch",
]

_PROBES: Final = 5
_LONGEST: Final = 32_767  # the most seconds that the system takes for a keep-alive
_RETRY: Final = 0.1  # seconds until the next try to accept, when there was no descriptor
_AGAIN: Final = 60.0  # … and until that is reported again
_OUT_OF_TIME: Final = (9, 10)  # OpenSSL's codes: the certificate is not yet valid, or has expired
_NOT_OURS: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
_TRIES: Final = 10  # to find a port that is free at all addresses of a name
_BACKLOG: Final = 1024  # how many connections may wait to be accepted
# What `accept` says of one connection only, which is gone then; on Linux that may be an error of the network.
_GONE: Final = frozenset(
    (
        errno.ECONNABORTED,
        errno.ECONNRESET,
        errno.EPROTO,
        errno.ETIMEDOUT,
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
    )
)

NO_ROOM_YET: Final = 0.05
"""Seconds until a client tries again to connect to a Unix socket at which too many wait; no system call waits for that."""
UNDECIDED: Final = "nobody can decide about you now; try again later"
"""Why a user is refused if `admit` has raised, or has given a reason that no message can hold."""
WANTED: Final = "does it want a certificate (--tls-cert FILE, or tls= in a program)?"
"""Advice for when a server breaks off while TLS begins."""

ServerTLS = ssl.SSLContext | Callable[[], ssl.SSLContext]
"""The TLS context of a listener, or a function that gives the one for each new connection.

With a function, a new context can take the place of the old one while the server runs.  There is no other way to take an
authority away: a context forgets none, and lets those resume their sessions whom it has let in before.  If the function
raises, or gives anything else, the connection is closed, and the log says why.
"""

_log = logging.getLogger(__name__)


class Shortage:
    """Says what to do when accepting fails, as it does at each try while there are no descriptors, or it is forbidden."""

    def __init__(self) -> None:
        """Begin with nothing reported."""
        self._report_at = 0.0

    def pause(self, error: OSError, now: float) -> float:
        """Give how many seconds to wait before the next try.  The reason is logged once a minute."""
        if error.errno in _GONE:
            return 0.0
        if now >= self._report_at:
            self._report_at = now + _AGAIN
            _log.error("no more connections can be accepted (%s); they wait", error.strerror)
        return _RETRY


def ask_first(service: Service, ask: Callable[[Peer, Register], None] | None) -> None:
    """Have `ask` called about each REGISTER, if the hub's policy is to ask.

    UsageError if there is only one of the two: nobody would be asked, or nobody would ever answer.
    """
    if ask is not None:
        if not service.hub.policy.ask:
            raise UsageError("nobody calls `admit`: give the hub Policy(ask=True)")
        service.on_ask = ask
    elif service.hub.policy.ask and service.on_ask is None:
        raise UsageError("with Policy(ask=True), the server needs `admit`, to decide about each REGISTER")


def usable(refusal: str | None) -> str | None:
    """Give what `admit` has given.  InvalidMessage if that is no reason, or one that no message can hold."""
    if refusal is not None:
        if not isinstance(cast(object, refusal), str):
            reason = f"give None to admit the user, or the reason of a refusal, and not {refusal!r}"
            raise InvalidMessage("admit", reason)
        Error(refusal)
    return refusal


class Watchable(Protocol):
    """A socket, of Python itself or of another library."""

    @property
    def family(self) -> int:
        """The family of its addresses."""
        ...

    def setsockopt(self, level: int, option: int, value: int, /) -> None:
        """Set an option."""


def watch(sock: Watchable, seconds: float) -> None:
    """Have short messages sent at once, and the system find out if the peer's host has vanished (CONN-28).

    The connection breaks if nothing that is sent is acknowledged for so many seconds.  Where nothing is sent, probes begin
    after half of that time; it breaks if five of them get no answer, which takes up to five sixths of that time.
    OSError if the peer has gone already, as on macOS.
    """
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # nothing waits for an acknowledgement
    seconds = min(seconds, _LONGEST)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_USER_TIMEOUT", int(seconds * 1000)),
        ("TCP_KEEPIDLE", max(1, int(seconds / 2))),
        ("TCP_KEEPINTVL", max(1, int(seconds / 6))),
        ("TCP_KEEPCNT", _PROBES),
    ):
        # Systems other than Linux lack some of them; there, `Bounds.write` alone has to do.
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def cannot_connect(address: Address | str, error: OSError, seconds: float) -> CannotConnect:
    """Say why no connection could be made within so many seconds, and what to do about it."""
    match error:
        case ssl.SSLCertVerificationError(verify_code=code) if code in _OUT_OF_TIME:
            return CannotConnect(
                f"the certificate of {address} is not valid now ({error.verify_message}); "
                "the server needs a new one, unless the clock here is wrong"
            )
        case ssl.SSLCertVerificationError():
            return CannotConnect(
                f"the certificate of {address} is not trusted ({error.verify_message}); check the address, "
                "or trust the authority that has signed it (--ca FILE, or tls= in a program)"
            )
        case ssl.SSLError() | ConnectionResetError() | ConnectionAbortedError() if _secure(address):
            return CannotConnect(
                f"no TLS with {address} ({system_reason(error)}); is it tcp:// or ws:// there, or {WANTED}"
            )
        case TimeoutError() if error.errno is None:
            return CannotConnect(f"{address} does not answer within {seconds:g} s; check the address")
        case _:
            scheme = str(address).partition(":")[0]
            option = {"unix": " --unix PATH", "ws": " --websocket PORT", "wss": " --websocket PORT"}
            return CannotConnect(
                f"no server at {address} ({system_reason(error)}); "
                f"start one with: improto serve{option.get(scheme, '')}"
            )


def client_tls(url: str, tls: ssl.SSLContext | None, *, secure: bool) -> ssl.SSLContext | None:
    """Give the TLS context for a client: `tls`, or else one that trusts what the system trusts; None if not `secure`.

    UsageError if the URL is not `secure` and yet `tls` is given, since everything would be sent in the clear.
    """
    if secure:
        return tls or ssl.create_default_context()
    if tls is not None:
        raise UsageError(f"at {url!r} there is no TLS: write tls:// or wss://, or leave tls= out")
    return None


def context_now(tls: ServerTLS) -> ssl.SSLContext:
    """Give the context for a connection that begins now; OSError, and the log says why, if there is none."""
    try:
        return _for_servers(tls if isinstance(tls, ssl.SSLContext) else tls())
    except Exception as error:
        _log.exception("a connection was closed, since `tls` gives no context")
        raise OSError from error


def _secure(address: Address | str) -> bool:
    return str(address).startswith(("tls:", "wss:"))


def system_reason(error: OSError) -> str:
    """Give the reason that the system has, without the sentence that asyncio puts around it."""
    if error.errno is not None and error.errno > 0 and not isinstance(error, ssl.SSLError):
        return os.strerror(error.errno)
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    return error.strerror or str(error) or "it breaks off"


def credentials(sock: socket.socket) -> Credentials | None:
    """Give the process at the other end of a Unix socket; None on other sockets, and where the system does not tell."""
    if sock.family != socket.AF_UNIX or not hasattr(socket, "SO_PEERCRED"):
        return None
    size = struct.calcsize("3i")
    return Credentials(*struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)))


def certified_name(certificate: Mapping[str, Any] | None) -> str | None:
    """Give the common name in a peer's certificate, as `getpeercert` gives it; None if there is no certificate.

    A certificate with no common name, or with several, gives the empty name, which nobody can register.
    """
    if not certificate:
        return None
    names = [value for parts in certificate["subject"] for key, value in parts if key == "commonName"]
    return names[0] if len(names) == 1 else ""


def check_place(host: str, port: int) -> None:
    """UsageError if `port` is no port number, of which `getaddrinfo` would take some bits, or `host` can be no name."""
    if not 0 <= port < 2**16:
        raise UsageError(f"a port is a number from 0 to 65535, and not {port}")
    try:
        host.encode("idna")
    except UnicodeError:
        raise UsageError(f"{host!a} is neither an address nor a name of a host") from None


def check_tls(tls: ServerTLS | None) -> None:
    """UsageError if `tls` is neither a context for servers nor a function: nobody could ever connect."""
    if tls is not None and not callable(tls):
        _for_servers(tls)


def _for_servers(context: ssl.SSLContext) -> ssl.SSLContext:
    """Give back a context for servers; UsageError if it is none."""
    given = repr(context)
    if isinstance(cast(object, context), ssl.SSLContext):
        # In one for clients, both are set; the second one alone makes some calls of `ssl` ask for a server's name.
        if context.protocol is not ssl.PROTOCOL_TLS_CLIENT and not context.check_hostname:
            return context
        given = f"one with {context.protocol.name} and check_hostname={context.check_hostname}"
    raise UsageError(
        "tls= takes a context for servers, as ssl.create_default_context(ssl.Purpose.CLIENT_AUTH) makes it, "
        f"and not {given}"
    )


def tcp_listeners(found: Iterable[tuple[int, int, int, str, Any]], port: int) -> list[socket.socket]:
    """Listen on all addresses that `getaddrinfo` has found, on the same port.

    Addresses that this host does not have are left out: `localhost` stands for ::1 even where there is no IPv6.  At ::,
    those who come by IPv4 are accepted as well, unless the system cannot do that.  OSError if nothing can listen there.
    """
    places = [(family, place) for family, _, _, _, place in dict.fromkeys(found)]
    for _ in range(_TRIES):
        try:
            return _listeners(places, port)
        except OSError as error:
            # If the port is 0, the one that is free at the first address may be taken at another.
            if port or error.errno != errno.EADDRINUSE:
                raise
    return _listeners(places, port)


def _listeners(places: Iterable[tuple[int, Any]], port: int) -> list[socket.socket]:
    made: list[socket.socket] = []
    failures: list[OSError] = []
    for family, (host, _, *rest) in places:
        if made:  # if the port is 0, all take the one that was free for the first
            port = made[0].getsockname()[1]
        both = host == "::" and socket.has_dualstack_ipv6()
        try:
            listener = socket.create_server(
                (host, port, *rest), family=family, backlog=_BACKLOG, dualstack_ipv6=both
            )
            made.append(listener)
        except OSError as error:
            failures.append(error)
    serious = [each for each in failures if each.errno not in _NOT_OURS]
    if serious or not made:
        for sock in made:
            sock.close()
        raise (serious or failures)[0]
    return made


def host_of(peername: tuple[Any, ...]) -> str:
    """Give the address of a peer on TCP; one of IPv4 as such, also if the peer came to a listener of both."""
    host = str(peername[0])
    return host.removeprefix("::ffff:") if "." in host else host


def place(listener: socket.socket) -> tuple[str, int]:
    """Give the address and port of a listener; the address with its interface if it needs one, such as fe80::1%eth0."""
    numbers = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
    host, port = socket.getnameinfo(listener.getsockname(), numbers)
    return host, int(port)


def unix_listener(path: str) -> socket.socket:
    """Listen on a Unix socket.  OSError if nothing can listen there, UsageError if `path` is none."""
    if not path or "\0" in path:
        raise UsageError(f"{path!a} is no path of a Unix socket; name a file that need not exist yet")
    listener = socket.socket(socket.AF_UNIX)
    try:
        with _alone(path):
            free_path(path)
            listener.bind(path)
            listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno is not None:  # else it says that the path is too long
            error.filename = path
        raise
    return listener


@contextmanager
def _alone(path: str) -> Generator[None]:
    """Keep other servers from taking or removing the socket at `path`; OSError if one of them is just doing that.

    Without this, one of two servers that find a socket left behind could remove the one that the other has just made; so
    could one that looks before the other listens.  The lock lasts for a moment, and its file goes with it.  If a process is
    killed in this moment, its file remains, and the next server takes it.
    """
    import fcntl  # Windows has none

    name = f"{path}.improto-lock"
    lock = os.open(name, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # If its last owner has removed the file meanwhile, others make a new one.
            held = os.fstat(lock).st_nlink > 0
        except BlockingIOError:
            held = False
        if not held:
            raise _in_use(path)
        try:
            yield
        finally:
            os.unlink(name)
    finally:
        os.close(lock)


def _in_use(path: str) -> OSError:
    return OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE), path)


def file_id(path: str) -> tuple[int, int]:
    """Give what tells a file from another one that takes its place.  OSError if there is none."""
    found = os.stat(path)
    return found.st_dev, found.st_ino


def remove_socket(path: str, made: tuple[int, int]) -> None:
    """Remove the socket whose id is `made`, unless another server has put its own in its place."""
    # It is gone, or we may no longer remove it, or another server is just taking it over.
    with suppress(OSError), _alone(path):
        if file_id(path) == made:
            os.unlink(path)


def free_path(path: str) -> None:
    """Remove a socket that a server has left behind.  OSError if somebody listens there, or if it is another file."""
    try:
        is_socket = stat.S_ISSOCK(os.stat(path).st_mode)
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)  # if the queue of connections is full, somebody listens
        if not is_socket or probe.connect_ex(path) != errno.ECONNREFUSED:
            raise _in_use(path)
    os.unlink(path)
