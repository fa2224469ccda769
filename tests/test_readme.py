"""The README's example is run as it stands."""

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parent.with_name("README.md")


def test_example() -> None:
    """The program in the README runs and says where it listens."""
    [program] = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True
    )
    assert re.fullmatch(r"listening on 127\.0\.0\.1:\d+\n", done.stdout)
