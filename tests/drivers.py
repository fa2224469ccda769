"""Our own driver and edited copies of it, and `improto check client`, which operates clients through them."""

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Final

from improto.cli import main

__all__ = ["DRIVERS", "OWN", "check", "edited"]

DRIVERS: Final = Path(__file__).parent.parent / "examples" / "drivers"
OWN: Final = DRIVERS / "own_driver.py"


def edited(tmp_path: Path, *edits: tuple[str, str]) -> list[str]:
    """Give the command of our own driver with something in its text changed."""
    text = OWN.read_text()
    for old, new in edits:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (tmp_path / "driver.py").write_text(text)
    return [sys.executable, str(tmp_path / "driver.py")]


def check(*arguments: str) -> tuple[int, str]:
    """Run `improto check client` here and give exit code and output."""
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        code = main(["check", "client", *arguments])
    return code, said.getvalue()
