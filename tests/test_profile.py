"""Tests of profiles: what a server declares is read from a file, and the server is held to it."""

import re
from dataclasses import fields, replace
from functools import partial
from pathlib import Path

import pytest

from improto.codec import load
from improto.errors import UsageError
from improto.limits import Limits
from improto.server import Hub, Policy
from improto.service import Bounds, Service
from improto_conformance.connections.addresses import Tls
from improto_conformance.profile import Profile, profile_of
from improto_conformance.results import Verdict
from improto_conformance.servers.checks import CHECKS
from improto_conformance.servers.runner import Settings, run
from improto_conformance.servers.targets import NoTarget, in_process
from programs import check, running

DECLARED = [check for check in CHECKS if check.declared]
SMALL = Limits(
    greeting=1000, request=20_000, name=40, status=20, text=1000, invited=10, living=5, roster=3000
)
LARGE = Limits(
    greeting=9000, request=99_000, name=100, status=999, text=9999, invited=99, living=99, roster=99_000
)
PAGE = Path(__file__).parent.parent / "docs/profile.md"


def written(folder: Path, text: str) -> Path:
    """Write a profile."""
    path = folder / "profile.toml"
    path.write_text(text)
    return path


def serve(limits: Limits, policy: Policy | None = None, bounds: Bounds | None = None) -> Service:
    """Make a server of json with these choices."""
    return Service(Hub(policy or Policy(), limits), [load("json")], bounds=bounds)


def failed(profile: Profile, service: partial[Service]) -> set[str]:
    """Run the checks of what is declared, and name those that fail."""
    results = run(in_process(service), DECLARED, Settings(profile, timeout=2.0))
    assert Verdict.BROKEN not in {result.verdict for result in results}
    return {result.check.name for result in results if result.verdict is Verdict.FAILED}


def test_file(tmp_path: Path) -> None:
    """A profile is read from a file, and what stands not there has its default."""
    text = (
        'codecs = ["json"]\njoin = "private"\npresence = 3\n[limits]\ntext = 1000\n[tls]\nserver-name = "x"\n'
    )
    wanted = Profile(["json"], True, 3.0, Limits(text=1000), tls=Tls(server_name="x"))
    assert profile_of(written(tmp_path, text)) == wanted
    assert profile_of(written(tmp_path, "")) == Profile()


def test_page(tmp_path: Path) -> None:
    """The page's example has every key, with its default."""
    [example] = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    choices = replace(profile_of(written(tmp_path, example)), tls=Tls())
    assert choices == Profile(["ascii", "json", "msgpack", "pickle"])
    keys = {each.name for kind in (Profile, Limits, Tls) for each in fields(kind)}
    names = set(re.findall(r"^\[?([a-z-]+)", example, re.MULTILINE))
    assert {name.replace("-", "_") for name in names} == keys - {"private"} | {"join"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("speed = 9", "speed is no key; the keys are codecs, join, presence, repeat"),
        ("[limits]\nwords = 9", "limits words is no key; the keys are greeting, request"),
        ("[tls]\nca = 7", "tls ca has to be a text"),
        ("[tls]\ninsecure = 7", "tls insecure has to be true or false"),
        ("limits = 9", "limits has to be a table"),
        ("[limits]\ntext = 0", "limits text has to be a whole number from 1"),
        ("[limits]\ntext = true", "limits text has to be a whole number from 1"),
        ("presence = -1", "presence has to be a number of seconds"),
        ("presence = nan", "presence has to be a number of seconds"),
        ('join = "nobody"', "join has to be open or private"),
        ('codecs = ["xml"]', "codecs has to be a list of ascii, json"),
        ("codecs = []", "codecs has to be a list of"),
        ("codecs = [[1]]", "codecs has to be a list of"),
        ("x", "docs/profile.md"),
    ],
)
def test_wrong_files(tmp_path: Path, text: str, message: str) -> None:
    """What is no profile is told of with the key and what is allowed."""
    with pytest.raises(UsageError, match=re.escape(message)):
        profile_of(written(tmp_path, text))


def test_no_file(tmp_path: Path) -> None:
    """A missing file is told of."""
    with pytest.raises(UsageError, match="No such file or directory; name a file"):
        profile_of(tmp_path / "missing.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff")
    with pytest.raises(UsageError, match=r"see docs/profile\.md"):
        profile_of(tmp_path / "binary.toml")


