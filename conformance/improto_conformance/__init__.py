"""The conformance suite: it says whether a server, a client or a codec obeys the specification.

A *check* (`checks`) names one clause and has two parts.  Its *stimulus* makes some parties (`party`) send something to
the server, and everything that happens is written into a transcript (`transcript`).  Its *judgement* reads only the
transcript.  So the same judgement can also be made later, by another judge, or on a transcript from elsewhere.

    from improto_conformance import check_codec, check_server

    check_server(make)                       # make() returns an improto.service.Service
    check_server("tcp://127.0.0.1:6666")

`improto check server` does the same on the command line, with reports.

    check_codec(codec)                       # raises NotConformant if the codec does not obey the specification
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:  # the plugin of pytest is in this package, and is to load fast
    from improto_conformance.codec_checks import CodecChecks, check_codec
    from improto_conformance.embed import NotConformant, ServerChecks, check_server
    from improto_conformance.profile import Profile

__all__ = ["CodecChecks", "NotConformant", "Profile", "ServerChecks", "check_codec", "check_server"]

_PLACES: Final = {"CodecChecks": "codec_checks", "check_codec": "codec_checks"}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES.get(name, 'embed')}"), name)
