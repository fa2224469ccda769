"""Tests of the example of somebody else's codec: it passes the checks, is found by its name, and is served."""

import sys
import tomllib
from pathlib import Path

import pytest

from improto.codec import Codec, available, load
from improto.errors import DecodeError
from improto.messages import Code, Role
from improto.server import Hub, Policy
from improto.service import Service
from improto_conformance import Profile, check_codec, check_server

FOLDER = Path(__file__).parent.parent / "examples" / "cbor"

pytest.importorskip("cbor2")


@pytest.fixture
def codec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Codec:
    """Have the example installed, and load its codec by name."""
    project = tomllib.loads((FOLDER / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    info = tmp_path / "improto_cbor-0.1.0.dist-info"
    info.mkdir()
    about = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (info / "METADATA").write_text(about, encoding="utf-8")
    (group,) = project["entry-points"]
    points = "".join(f"{name} = {place}\n" for name, place in project["entry-points"][group].items())
    (info / "entry_points.txt").write_text(f"[{group}]\n{points}", encoding="utf-8")
    monkeypatch.setattr(sys, "path", [str(FOLDER), str(tmp_path), *sys.path])
    assert "cbor" in available()
    return load("cbor")


def nested(levels: int) -> bytes:
    """Nest arrays in the array."""
    return b"\x82\x65LATER" + b"\x81" * (levels - 2) + b"\x80"


def test_it_passes_the_checks(codec: Codec) -> None:
    """The example carries all messages and can be fed anything."""
    check_codec(codec, nested)


def test_it_is_served(codec: Codec) -> None:
    """A server that speaks the example's codec only passes all checks that fit it."""
    results = check_server(lambda: Service(Hub(Policy()), [codec]), Profile([codec.name]))
    assert len(results) > 100


@pytest.mark.parametrize(
    "value",
    [
        "c24101",
        "d901028101",
        "d8236161",
        "d81c80",
        "d9d9f701",
        "d9303901",
        "9fff",
        "5fff",
        "a2616100616100",
        "a10000",
    ],
)
def test_what_costs_more_than_it_has_bytes(codec: Codec, value: str) -> None:
    """Tags, lengths that are not told, doubles and keys of other types are malformed, also in unknown commands."""
    with pytest.raises(DecodeError) as caught:
        codec.decode(b"\x82\x65LATER" + bytes.fromhex(value), Role.CLIENT)
    assert caught.value.code == Code.MALFORMED


def test_tags_leave_nothing_behind(codec: Codec) -> None:
    """However many tags are refused, none is kept, or an enemy could fill the memory with them."""
    for tag in range(1000):
        with pytest.raises(DecodeError):
            codec.decode(b"\x82\x65LATER\xda" + (2**24 + tag).to_bytes(4) + b"\x01", Role.CLIENT)
    module = sys.modules[type(codec).__module__]
    assert len(module._load.keywords["semantic_decoders"]) == 0


def test_the_page_shows_the_example() -> None:
    """What the documentation shows is the example itself."""
    page = (FOLDER.parent.parent / "docs" / "codec.md").read_text(encoding="utf-8")
    for name in "improto_cbor.py", "test_improto_cbor.py":
        assert (FOLDER / name).read_text(encoding="utf-8") in page