@pytest.mark.parametrize("limits", [SMALL, LARGE], ids=["small", "large"])
def test_declared_limits(limits: Limits) -> None:
    """A server with other limits passes all checks if it declares them; what presupposes others is left out."""
    results = run(in_process(partial(serve, limits)), CHECKS, Settings(Profile(["json"], limits=limits)))
    assert {result.check.name: result.complaints for result in results if result.complaints} == {}
    assert {check.name for check in DECLARED if check.policy != "private"} <= {r.check.name for r in results}
    assert len(results) > 150


@pytest.mark.parametrize(
    ("limit", "clause"),
    [
        ("greeting", "LIMIT-3"),
        ("request", "LIMIT-2"),
        ("name", "LIMIT-5"),
        ("status", "LIMIT-10"),
        ("text", "LIMIT-11"),
        ("conversation", "LIMIT-13"),
        ("invited", "LIMIT-14"),
        ("living", "LIMIT-18"),
    ],
)
@pytest.mark.parametrize("more", [-1, 1])
def test_limits_that_are_not_held(limit: str, clause: str, more: int) -> None:
    """A server that takes one less or one more than it declares fails the check of that limit, and no other one."""
    real = Limits(**{limit: getattr(Limits(), limit) + more})
    assert failed(Profile(["json"]), partial(serve, real)) == {f"{clause}/declared"}


@pytest.mark.parametrize(("real", "names"), [(50_000, {"LIMIT-21/declared"}), (12_000, set[str]())])
def test_rosters_that_are_not_held(real: int, names: set[str]) -> None:
    """A server whose rosters grow larger than it declares fails; one that refuses earlier estimates, which is lawful."""
    declared = Profile(["json"], limits=Limits(roster=16_000))
    assert failed(declared, partial(serve, Limits(roster=real))) == names


def test_only_rosters_that_can_be_filled() -> None:
    """A limit on rosters that no few users reach is not tried (LIMIT-21)."""
    checks = [check for check in CHECKS if check.clause == "LIMIT-21"]
    assert run(in_process(partial(serve, Limits())), checks, Settings(Profile(["json"]))) == []


@pytest.mark.parametrize(
    ("profile", "real", "name"),
    [
        (Profile(["json"], private=True), Policy(), "JOIN-6/declared"),
        (Profile(["json"]), Policy(private=True), "JOIN-4/declared"),
        (Profile(["json"], presence=0.5), Policy(settle=1.0), "PRESENCE-4/declared"),
        (Profile(["json"], repeat=20.0), Policy(repeat=21.0), "PRESENCE-7/declared"),
        (Profile(["json", "ascii"]), Policy(), "CODEC-17/declared"),
    ],
)
def test_choices_that_are_not_served(profile: Profile, real: Policy, name: str) -> None:
    """A server that declares something else than it does fails the check of that."""
    assert failed(profile, partial(serve, Limits(), real)) == {name}


@pytest.mark.parametrize("real", [55.0, 61.0])
def test_time_to_register(real: float) -> None:
    """A server that gives more time to register than it declares, or less, fails the check of that."""
    found = failed(Profile(["json"]), partial(serve, Limits(), bounds=Bounds(register=real)))
    assert found == {"CONN-17/declared"}


def test_codec_that_is_asked_for() -> None:
    """A codec that was asked for and is not spoken is no failure: there is no such server."""
    settings = Settings(Profile(["json"]), codecs=["json", "ascii"])
    with pytest.raises(NoTarget):
        run(in_process(partial(serve, Limits())), DECLARED, settings)


def test_command_line(tmp_path: Path) -> None:
    """`--profile` has the server checked by a file; without the policy that is declared there, the server fails."""
    path = written(tmp_path, 'codecs = ["json"]\njoin = "private"\n')
    with running() as programs:
        _, private = programs.serve("--private")
        _, open_ = programs.serve()
        code, output = check(private, "--profile", str(path), "--only", "JOIN-*")
        assert (code, "checks do not fit tcp, the codecs or the profile" in output) == (0, True), output
        code, output = check(open_, "--profile", str(path), "--only", "*/declared")
        assert code == 1
        assert "violates JOIN-6\n" in output
