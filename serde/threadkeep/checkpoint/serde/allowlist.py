"""Which classes may be saved and loaded beside the built-in safe set, and under which name.

Two sources: classes registered for the whole process (`register`), and the `Allowlist` of one serialiser.
Loading finds a class among these only. Where the application allowed a module by name, that module may be
imported to find it; a name that only stored bytes mention is never imported.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, TypeVar, overload
from weakref import WeakSet

from threadkeep.checkpoint.serde.arrays import numpy_encoder
from threadkeep.checkpoint.serde.base import DeserializationError, SerializationError
from threadkeep.checkpoint.serde.classes import Codec, codec_of, is_data, name_of
from threadkeep.checkpoint.serde.langchain import langchain_encoder
from threadkeep.checkpoint.serde.values import ENCODERS

__all__ = ["AllowedModules", "Allowlist", "InvalidModuleError", "Memory", "NotAllowedError", "register"]

AllowedModules = Iterable[str | tuple[str, ...] | type]
"""Module names, `(module, class name)` pairs, classes."""

T = TypeVar("T")


class Memory(dict[Any, Any]):
    """What a serialiser found out once, by class or name; `register` makes it forget what it changes."""

    __hash__ = object.__hash__  # type: ignore[assignment]  # to be kept in a WeakSet, by identity

    def __init__(self, start: Mapping[Any, Any] = MappingProxyType({})) -> None:
        super().__init__(start)
        _memories.add(self)


_codecs: Final[dict[type, Codec]] = {}
_names: Final[dict[str, Codec]] = {}
_memories: Final[WeakSet[Memory]] = WeakSet()


class InvalidModuleError(DeserializationError):
    """Stored bytes name a class that is not on the allow-list."""

    def __init__(self, message: str, *, type_name: str | None = None) -> None:
        super().__init__(message, type_name=type_name)


class NotAllowedError(SerializationError):
    """A value's class is not on the allow-list; `part` is that value, `path` where in the whole it stands."""

    def __init__(self, message: str, part: object) -> None:
        super().__init__(message, type_name=full_name(type(part)))
        self.part = part
        self.path: str | None = None

    def found_at(self, path: str | None) -> None:
        """Say in the message where the value stands."""
        self.path = path
        if path:
            self.args = (f"{self.args[0]} It stands at value{path}.",)


@overload
def register(
    cls: type[T],
    *,
    name: str | None = None,
    to_state: Callable[[T], Any] | None = None,
    from_state: Callable[[Any], T] | None = None,
) -> type[T]: ...


@overload
def register(
    *,
    name: str | None = None,
    to_state: Callable[[Any], Any] | None = None,
    from_state: Callable[[Any], Any] | None = None,
) -> Callable[[type[T]], type[T]]: ...


def register(
    cls: type[Any] | None = None,
    *,
    name: str | None = None,
    to_state: Callable[[Any], Any] | None = None,
    from_state: Callable[[Any], Any] | None = None,
) -> Any:
    """Allow *cls* in every serialiser of this process. Gives *cls* back, so that it serves as a decorator.

    Dataclasses, named tuples, enums, pydantic models and plain classes need nothing more: their attributes
    are saved and put back without calling the constructor. Other classes, or other states, want both
    functions: `to_state(obj)` gives a value that can be saved, `from_state(value)` builds the object from it.

    *name* is what stored bytes call the class, by default `module:qualified name`. Give one to a class that
    may move or be renamed. Registering a second class under a name replaces the first, as when a notebook
    cell is run again.
    """
    if cls is None:
        return lambda decorated: register(decorated, name=name, to_state=to_state, from_state=from_state)
    if not isinstance(cls, type):
        raise TypeError(f"register() takes a class, not {cls!r}")
    if (to_state is None) != (from_state is None):
        raise TypeError(
            f"register({cls.__name__}) was given one of to_state and from_state: give both or neither"
        )
    if to_state is not None and from_state is not None:
        codec = Codec(cls, name or name_of(cls), to_state, from_state)
    elif needs_no_entry(cls):
        return cls
    else:
        codec = codec_of(cls, name)
    _codecs[cls] = codec
    _names[codec.name] = codec
    for memory in list(_memories):
        memory.pop(cls, None)
        memory.pop(codec.name, None)
    return cls


def needs_no_entry(cls: type) -> bool:
    """Whether values of *cls* are saved anyway: they are plain, or of the built-in safe set."""
    if cls in _PLAIN or cls in ENCODERS or hasattr(cls, "__total__"):  # a TypedDict: its values are dicts
        return True
    return langchain_encoder(cls) is not None or numpy_encoder(cls) is not None


_PLAIN: Final = frozenset({object, type(None), bool, int, float, str, bytes, bytearray, list, dict})


