"""Tests of the command line itself: what it imports, and what it does where a package is missing."""

import subprocess
import sys


def run(program: str) -> subprocess.CompletedProcess[str]:
    """Run a program of Python with `main` at hand."""
    head = "import sys\nfrom improto.cli import main\n"
    return subprocess.run([sys.executable, "-c", head + program], capture_output=True, text=True, check=False)


def test_one_command() -> None:
    """A command is started without those that are not asked for."""
    done = run(
        "try: main(['serve', '--help'])\nexcept SystemExit: print('improto_conformance' in sys.modules)"
    )
    assert done.stdout.endswith("\nFalse\n"), done


def test_all_commands() -> None:
    """All commands are told of, and need no package of an extra for that."""
    done = run(
        "for name in ('hypothesis', 'msgpack', 'websockets', 'pytest'): sys.modules[name] = None\nmain(['--help'])"
    )
    assert done.returncode == 0, done
    assert all(f"\n    {name} " in done.stdout for name in ("serve", "check", "fuzz", "zoo"))


def test_fuzzing_needs_no_package() -> None:
    """What chance makes of a seed depends on no package, whose next version would make something else of it."""
    done = run(
        "sys.modules['hypothesis'] = None\nsys.exit(main(['fuzz', 'codec', 'json', '--count', '9', '--jobs', '1']))"
    )
    assert done.returncode == 0, done
