"""All checks of a server, in each codec, on each binding; and the table of them in the page about bindings.

    python tests/test_bindings.py docs/bindings.md

runs them and writes the table.
"""

import re
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from ground import BINDINGS, Binding, grounded
from improto.codec import available, load_all
from improto.server import Hub
from improto.service import Service
from improto_conformance.connections.addresses import Tls
from improto_conformance.profile import Profile
from improto_conformance.results import Result, Verdict
from improto_conformance.servers.check import Check
from improto_conformance.servers.checks import CHECKS
from improto_conformance.servers.runner import Settings, run
from improto_conformance.servers.targets import in_process, opened

PAGE: Final = Path("docs/bindings.md")
COMMAND: Final = "the page is stale: python tests/test_bindings.py docs/bindings.md"
MEMORY: Final = Binding("memory", "inproc")
ALL: Final = (MEMORY, *BINDINGS)
_HEADS: Final = ["binding", "URL", *available(), "failed"]
_TABLE: Final = re.compile(rf"(?<=^\| {re.escape(' | '.join(_HEADS))} \|\n)(\|.*\n)*", re.MULTILINE)
_OPTIONS: Final = {"connections": 1000}
_TRIED: Final = {
    "memory inproc": available(),
    "asyncio tcp": ["json", "msgpack"],
    "threads tcp": ["json", "msgpack"],
    "websocket ws": ["json", "msgpack"],
}
_CARRIED: Final = ("CONN", "FLOW", "GOODBYE", "ORDER", "SEND", "WS")
"""The areas of the clauses about how connections begin, go on and end, and in what order bytes come."""


def checked(binding: Binding, codecs: Sequence[str], checks: Sequence[Check] = CHECKS) -> list[Result]:
    """Run all checks that fit, in these codecs."""
    settings = Settings(Profile(), jobs=6, codecs=codecs)
    if binding is MEMORY:
        return run(in_process(lambda: Service(Hub(), load_all())), checks, settings)
    with grounded(binding, dict(_OPTIONS)) as ground, opened(ground.url, Tls(insecure=True)) as target:
        return run(target, checks, settings)


def row(binding: Binding, results: list[Result]) -> str:
    """Give a binding's line of the table."""
    counts = Counter(result.codec for result in results)
    failed = sum(result.verdict is not Verdict.PASSED for result in results)
    cells = [binding.package, binding.scheme, *(str(counts[name]) for name in available()), str(failed)]
    return f"| {' | '.join(cells)} |\n"


@pytest.mark.parametrize("binding", ALL, ids=str)
def test_all_checks(binding: Binding) -> None:
    """All checks that fit pass, with nothing waited for in vain and nothing left; where all codecs are tried, as many as
    the page says.

    What a package does with a codec does not depend on what carries its bytes, and the codecs are the same in all
    packages.  So all codecs are tried in memory, and on asyncio by the README's first command; lines and binary frames on
    one kind of URL of each package; and on the other kinds, in json, what they carry.  The page has them all.
    """
    codecs = _TRIED.get(str(binding), ["json"])
    carried = [check for check in CHECKS if check.clause.startswith(_CARRIED)]
    results = checked(binding, codecs, CHECKS if str(binding) in _TRIED else carried)
    assert {(each.how, each.check.name): each.complaints for each in results if each.complaints} == {}
    assert not any(each.expired for each in results)
    assert len(results) > 50
    if codecs == available():
        assert row(binding, results) in PAGE.read_text(), COMMAND


if __name__ == "__main__":
    page = Path(sys.argv[1])
    rows = "".join(
        [f"|{'---|' * len(_HEADS)}\n", *(row(binding, checked(binding, available())) for binding in ALL)]
    )
    page.write_text(_TABLE.sub(lambda _: rows, page.read_text()))
