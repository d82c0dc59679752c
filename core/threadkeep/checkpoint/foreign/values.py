"""Values as LangGraph's serialiser wrote them, read without LangGraph. Closed, as our own serialiser is.

A stored value is a type tag and bytes. Tags: "null", "bytes", "bytearray", "msgpack", "json" (of versions
before msgpack) and "pickle"; "+" and the name of a cipher behind it where the value is encrypted. What
msgpack has no form for is an extension, whose data is msgpack again:

| code | data | built as |
|---|---|---|
| 0 | module, name, value | name(value) |
| 1 | module, name, list | name(*list) |
| 2 | module, name, dict | name(**dict) |
| 3 | module, name, value, method | name.method(value) |
| 4, 5 | module, name, dict (, method) | a pydantic model, of version 1 or 2, with these fields |
| 6 | dtype, shape, order, bytes | a numpy array |
"""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import importlib
import ipaddress
import json
import pathlib
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import ormsgpack

from threadkeep.checkpoint.serde.arrays import decode_array
from threadkeep.checkpoint.serde.base import (
    CipherProtocol,
    DeserializationError,
    SerdeError,
    SerializerProtocol,
)
from threadkeep.checkpoint.serde.langchain import CLASSES as LANGCHAIN_CLASSES
from threadkeep.checkpoint.serde.values import DECODERS
from threadkeep.types import Command, Interrupt, Overwrite, Send

__all__ = ["ForeignValues"]

MAX_LEVELS: Final = 64
"""Extensions within extensions."""
MODELS_BYTES: Final = 16 * 1024 * 1024
"""Of stored pydantic models that are kept, in case that they come again."""

_TIMES = (datetime.datetime, datetime.date, datetime.time, datetime.timedelta, datetime.timezone)
_ADDRESSES = ("IPv4Address", "IPv4Interface", "IPv4Network", "IPv6Address", "IPv6Interface", "IPv6Network")
_PATHS = ("Path", "PosixPath", "WindowsPath", "PurePath", "PurePosixPath", "PureWindowsPath")


def _zone(key: str) -> Any:
    return DECODERS[17](key.encode(), lambda data: data)  # checks the name, which ZoneInfo would import


def _interrupt(value: Any, id: str = "", response_schema: Any = None, **older: Any) -> Interrupt:
    return Interrupt(value, id or older.get("interrupt_id") or "", response_schema=response_schema)


_BUILDERS: Final[Mapping[tuple[str, str], Callable[..., Any]]] = {
    ("builtins", "set"): set,
    ("builtins", "frozenset"): frozenset,
    ("collections", "deque"): collections.deque,
    ("uuid", "UUID"): uuid.UUID,
    ("decimal", "Decimal"): decimal.Decimal,
    ("re", "compile"): re.compile,
    ("zoneinfo", "ZoneInfo"): _zone,
    **{("datetime", cls.__name__): cls for cls in _TIMES},
    **{("ipaddress", name): getattr(ipaddress, name) for name in _ADDRESSES},
    # In Python 3.13, and only there, the module of these classes is called pathlib._local.
    **{(at, name): getattr(pathlib, name) for at in ("pathlib", "pathlib._local") for name in _PATHS},
    ("langgraph.types", "Send"): Send,
    ("langgraph.types", "Command"): Command,
    ("langgraph.types", "Overwrite"): Overwrite,
    ("langgraph.types", "Interrupt"): _interrupt,
}
_LANGCHAIN: Final = {name: module for module, name in LANGCHAIN_CLASSES.values()}


