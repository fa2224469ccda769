"""Tests of the driver protocol: our own driver, and drivers that break a rule each."""

import re
import sys
import tracemalloc
from pathlib import Path
from threading import Event

import pytest

from drivers import DRIVERS, OWN, check, edited
from improto.codec import available
from improto_conformance.clients import lines as driver_lines
from improto_conformance.clients import subjects
from improto_conformance.clients.lines import RULES, NoDriver
from improto_conformance.clients.probe import probe
from improto_conformance.clients.subjects import Driven
from runtimes import needs_node

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("codec", available())
def test_own_client(codec: str) -> None:
    """Our own client passes all checks in json, and in another codec those of what it reads and writes, with nothing waited
    for in vain; `improto check client` without `--codec` tries all checks in all codecs.
    """
    areas = () if codec == "json" else ("C[!L]*", f"{codec.upper()}-*", "LIMIT-*")
    only = [word for area in areas for word in ("--only", area)]
    code, output = check("--driver", f"{sys.executable} {OWN}", "--codec", codec, *only)
    assert code == 0, output
    assert output.endswith("0.0 s of waiting in vain\nCONFORMANT\n")


@needs_node
def test_node_client() -> None:
    """The client in JavaScript, which shares no code with ours, passes all checks in json."""
    code, output = check("--driver", f"node {DRIVERS / 'node_driver.mjs'}", "--codec", "json")
    assert code == 0, output
    assert "left out" not in output
    assert output.endswith("0.0 s of waiting in vain\nCONFORMANT\n")


ANSWER = 'tell(**{await driver.do(command): command["do"]})'
WRONG = {
    "DRIVER-1": [(ANSWER, f"{ANSWER}; print('done', flush=True)")],
    "DRIVER-2": [(ANSWER, f"{ANSWER}; {ANSWER}")],
    "DRIVER-3": [
        (
            'word not in REQUESTS:\n                return "unsupported"',
            'word not in REQUESTS:\n                return "did"',
        )
    ],
    "DRIVER-4": [('case "reset":', 'case "reset" if len(line) == 1:')],
    "DRIVER-5": [
        (
            'case _ if self.session is None:\n                return "refused"',
            'case _ if self.session is None:\n                return "did"',
        )
    ],
    "DRIVER-6": [
        (
            'if line["codec"] not in available():\n                    return "unsupported"',
            'if line["codec"] not in available():\n                    return "did"',
        )
    ],
    "DRIVER-7": [("self.session.close()", "pass"), ("self.listening.cancel()", "pass")],
    "DRIVER-8": [
        (
            "self.session = self.listening = None",
            'self.session = self.listening = None\n                    tell(did="reset")\n                    tell(event="lost")\n                    return "did"',
        )
    ],
    "DRIVER-9": [("\nasyncio.run(main())", "\nasyncio.run(main())\nimport signal; signal.pause()")],
}


def test_all_rules_are_tried() -> None:
    """There is a driver that breaks it for each rule."""
    assert list(WRONG) == list(RULES)


@pytest.mark.parametrize("rule", RULES)
def test_broken_driver(rule: str, tmp_path: Path) -> None:
    """A driver that breaks a rule is told which."""
    words = edited(tmp_path, *WRONG[rule])
    with pytest.raises(NoDriver, match=rule):
        probe(lambda: Driven(words, patience=0.5), ["json"], 2.0)


def test_rules_are_told() -> None:
    """The page about drivers has the rules as they are told."""
    page = (ROOT / "docs" / "driver.md").read_text(encoding="utf-8")
    assert dict(re.findall(r"\| (DRIVER-\d) \| (.*) \|", page)) == RULES


def test_broken_in_a_check(tmp_path: Path) -> None:
    """A driver that breaks a rule only in some check is told so, with the check, and its client is not blamed."""
    driver = edited(tmp_path, ('tell(event="ignored", why', 'tell(event="puzzled", why'))
    code, output = check("--driver", " ".join(driver), "--codec", "json", "--only", "CLIENT-6")
    assert code == 3
    assert "DRIVER-1" in output
    assert "puzzled" in output
    assert "CLIENT-6/" in output
    assert "NOT CONFORMANT" not in output


