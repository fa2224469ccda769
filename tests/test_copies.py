"""Tests of copies of the reference."""

import sys

import pytest

import improto.messages
from improto_conformance.profile import Profile
from improto_conformance.results import Verdict
from improto_conformance.servers.checks import CHECKS
from improto_conformance.servers.runner import Settings, conduct
from improto_conformance.zoo import copies

NOBODY = "from improto.codec import Codec\nraise RuntimeError('no codec')\n"


def test_conforms() -> None:
    """A copy without an edit passes all checks, and speaks each codec."""
    copy = copies.in_memory(copies.load({}))
    sent = [check for check in CHECKS if check.clause.startswith("SEND")]
    for checks, profile in ((CHECKS, Profile(["pickle"])), (sent, Profile())):
        results = conduct(copy, checks, Settings(profile))
        assert {result.verdict for result in results} == {Verdict.PASSED}


def test_apart() -> None:
    """A copy shares no class with the suite's own reference or another copy, and leaves no trace in `sys.modules`."""
    before = dict(sys.modules)
    kinds = {
        improto.messages.Join,
        *(copies.load({}).module("improto.messages").Join for _ in range(2)),
        copies.load({}).module("improto_codecs.pickle_codec").Machine,
    }
    assert len(kinds) == 4
    assert sys.modules == before


def test_relative_imports() -> None:
    """A relative import in a copy is of the copy."""
    copy = copies.load({})
    machine = copy.module("improto_codecs.opcodes").Machine
    assert copy.module("improto_codecs.pickle_codec").Machine is machine


def test_edited() -> None:
    """What is given stands in place of the installed text, for the modules that import it too."""
    text = copies.source("improto/limits.py").replace("name: int = 64", "name: int = 7")
    copy = copies.load({"improto/limits.py": text})
    assert copy.service().hub.limits.name == 7
    assert copies.load({}).service().hub.limits.name == 64


def test_what_it_raises() -> None:
    """What a copy raises, when it is made too, is the fault of the target: a failure."""
    copy = copies.load({"improto_codecs/json_codec.py": NOBODY})
    checks = [check for check in CHECKS if check.name == "SEND-2/to-all-members"]
    [result] = conduct(copies.in_memory(copy), checks, Settings(Profile(["json"]), jobs=1))
    assert result.verdict is Verdict.FAILED
    assert result.complaints[-1] == "the server raised RuntimeError('no codec')"


def test_what_its_modules_raise() -> None:
    """A copy that cannot even be imported is a target nevertheless, and fails each check."""
    copy = copies.load({"improto/messages.py": "raise ValueError('no module')"})
    [result] = conduct(copies.in_memory(copy), CHECKS[:1], Settings(Profile(["json"])))
    assert result.verdict is Verdict.FAILED


@pytest.mark.parametrize("path", ["improto/nothing.py", "improto_conformance/zoo/meeting.py", "os.py"])
def test_no_such_file(path: str) -> None:
    """A text for a file that copies do not have is refused."""
    with pytest.raises(KeyError, match="the reference has no file"):
        copies.load({path: ""})
