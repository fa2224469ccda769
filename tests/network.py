"""A network of two hosts that faults can be done to: this one, and a namespace of the system with a cable to it."""

import json
import os
import socket
import subprocess
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Network, IPv6Address
from pathlib import Path
from typing import Final

import pytest

__all__ = ["Network", "full", "link_local", "named", "neighbours", "network", "silent"]

_TESTING: Final = IPv4Network("198.18.0.0/15")  # the addresses for tests of networks (RFC 2544)
_CABLE: Final = 4  # so many addresses of them are one cable's


class Network:
    """The cable; `network` makes it."""

    def __init__(self) -> None:
        """Name the namespace and the ends of the cable, with addresses of this process: others may have theirs laid, too."""
        first = os.getpid() * _CABLE % _TESTING.num_addresses
        self._host = str(_TESTING[first + 1])
        self.host = str(_TESTING[first + 2])
        """Where a server in the namespace listens."""
        self._namespace = f"improto{os.getpid()}"
        self._here, self._there = f"im{os.getpid()}a", f"im{os.getpid()}b"

    @property
    def prefix(self) -> list[str]:
        """What a command begins with that is to run in the namespace."""
        return ["ip", "netns", "exec", self._namespace]

    def lay(self) -> None:
        """Make namespace and cable; CalledProcessError or FileNotFoundError if that is not permitted."""
        _run("ip", "netns", "add", self._namespace)
        _run("ip", "link", "add", self._here, "type", "veth", "peer", self._there, "netns", self._namespace)
        for command, end, address in (
            (["ip"], self._here, self._host),
            (["ip", "-n", self._namespace], self._there, self.host),
        ):
            _run(*command, "addr", "add", f"{address}/30", "dev", end)
            _run(*command, "link", "set", end, "up")

    def remove(self) -> None:
        """Remove what was made of it."""
        subprocess.run(["ip", "netns", "del", self._namespace], capture_output=True, check=False)
        subprocess.run(["ip", "link", "del", self._here], capture_output=True, check=False)

    def cut(self) -> None:
        """Cut the cable."""
        _run("ip", "link", "set", self._here, "down")

    def mend(self) -> None:
        """Mend it."""
        _run("ip", "link", "set", self._here, "up")

    def lose(self) -> None:
        """Have packets get lost, both ways, because the cable takes a few at a time only."""
        rule = ("root", "tbf", "rate", "40mbit", "burst", "3100", "limit", "15000")
        for command, end in (([], self._here), (self.prefix, self._there)):
            _run(*command, "ip", "link", "set", end, "gso_max_segs", "1")  # else all of a write is one packet
            _run(*command, "tc", "qdisc", "add", "dev", end, *rule)

    def lost(self) -> int:
        """Tell how many packets the namespace's end has lost."""
        told = _run(*self.prefix, "tc", "-s", "-j", "qdisc", "show", "dev", self._there)
        return int(json.loads(told)[0]["drops"])


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout


@contextmanager
def network() -> Generator[Network]:
    """Give a network; the test is skipped where there can be none."""
    made = Network()
    try:
        try:
            made.lay()
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(
                f"no network namespaces: they need iproute2, root and a system that has them ({error})"
            )
        yield made
    finally:
        made.remove()


@contextmanager
def neighbours() -> Generator[tuple[str, str]]:
    """Give this host two more IPv6 addresses of one /64; the test is skipped where it can have none."""
    subnet = f"fd00:{os.getpid() >> 16:x}:{os.getpid() & 0xFFFF:x}:"
    addresses = f"{subnet}:1", f"{subnet}:2"
    try:
        for address in addresses:
            _run("ip", "addr", "add", f"{address}/128", "dev", "lo", "nodad")  # else it is not there at once
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no more addresses: they need iproute2, root and IPv6 ({error})")
    try:
        yield addresses
    finally:
        for address in addresses:
            subprocess.run(
                ["ip", "addr", "del", f"{address}/128", "dev", "lo"], capture_output=True, check=False
            )


def link_local() -> str:
    """Give an address of this host that needs its interface; the test is skipped where there is none."""
    table = Path("/proc/net/if_inet6")
    for line in table.read_text().splitlines() if table.exists() else ():
        number, _, _, scope, _, interface = line.split()
        if scope == "20":
            return f"{IPv6Address(bytes.fromhex(number))}%{interface}"
    pytest.skip("no link-local address: it needs IPv6 and an interface")


def named(patch: pytest.MonkeyPatch, name: str, hosts: Sequence[str]) -> None:
    """Let a name stand for some IPv4 addresses: no name is like that everywhere."""
    found = socket.getaddrinfo

    def faked(host: str, port: int, *rest: int, **options: int) -> list[object]:
        if host != name:
            return [*found(host, port, *rest, **options)]
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (each, port)) for each in hosts]

    patch.setattr(socket, "getaddrinfo", faked)


@contextmanager
def silent(host: str, port: int) -> Generator[None]:
    """Have an address of this host at which nobody answers, since too many wait there to be accepted."""
    with socket.create_server((host, port), backlog=0), socket.create_connection((host, port)):
        yield


@contextmanager
def full(path: str) -> Generator[None]:
    """Have a Unix socket at which too many wait to be accepted."""
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as waiting:
        listener.bind(path)
        listener.listen(0)
        waiting.connect(path)
        yield