class Allowlist:
    """What one serialiser allows beside the classes registered for the process. Immutable.

    `everything` allows any dataclass, enum, named tuple and pydantic model of a loaded module.
    """

    def __init__(self, allowed: AllowedModules = (), *, everything: bool = False) -> None:
        self.everything = everything
        self.allowed = frozenset(allowed)
        self._modules = frozenset(entry for entry in self.allowed if isinstance(entry, str))
        self._pairs = frozenset(_pair(entry) for entry in self.allowed if isinstance(entry, tuple))
        self._classes = {
            name_of(entry): entry
            for entry in self.allowed
            if isinstance(entry, type) and not needs_no_entry(entry) and not _only_pickled(entry)
        }

    def extended(self, extra: AllowedModules) -> Allowlist:
        """This list and *extra*."""
        return Allowlist(self.allowed.union(extra), everything=self.everything)

    def codec_for_class(self, cls: type) -> Codec | None:
        """How to save objects of *cls*, or None if it is not allowed."""
        codec = _codecs.get(cls)
        if codec is None and not needs_no_entry(cls) and self._allows(cls):
            return codec_of(cls)
        return codec

    def codec_for_name(self, name: str) -> Codec:
        """How to load what stored bytes call *name*. Raises `InvalidModuleError` if it is not allowed."""
        codec = _names.get(name)
        if codec is None:
            cls = self._classes.get(name) or self._found(name)
            codec = _codecs.get(cls) or codec_of(cls)
        return codec

    def class_called(self, module: str, name: str) -> type:
        """The allowed class of that module with this name, qualified or not. Raises `InvalidModuleError`."""
        for cls in (*_codecs, *self._classes.values()):
            if cls.__module__ == module and name in (cls.__name__, cls.__qualname__):
                return cls
        return self.codec_for_name(f"{module}:{name}").cls

    def _allows(self, cls: Any) -> bool:
        if _only_pickled(cls):
            return False
        if self._classes.get(name_of(cls)) is cls:
            return True
        if self._allows_name(cls.__module__, cls.__qualname__) or (self.everything and is_data(cls)):
            return True
        # A generic pydantic model with its parameters filled in is as good as the model.
        origin = getattr(cls, "__pydantic_generic_metadata__", {}).get("origin")
        return origin is not None and (origin in _codecs or self._allows(origin))

    def _allows_name(self, module: str, qualname: str) -> bool:
        if module in self._modules or (module, qualname) in self._pairs:
            return True
        return (module, qualname.rpartition(".")[2]) in self._pairs

    def _found(self, name: str) -> type:
        """The class that stored bytes call *name*, taken from its module."""
        module, _, qualname = name.partition(":")
        generic = qualname.partition("[")[0]
        if self._allows_name(module, generic):
            importlib.import_module(module)  # the application allowed it by name
        elif not self._loaded(module, generic):
            raise InvalidModuleError(
                f"The data holds a {module}.{qualname}, which is not on the allow-list. {remedy(qualname)}",
                type_name=name,
            )
        *outer, last = generic.split(".")
        found: Any = sys.modules[module]
        for part in (*outer, last + qualname[len(generic) :]):
            found = vars(found).get(part)
        if not isinstance(found, type) or name_of(found) != name or not self._allows(found):
            raise InvalidModuleError(
                f"Module {module} has no class {qualname}, which the data holds.", type_name=name
            )
        return found

    def _loaded(self, module: str, generic: str) -> bool:
        """Whether a class beyond the names of this list may be looked for in *module*, as it is loaded."""
        if self.everything:
            return module in sys.modules
        known = f"{module}:{generic}"
        return known in _names or known in self._classes


def _only_pickled(cls: type) -> bool:
    """Whether *cls* is one of pandas, whose objects are not what their attributes say."""
    return cls.__module__.partition(".")[0] == "pandas"


def full_name(cls: type) -> str:
    """The class as messages call it."""
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def remedy(class_name: str, module: str = "") -> str:
    """What to do about a class that is not allowed."""
    if module.partition(".")[0] == "pandas":
        return "Save it with JsonPlusSerializer(pickle_fallback=True), or as value.to_dict()."
    return (
        f"Allow it with threadkeep.checkpoint.serde.jsonplus.register({class_name}),"
        f" or for one serialiser with JsonPlusSerializer(allowed_modules=[{class_name}])."
    )


def _pair(entry: tuple[str, ...]) -> tuple[str, str]:
    *module, name = entry
    return ".".join(module), name


def allowlist_from(
    allowed_modules: AllowedModules | None, *older: AllowedModules | Literal[True] | None
) -> Allowlist:
    """One list from the parameters of a serialiser."""
    given: list[str | tuple[str, ...] | type] = list(allowed_modules or ())
    for entries in older:
        if entries is not None and entries is not True:
            given.extend(entries)
    return Allowlist(given, everything=any(entries is True for entries in older))
