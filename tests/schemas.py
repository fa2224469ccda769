"""The library `jsonschema`, with the types of what the tests use of it: it brings none."""

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Protocol, cast

__all__ = ["Validator", "check_schema", "validator"]


class SchemaError(Protocol):
    """What is wrong with an instance."""

    message: str
    json_path: str


class Validator(Protocol):
    """Holds instances against one schema."""

    def is_valid(self, instance: object) -> bool:
        """Tell whether the schema holds of `instance`."""
        ...

    def iter_errors(self, instance: object) -> Iterator[SchemaError]:
        """Give what is wrong."""
        ...


_jsonschema = import_module("jsonschema")
validator = cast("Callable[[object], Validator]", _jsonschema.Draft202012Validator)
check_schema = cast("Callable[[object], None]", _jsonschema.Draft202012Validator.check_schema)
