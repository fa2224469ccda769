"""The conformance suite: it says whether a server, a client or a codec obeys the specification.

A *check* (`servers.check`) names one clause and has two parts.  Its *stimulus* makes some parties send something to the
server, and everything that happens is written into a transcript (`transcripts`).  Its *judgement* reads only the
transcript (`judging`).  So the same judgement can also be made later, by another judge, or on a transcript from elsewhere.

    from improto_conformance import check_codec, check_server

    check_server(make)                       # make() returns an improto.service.Service
    check_server("tcp://127.0.0.1:6666")

`improto check server` does the same on the command line, with reports.

    check_codec(codec)                       # raises NotConformant if the codec does not obey the specification
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:  # the plugin of pytest is in this package, and is to load fast
    from improto_conformance.codecs.checks import CodecChecks, check_codec
    from improto_conformance.profile import Profile
    from improto_conformance.results import NotConformant
    from improto_conformance.servers.embed import ServerChecks, check_server

__all__ = ["CodecChecks", "NotConformant", "Profile", "ServerChecks", "check_codec", "check_server"]

_PLACES: Final = {
    "CodecChecks": "codecs.checks",
    "NotConformant": "results",
    "Profile": "profile",
    "ServerChecks": "servers.embed",
    "check_codec": "codecs.checks",
    "check_server": "servers.embed",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
