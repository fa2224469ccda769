"""Tests of `improto.errors`."""

import inspect
import re

import pytest

from improto import errors


def test_docstring_prints_the_tree() -> None:
    """The tree in the module's text names exactly the exceptions that there are."""
    drawn = set(re.findall(r"^ +(?:[├└]── )?([A-Z]\w+)", errors.__doc__ or "", re.MULTILINE))
    assert drawn == set(errors.__all__)


@pytest.mark.parametrize("name", errors.__all__)
def test_one_root(name: str) -> None:
    """Whoever catches ImprotoError catches every exception of the library."""
    error = vars(errors)[name]
    assert issubclass(error, errors.ImprotoError)
    assert inspect.getdoc(error)


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (errors.InvalidMessage, ValueError),
        (errors.DecodeError, ValueError),
        (errors.SnapshotError, ValueError),
        (errors.RegistryError, LookupError),
    ],
)
def test_built_in_bases(error: type[Exception], builtin: type[Exception]) -> None:
    """An exception about a value or a look-up is also the built-in exception for that."""
    assert issubclass(error, builtin)


def test_invalid_message_names_its_field() -> None:
    """InvalidMessage gives the field to programs, and the field with the reason to people."""
    error = errors.InvalidMessage("status", "must be text")
    assert error.field == "status"
    assert str(error) == "status: must be text"


@pytest.mark.parametrize("fatal", [False, True])
def test_decode_error_keeps_its_parts(fatal: bool) -> None:
    """DecodeError keeps code, explanation and whether the stream is over, and reads like an ERROR."""
    error = errors.DecodeError("malformed", "no object", fatal=fatal)
    assert (error.code, error.explanation, error.fatal) == ("malformed", "no object", fatal)
    assert str(error) == "malformed: no object"


def test_decode_error_is_not_fatal_unless_told() -> None:
    """A DecodeError leaves the stream usable by default."""
    assert not errors.DecodeError("invalid", "").fatal
