"""Tests of `improto spec export` and of the files in `published`, which it writes."""

from importlib.resources import files
from pathlib import Path

import pytest

from improto.cli import main
from improto_spec.command import FILES

PUBLISHED = files("improto_spec") / "published"


@pytest.mark.parametrize("name", FILES)
def test_published_files_are_fresh(name: str) -> None:
    """Each published file is, byte by byte, what the tables give now: else run `improto spec export` again."""
    assert (PUBLISHED / name).read_bytes() == FILES[name]().encode()


def test_nothing_else_is_published() -> None:
    """No file is left over from what was exported once."""
    assert {file.name for file in PUBLISHED.iterdir()} == set(FILES)


def test_export(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command writes all files into a folder that it makes, and names them."""
    folder = tmp_path / "a" / "b"
    assert main(["spec", "export", str(folder)]) == 0
    assert capsys.readouterr().out.splitlines() == [str(folder / name) for name in FILES]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        name: (PUBLISHED / name).read_bytes() for name in FILES
    }
