"""The conformance suite: says whether a server obeys the specification.

A *check* (`checks`) names one clause and has two parts.  Its stimulus makes some parties (`party`) say
something to the server; all that happens goes into a transcript (`transcript`).  Its judgement reads the
transcript alone.  So a judgement can be made later, by another judge, or of somebody else's transcript.

    from improto_conformance.checks import CHECKS
    from improto_conformance.runner import Settings, run
    from improto_conformance.targets import opened

    with opened("tcp://127.0.0.1:6666") as target:
        results = run(target, CHECKS, Settings(["json"]))
"""
