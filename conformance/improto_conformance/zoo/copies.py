"""Copies of the reference with changed source text: each is complete, separate from the reference, and made in milliseconds.

    copy = load({"improto/server.py": text})        modules that are not given are as installed
    in_memory(copy)                                 a target; only bytes pass between the suite and the copy
    copy.module("improto.bindings.asyncio")         any module of it, for example to serve it on a socket

A copy has module objects of its own, which are not in `sys.modules`.  So an edit can break nothing but the copy.  The code
of a text is compiled once, and executed again for each copy.
"""

import builtins
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec, resolve_name
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Final, cast

from improto.codec import ENTRY_POINTS
from improto_conformance.servers.targets import Target, hosted

__all__ = ["Copy", "in_memory", "load", "source"]

_NONE: Final[Mapping[str, int]] = {}
_COPIED: Final = ("improto", "improto_codecs")
_FASTER: Final = "improto_codecs/faster.py"


class Copy:
    """A copy of the reference's packages.  Made by `load`."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        """Execute nothing yet: a module is executed when it is first imported."""
        self._sources = sources
        self._modules: dict[str, ModuleType] = {}
        self._builtins = {**vars(builtins), "__import__": self._import}

    def module(self, name: str) -> Any:
        """Give a module of the copy; exceptions from executing it are raised."""
        module = self._modules.get(name)
        if module is None:
            parent, _, child = name.rpartition(".")
            package = self.module(parent) if parent else None
            module = self._modules[name] = ModuleType(name)
            vars(module)["__builtins__"] = self._builtins
            module.__package__ = name if _path(name).endswith("/__init__.py") else parent
            exec(self._code(name), vars(module))
            if package is not None:
                setattr(package, child, module)
        return module

    def service(
        self, *, private: bool = False, settle: float = 1.0, limits: Mapping[str, int] = _NONE
    ) -> Any:
        """Give a new `Service` that speaks all codecs, with these parts of its `Policy`, and these `Limits`, by name."""
        server, service = self.module("improto.server"), self.module("improto.service")
        codecs = [self.codec(name) for name in sorted(_codecs())]
        policy = server.Policy(private=private, settle=settle)
        return service.Service(server.Hub(policy, self.module("improto.limits").Limits(**limits)), codecs)

    def codec(self, name: str) -> Any:
        """Give a new codec."""
        point = _codecs()[name]
        return getattr(self.module(point.module), point.attr)()

    def _code(self, name: str) -> CodeType:
        path = _path(name)
        return _compiled(self._sources.get(path) or source(path), path)

    def _import(
        self,
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """Do the work of `import` in the copy, where its own modules come first."""
        if level:
            assert globals is not None
            name = resolve_name("." * level + name, cast(str, globals["__package__"]))
        if not _copied(name):
            return __import__(name, globals, locals, fromlist or ())
        module: ModuleType = self.module(name)
        if not fromlist:
            return cast(ModuleType, self.module(name.partition(".")[0]))
        for each in fromlist:
            if not hasattr(module, each):  # a submodule that nobody has imported yet
                self.module(f"{name}.{each}")
        return module


def load(sources: Mapping[str, str]) -> Copy:
    """Give a copy with these texts, by path, in place of the installed ones.  KeyError if there is no such file.

    A copy does not use the extra `fast`, so that it behaves the same wherever it is made.
    """
    for path in sources:
        source(path)
    return Copy({_FASTER: source(_FASTER).replace('"msgspec"', '"improto_codecs.missing"'), **sources})


@cache
def source(path: str) -> str:
    """Give the installed text of a file, such as `improto/server.py`.  KeyError if a copy has no such file."""
    package, _, rest = path.partition("/")
    spec = find_spec(package) if package in _COPIED else None
    file = None if spec is None or spec.origin is None else Path(spec.origin).parent / rest
    if file is None or not file.is_file():
        raise KeyError(f"the reference has no file {path!r}")
    return file.read_text(encoding="utf-8")


def in_memory(copy: Copy, *, private: bool = False, limits: Mapping[str, int] = _NONE) -> Target:
    """Give a copy as a target, in this process and on a virtual clock."""

    def make() -> Any:
        # Imported only here, since a changed module may raise anything.
        memory = copy.module("improto.bindings.memory")
        return memory.Server(copy.service(private=private, limits=limits), prompt=True)

    return hosted(make)


@cache
def _codecs() -> Mapping[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=ENTRY_POINTS) if _copied(point.module)}


@cache
def _path(name: str) -> str:
    """Give the file of a module."""
    path = name.replace(".", "/")
    try:
        source(f"{path}.py")
    except KeyError:
        return f"{path}/__init__.py"
    return f"{path}.py"


@lru_cache(maxsize=100)  # of mutants there are thousands
def _compiled(text: str, path: str) -> CodeType:
    return compile(text, path, "exec")


def _copied(name: str) -> bool:
    return name.partition(".")[0] in _COPIED
