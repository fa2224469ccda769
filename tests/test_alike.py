"""Tests of the comparison of what happened in several codecs, or on several targets."""

from dataclasses import replace

from improto.codec import Codec, available, load
from improto.errors import DecodeError
from improto.messages import AnyMessage, Code, Role, SendMessage
from improto.server import Hub
from improto.service import Service
from improto_codecs.json_codec import JsonCodec
from improto_conformance.judging.alike import ALIKE, alike, differences
from improto_conformance.profile import Profile
from improto_conformance.results import Result, Verdict
from improto_conformance.servers.check import Check
from improto_conformance.servers.checks import CHECKS
from improto_conformance.servers.runner import Settings, run
from improto_conformance.servers.stage import Stage
from improto_conformance.servers.targets import Target, in_process, opened
from programs import IMPROTO


class Strict(JsonCodec):
    """Refuses what is said, by an ERROR that is lawful: a server may limit the rate of requests (FLOW-11)."""

    def decode(self, payload: bytes, sender: Role) -> AnyMessage:
        """Read one object."""
        message = super().decode(payload, sender)
        if isinstance(message, SendMessage):
            raise DecodeError(Code.RATE_LIMITED, "say less")
        return message


def say(stage: Stage) -> None:
    """Say something."""
    ann, bo = stage.talk("ann", "bo")
    ann.send(SendMessage(stage.transcript.conversation, "hello"))
    stage.barrier(ann, bo)


SAYING = Check(
    "SEND-1/saying", "SEND-1", "something is said, and nobody judges it", say, judgement=lambda seen: ()
)


def target(json: Codec | None = None) -> Target:
    """Give the reference with ascii and a json codec, in this process."""
    return in_process(lambda: Service(Hub(), [load("ascii"), json or load("json")]))


def results(json: Codec | None = None, check: Check = SAYING) -> list[Result]:
    """Run the check in both codecs."""
    return run(target(json), [check], Settings(Profile(["ascii", "json"]), cuts=["whole", "thirds"]))


def test_alike() -> None:
    """A run in several codecs ends with a comparison of each with the first, cut by cut."""
    compared = [(result.how, result.verdict) for result in results() if result.check is ALIKE]
    assert compared == [("json", Verdict.PASSED), ("json-thirds", Verdict.PASSED)]


def test_a_codec_with_a_rule_of_its_own() -> None:
    """What no judgement complains of is found by the comparison, which names the check and the first difference."""
    [compared] = [result for result in results(Strict()) if result.check is ALIKE and result.cut == "whole"]
    assert compared.verdict is Verdict.FAILED
    [complaint] = compared.complaints
    assert complaint == (
        "in json SEND-1/saying was to have party 1 at step 10, as in ascii: receives MESSAGE conversation 1 user 1 'hello'"
        " and there it receives ERROR rate-limited"
    )
    assert compared.transcript.codecs == {"ann": "json", "bo": "json"}


def test_one_story() -> None:
    """One check tells a story in all codecs and compares by itself."""
    [check] = [check for check in CHECKS if check.name == "CODEC-18/one-story"]
    codecs = [Strict() if name == "json" else load(name) for name in available()]
    [result, *_] = run(in_process(lambda: Service(Hub(), codecs)), [check], Settings(Profile()))
    assert result.verdict is Verdict.FAILED
    assert "in json somebody was to" in result.complaints[0]


def test_chance() -> None:
    """A difference that does not come again was chance."""
    differing, equal = results(Strict()), results()
    again = {(result.check.name, result.how): result for result in equal}
    compared = alike(differing[:-2], lambda result: again[result.check.name, result.how])
    assert [result.verdict for result in compared] == [Verdict.PASSED, Verdict.PASSED]


def test_what_is_not_compared() -> None:
    """A check that lawfully varies is not compared, and neither is one that has failed."""
    varying = replace(SAYING, varies=True)
    assert {result.verdict for result in results(Strict(), varying)} == {Verdict.PASSED}
    failing = [replace(result, verdict=Verdict.FAILED) for result in results(Strict())[:-2]]
    assert alike(failing, lambda result: result) == []


def test_bindings() -> None:
    """Over TCP the same happens as in this process."""
    about = ("SEND", "JOIN", "LEAVE", "GOODBYE", "ERROR")
    # What takes its time is checked in this process only, where waiting takes none.
    checks = [check for check in CHECKS if check.clause.startswith(about) and not check.seconds]
    settings = Settings(Profile(["json"]))
    with opened(f"cmd:{IMPROTO} serve --settle 0.02 --port {{port}}") as tcp:
        ones, others = run(tcp, checks, settings), run(target(), checks, settings)
    assert len(ones) == len(others) > 50
    assert differences(ones, others) == {}