class ForeignValues:
    """Loads values. Builds only what *serde* would load too: its safe set, and the types it allows.

    *cipher* decrypts values that were encrypted. Used by one thread at a time. A model that is met again may
    be the same object: values are to be stored, not changed.
    """

    def __init__(self, serde: SerializerProtocol, cipher: CipherProtocol | None = None) -> None:
        self._serde = serde
        self._cipher = cipher
        self._level = 0
        self._failed: BaseException | None = None
        self._models: dict[bytes, Any] = {}
        self._models_size = 0

    def load(self, tag: str, data: bytes) -> Any:
        """The value. Raises `DeserializationError`, with the type and the remedy where a type is refused."""
        tag, _, cipher = tag.partition("+")
        if cipher:
            data = self._decrypted(cipher, data)
        if tag == "msgpack":
            return self._unpack(data)
        if tag in ("null", "empty"):
            return None
        if tag == "json":
            return self._json(data)
        return self._serde.loads_typed((tag, bytes(data)))

    def _decrypted(self, cipher: str, data: bytes) -> bytes:
        if self._cipher is None:
            raise DeserializationError(
                f"the value is encrypted ({cipher}): pass cipher=, an object whose decrypt(name, data) gives"
                " the plain bytes"
            )
        return self._cipher.decrypt(cipher, bytes(data))

    def _json(self, data: bytes) -> Any:
        try:
            return json.loads(data, object_hook=self._revived)
        except (ValueError, RecursionError) as error:
            if isinstance(error, SerdeError):
                raise
            raise DeserializationError(f"the data (json) cannot be loaded: {error!r}") from error

    def _revived(self, found: dict[str, Any]) -> Any:
        """What a JSON object stands for: one that names a constructor, or itself."""
        if found.get("lc") not in (1, 2) or found.get("type") != "constructor":
            return found
        *module, name = found["id"]
        method = found.get("method")
        methods = [method] if isinstance(method, str) else []
        given = found.get("args") or (), found.get("kwargs") or {}
        return self._built(".".join(module), name, *given, *methods)

    def _unpack(self, data: bytes) -> Any:
        try:
            return ormsgpack.unpackb(data, ext_hook=self._extension, option=ormsgpack.OPT_NON_STR_KEYS)
        except ValueError as error:
            failed, self._failed = self._failed, None
            if failed is not None:
                raise failed from None
            raise DeserializationError(f"the data cannot be loaded: {error!r}") from error

    def _extension(self, code: int, data: bytes) -> Any:
        if code != 5:
            return self._loaded(code, data)
        # A conversation has the same messages in every checkpoint: 450 of them took 0.6 s instead of 5.
        model = self._models.get(data)
        if model is None:
            model = self._loaded(code, data)
            self._models_size += len(data)
            if self._models_size > MODELS_BYTES:
                self._models.clear()
                self._models_size = len(data)
            self._models[data] = model
        return model

    def _loaded(self, code: int, data: bytes) -> Any:
        # ormsgpack reports no more than that the hook failed: the error is kept for `_unpack`.
        self._level += 1
        try:
            if self._level > MAX_LEVELS:
                raise DeserializationError(f"the data nests more than {MAX_LEVELS} typed values")
            return self._object(code, self._unpack(data))
        except BaseException as error:
            self._failed = error
            if isinstance(error, Exception) and not isinstance(error, SerdeError):  # damaged bytes
                self._failed = DeserializationError(f"the data cannot be loaded: {error!r}")
            raise
        finally:
            self._level -= 1

    def _object(self, code: int, parts: Any) -> Any:
        if code == 6:
            dtype, shape, order, memory = parts
            return decode_array(b"", lambda _: [dtype, shape, order == "F", memory])
        if code not in (0, 1, 2, 3, 4, 5):
            raise DeserializationError(
                f"the data holds an extension of the unknown kind {code} (a DeltaChannel's, perhaps: its"
                " values cannot be told without its reducer)"
            )
        module, name, given, *methods = parts
        if code in (0, 3):
            return self._built(module, name, (given,), {}, *(methods if code == 3 else ()))
        if code == 1:
            return self._built(module, name, given, {})
        return self._built(module, name, () if isinstance(given, dict) else (given,), given)

    def _built(
        self, module: str, name: str, args: Sequence[Any], fields: Mapping[str, Any], *methods: str
    ) -> Any:
        build = _BUILDERS.get((module, name)) or self._class(module, name)
        if methods == ("fromisoformat",):
            build = getattr(build, "fromisoformat", build)
        try:
            return _new(build, args, fields)
        except Exception as error:  # a constructor of the application raises what it likes
            raise DeserializationError(
                f"a {module}.{name} cannot be built from what was stored: {error!r}",
                type_name=f"{module}:{name}",
            ) from error

    def _class(self, module: str, name: str) -> type:
        if module.startswith("langchain") and name in _LANGCHAIN:
            try:
                cls: type = getattr(importlib.import_module(_LANGCHAIN[name]), name)
            except ImportError as error:
                raise DeserializationError(
                    f"the data holds a {module}.{name}: install langchain-core to load it",
                    type_name=f"{module}:{name}",
                ) from error
            return cls
        allowed: Callable[[str, str], type] | None = getattr(self._serde, "allowed_class", None)
        if allowed is None:
            raise DeserializationError(
                f"The data holds a {module}.{name}, and a {type(self._serde).__name__} does not say which"
                " types are allowed."
            )
        return allowed(module, name)


def _new(build: Any, args: Sequence[Any], fields: Mapping[str, Any]) -> Any:
    """An object of what was stored of it: arguments, or fields."""
    if hasattr(build, "model_validate"):
        return _model(build, fields if not args else args[0])
    if hasattr(build, "__fields__") and hasattr(build, "construct"):  # pydantic 1
        try:
            return build(**fields)
        except ValueError:
            return build.construct(**fields)
    if dataclasses.is_dataclass(build) and not args:
        late = {field.name for field in dataclasses.fields(build) if not field.init} & fields.keys()
        construct: Any = build
        made = construct(**{name: value for name, value in fields.items() if name not in late})
        for name in late:
            object.__setattr__(made, name, fields[name])
        return made
    return build(*args, **fields)


def _model(cls: Any, fields: Any) -> Any:
    """A pydantic model. Fields that it refuses today are kept as they were, as LangGraph does."""
    try:
        return cls.model_validate(fields, by_name=True, by_alias=True)
    except ValueError:
        return cls.model_construct(**fields)
