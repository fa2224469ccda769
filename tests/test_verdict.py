"""Whom live traffic speaks against, and whom it does not because of users who are not seen."""

import pytest

from improto_conformance.judging.verdict import SERVER, Judgement, judged
from scripts import ANN, BO, JOINED, TALK, seen

ZOE = "ann > REGISTER ann x; ann < ROSTER ann=x zoe=y;"

EXPLAINED = {
    "a stranger in rosters": ZOE + "ann > STATUS z; ann < ROSTER ann=z; ann < ROSTER ann=z zoe=q;",
    "a name that a stranger has": "ann > REGISTER ann x; ann < ERROR name-in-use;",
    "a name that a stranger had": ANN.replace("ann=x", "ann=x bo=q")
    + "bo > REGISTER bo x; bo < ROSTER bo=q ann=x;",
    "a stranger invites": ZOE
    + "ann < INVITATION 1 zoe; ann > JOIN 1; ann > SEND 1 hi; ann < MESSAGE 1 ann hi;",
    "a stranger is invited": ZOE + "ann > INVITE zoe; ann < INVITATION 1 ann;",
    "a stranger speaks": JOINED + "ann < MESSAGE 1 zoe hi;",
    "a stranger joins": JOINED + "ann > LIST; ann < LISTED 1=ann,bo,zoe;",
    "a stranger's conversation": ZOE
    + "ann > LIST; ann < LISTED 5=zoe; ann > JOIN 5; ann > LIST; ann < LISTED 5=zoe,ann;",
}


@pytest.mark.parametrize("script", EXPLAINED.values(), ids=EXPLAINED)
def test_strangers_explain(script: str) -> None:
    """Nobody is blamed for what users may have caused who are not seen."""
    assert judged(seen(script)).blames == ()


@pytest.mark.parametrize("script", EXPLAINED.values(), ids=EXPLAINED)
def test_alone(script: str) -> None:
    """Where there are no others, the same is blamed."""
    assert judged(seen(script), alone=True).blames != ()


def test_doubt() -> None:
    """What hangs on a stranger is said."""
    doubt = judged(seen(EXPLAINED["a stranger is invited"])).doubt
    assert doubt == "from entry 2 on 'zoe', who is not seen here, may have taken part"


def test_lives() -> None:
    """Whether a conversation is alive is not certain where there are strangers; else it is."""
    ended = "ann > LEAVE 1; bo > LEAVE 1; ann > LIST; bo > LIST; ann < LISTED; bo < LISTED; ann > JOIN 1; ann > LIST; ann < LISTED 1=ann;"
    assert (
        "keep a conversation alive" in judged(seen(JOINED.replace("ann=x;", "ann=x zoe=y;", 1) + ended)).doubt
    )
    assert [blame.clause for blame in judged(seen(JOINED + ended)).blames] == ["JOIN-8"]


def test_before_a_stranger() -> None:
    """What was wrong before a stranger took part is blamed all the same."""
    script = TALK.replace("bo < INVITATION 1 ann", "bo < INVITATION 1 bo") + "ann < MESSAGE 1 zoe hi;"
    assert [blame.clause for blame in judged(seen(script)).blames] == ["INVITATION-5"]


def test_both_sides() -> None:
    """Both sides are judged, and what each of them did is told in its order."""
    script = ANN + BO + "ann > SEND 7 hi; ann < MESSAGE 7 ann hi; bo > GOODBYE; bo > LIST;"
    found = judged(seen(script))
    assert [(blame.party, blame.clause, blame.index) for blame in found.blames] == [
        ("ann", "CLIENT-10", 4),
        (SERVER, "SEND-5", 5),
        ("bo", "CLIENT-21", 7),
    ]
    assert (
        str(found.blames[0])
        == "the client ann violates CLIENT-10: ann sent SEND_MESSAGE to '7' before JOIN (entry 4)"
    )
    assert str(found.blames[1]).startswith("the server violates SEND-5: ann was to receive")


def test_nothing() -> None:
    """Nothing speaks against nobody."""
    assert judged(seen("")) == Judgement(())