@pytest.mark.parametrize(
    ("driver", "reason"),
    [
        ("/nowhere/driver", "cannot be started"),
        ("cat", "DRIVER-1"),
        (
            "true",
            "before it answered its first command, the driver ended with exit code 0; see what it says when run by hand",
        ),
        (
            f"{sys.executable} -c 'import sys; sys.exit(\"no such luck\")'",
            "code 1; its last words: no such luck",
        ),
        pytest.param(
            "node -e 'throw new Error(`no such luck`)'",
            "code 1; its last words: Error: no such luck",
            marks=needs_node,
        ),
    ],
)
def test_no_driver(driver: str, reason: str) -> None:
    """What is no driver at all is told so in one line."""
    code, output = check("--driver", driver)
    assert code == 3
    assert re.fullmatch(rf"improto: .*{reason}.*\n", output)


def test_silent_driver() -> None:
    """A driver that does not answer, or keeps its answers in a buffer, is told what it may lack."""
    silent = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with pytest.raises(NoDriver, match="does the driver flush each line"):
        probe(lambda: Driven(silent, patience=0.5), ["json"], 0.1)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("'x' * 10_000", "DRIVER-1"),
        ("b'\\xf0\\x9f\\x98\\x80'.decode() * 10_000", "DRIVER-1"),
        (r"""'{"event":"lost"}\n' * 1000""", "DRIVER-2"),
    ],
    ids=["line", "wide", "lines"],
)
def test_endless(text: str, rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that writes without end is told which rule it breaks, and what nobody hears of it costs no more memory."""
    monkeypatch.setattr(subjects, "_LINE", 1_000_000)
    words = [sys.executable, "-X", "utf8", "-c", f"while True: print({text}, end='')"]
    tracemalloc.start()
    try:
        with pytest.raises(NoDriver, match=rule):
            probe(lambda: Driven(words, patience=0.5), ["json"], 2.0)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("lines", "characters"), [(1000, sys.maxsize), (sys.maxsize, 100_000)])
def test_endless_events(lines: int, characters: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that tells lawful events without end fails the checks in which it does, and the suite goes on."""
    monkeypatch.setattr(driver_lines, "_MOST_LINES", lines)
    monkeypatch.setattr(driver_lines, "_MOST_CHARACTERS", characters)
    flood = """while command["do"] == "status":
            print('{"event": "ignored"}')
        """
    driver = edited(tmp_path, (ANSWER, flood + ANSWER))
    code, output = check("--driver", " ".join(driver), "--codec", "json", "--only", "STATUS-1")
    assert code == 1
    assert "the driver's answer to 'status' was waited for, and other lines come without end" in output


MUCH = """
import signal, sys
try:
    for number in range(10_000):
        print(number, "." * 100)
    sys.stdout.flush()
except OSError:
    signal.pause()
sys.stdin.read()
"""


def test_much_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that has to wait until its lines are heard loses none of them."""
    monkeypatch.setattr(subjects, "_LINE", 1000)
    driver = Driven([sys.executable, "-c", MUCH])
    try:
        lines = [driver.hear(5.0) for _ in range(10_000)]
        assert lines == [f"{number} {'.' * 100}\n" for number in range(10_000)]
    finally:
        assert driver.close()


class Bound(int):
    """A number that notes whether another one has reached it."""

    reached = Event()

    def __gt__(self, other: int) -> bool:
        """Compare."""
        if int(self) <= other:
            self.reached.set()
        return int(self) > other


def test_much_is_not_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that has to wait until its lines are heard can say all and end in order when nobody hears it any more."""
    bound = Bound(1000)
    monkeypatch.setattr(subjects, "_LINE", bound)
    driver = Driven([sys.executable, "-c", MUCH])
    assert bound.reached.wait(10.0)
    assert driver.close()


def test_slow_start(tmp_path: Path) -> None:
    """However little is waited for its answers, a driver has time to start."""
    driver = Driven(edited(tmp_path))
    try:
        driver.ask('{"do": "reset"}')
        assert driver.hear(0.001) == '{"did": "reset"}\n'
    finally:
        driver.close()


def test_unsupported(tmp_path: Path) -> None:
    """What the driver does not support is left out and counted, and nothing fails for it."""
    driver = edited(tmp_path, ('    "leave": "LEAVE",\n', ""), ("available():", '["json"]:'))
    code, output = check("--driver", " ".join(driver), "--codec", "ascii", "--codec", "json")
    assert code == 0, output
    assert re.search(
        r"^\d+ checks are left out, since the driver does not support 'leave'$", output, re.MULTILINE
    )
    assert re.search(
        r"^\d+ checks are left out, since the driver does not support the codec ascii$", output, re.MULTILINE
    )
    assert re.search(r"json: (\d+) of \1 checks", output)
