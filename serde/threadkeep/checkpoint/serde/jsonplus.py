"""`JsonPlusSerializer`: values to msgpack and back, types included, closed by default.

Saved and loaded without asking: None, bool, int, float, str, bytes, bytearray, list, dict with keys of any
type that is here, tuple, set, frozenset, deque, OrderedDict, Counter, defaultdict, datetime, date, time,
timedelta, timezone, ZoneInfo, UUID, Decimal, complex, range, paths, IP addresses, re.Pattern, NumPy arrays
and scalars, LangChain messages and documents, threadkeep's own types. An exception is saved as the text of
its repr.

Anything else needs an entry on the allow-list: `register(cls)` for the process, `allowed_modules=` for one
serialiser, or, in a graph, the class's name in the state schema. A subclass of str, int, float or bytes
without one is saved as the plain value, to which it is equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, Literal

from ormsgpack import Ext

from threadkeep.checkpoint.serde.allowlist import (
    AllowedModules,
    Allowlist,
    InvalidModuleError,
    Memory,
    NotAllowedError,
    allowlist_from,
    full_name,
    register,
    remedy,
)
from threadkeep.checkpoint.serde.arrays import decode_array, decode_scalar, numpy_encoder
from threadkeep.checkpoint.serde.base import DeserializationError, SerializationError, SerializerProtocol
from threadkeep.checkpoint.serde.classes import Codec
from threadkeep.checkpoint.serde.langchain import LANGCHAIN_DECODERS, langchain_encoder
from threadkeep.checkpoint.serde.path import path_of
from threadkeep.checkpoint.serde.values import DECODERS, ENCODERS, encode_exception
from threadkeep.checkpoint.serde.wire import (
    Encoder,
    Pack,
    Unpack,
    Unusual,
    make_careful_pack,
    make_pack,
    make_unpack,
)

__all__ = ["AllowedModules", "InvalidModuleError", "JsonPlusSerializer", "NotAllowedError", "register"]

_NOT_GIVEN: Final[None] = None
_SCALARS: Final = (str, int, float, bytes)


class JsonPlusSerializer(SerializerProtocol):
    """The default serialiser. Immutable and safe to share between threads.

    *allowed_modules* allows classes: a module name allows the classes defined in that very module, a pair
    `(module, class name)` or the class itself one class. `allowed_msgpack_modules` and `allowed_json_modules`
    are older spellings of it; True in one of them allows every dataclass, enum, named tuple and pydantic
    model of every module that is loaded.

    *pickle_fallback* pickles what cannot be saved otherwise and, loading, runs whatever the pickle says: only
    for storage that nobody else can write to.

    `__unpack_ext_hook__(code, data)`, if given, decodes every extension in place of the built-in code.
    """

    def __init__(
        self,
        *,
        pickle_fallback: bool = False,
        allowed_modules: AllowedModules | None = None,
        allowed_json_modules: Iterable[tuple[str, ...]] | Literal[True] | None = None,
        allowed_msgpack_modules: AllowedModules | Literal[True] | None = _NOT_GIVEN,
        __unpack_ext_hook__: Callable[[int, bytes], Any] | None = None,
    ) -> None:
        allowed = allowlist_from(allowed_modules, allowed_json_modules, allowed_msgpack_modules)
        self._start(pickle_fallback, allowed, __unpack_ext_hook__)

    def _start(
        self, pickle_fallback: bool, allowed: Allowlist, hook: Callable[[int, bytes], Any] | None
    ) -> None:
        self.pickle_fallback = pickle_fallback
        self._allowed = allowed
        self._hook = hook
        self._encoders = _Encoders(allowed, pickle_fallback)
        self._pack = make_pack(self._encoders)
        self._careful_pack: Pack | None = None
        decoders = {
            **DECODERS,
            32: _object_decoder(allowed),
            **LANGCHAIN_DECODERS,
            34: decode_array,
            35: decode_scalar,
            36: _decode_pickle if pickle_fallback else _refuse_pickle,
        }
        self._unpack = make_unpack(decoders) if hook is None else make_unpack(_Replaced(hook))

    def with_msgpack_allowlist(self, extra_allowlist: AllowedModules) -> JsonPlusSerializer:
        """A serialiser like this one that allows *extra_allowlist* (as `allowed_modules`) as well."""
        extended = object.__new__(type(self))
        extended.__dict__.update(self.__dict__)
        extended._start(self.pickle_fallback, self._allowed.extended(extra_allowlist), self._hook)
        return extended

    def allowed_class(self, module: str, name: str) -> type:
        """The class that other formats call so, if it is on the allow-list. Raises `InvalidModuleError`."""
        return self._allowed.class_called(module, name)

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """The tag and bytes for *obj*. Raises `SerializationError`.

        The tag is "null", "bytes" or "bytearray" for a value that is just that, "pickle" for one that was
        pickled as a whole, else "msgpack".
        """
        if obj is None:
            return "null", b""
        kind = type(obj)
        if kind is bytes:
            return "bytes", obj
        if kind is bytearray:
            return "bytearray", bytes(obj)
        data = self.dumps(obj)
        if self.pickle_fallback:
            pickled = _whole_pickle(data)
            if pickled is not None:
                return "pickle", pickled
        return "msgpack", data

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """The value that `dumps_typed` was given. Raises `DeserializationError`."""
        tag, payload = data
        if tag == "msgpack":
            return self.loads(payload)
        if tag == "null":
            return None
        if tag == "bytes":
            return bytes(payload)
        if tag == "bytearray":
            return bytearray(payload)
        return self._loads_rare(tag, payload)

    def dumps(self, obj: Any) -> bytes:
        """The msgpack form of *obj*, whatever it is: what `dumps_typed` gives with the tag "msgpack".

        The same value gives the same bytes in every process. The bytes of a list are a msgpack array header
        and then the bytes of its elements: storage cuts and joins lists by that. Raises `SerializationError`.
        """
        try:
            try:
                return self._pack(obj)
            except Unusual:
                return self._pack_carefully(obj)
        except NotAllowedError as error:
            error.found_at(path_of(error.part, obj))
            raise
        except SerializationError:
            raise
        except Exception as error:
            raise SerializationError(f"a {full_name(type(obj))} cannot be saved: {error!r}") from error

    def loads(self, data: bytes) -> Any:
        """The value that `dumps` was given; bytes after it are ignored. Raises `DeserializationError`."""
        try:
            return self._unpack(data)
        except DeserializationError:
            raise
        except Exception as error:
            raise DeserializationError(f"the data cannot be loaded: {error!r}") from error

    def _pack_carefully(self, obj: Any) -> bytes:
        if self._careful_pack is None:
            self._careful_pack = make_careful_pack(self._encoders)
        return self._careful_pack(obj)

    def _loads_rare(self, tag: str, payload: bytes) -> Any:
        try:
            if tag == "pickle":
                decode = _decode_pickle if self.pickle_fallback else _refuse_pickle
                return decode(payload, self._unpack)
            if tag == "json":
                import json

                return json.loads(payload)
        except DeserializationError:
            raise
        except Exception as error:
            raise DeserializationError(f"the data ({tag}) cannot be loaded: {error!r}") from error
        raise DeserializationError(f"the data has the unknown type tag {tag!r}")


class _Encoders(Memory):
    """Encoders by class; those of classes beyond the value types are found when first asked for."""

    def __init__(self, allowed: Allowlist, pickle_fallback: bool) -> None:
        super().__init__(ENCODERS)
        self._allowed = allowed
        self._pickle_fallback = pickle_fallback

    def __missing__(self, cls: type) -> Encoder:
        codec = self._allowed.codec_for_class(cls)
        if codec is not None:
            encoder = self[cls] = _object_encoder(codec)
            return encoder
        found = langchain_encoder(cls) or numpy_encoder(cls)
        if found is not None:
            self[cls] = found
            return found
        # Not remembered: the class may be registered later.
        if issubclass(cls, BaseException):
            return encode_exception
        for plain in _SCALARS:
            if issubclass(cls, plain) and not hasattr(cls, "__members__"):
                return _plain_encoder(plain)
        return _encode_pickle if self._pickle_fallback else _refuse


class _Replaced(dict[int, Any]):
    """Decoders that all call the application's own hook."""

    def __init__(self, hook: Callable[[int, bytes], Any]) -> None:
        super().__init__()
        self._hook = hook

    def __missing__(self, code: int) -> Any:
        return lambda data, unpack: self._hook(code, data)


def _object_encoder(codec: Codec) -> Encoder:
    name, dump = codec.name, codec.dump

    def encode(value: Any, pack: Pack) -> Ext:
        return Ext(32, pack([name, dump(value)]))

    return encode


class _Loaders(Memory):
    """What builds an object, by the name of its class."""

    def __init__(self, allowed: Allowlist) -> None:
        super().__init__()
        self._allowed = allowed

    def __missing__(self, name: str) -> Callable[[Any], Any]:
        load = self[name] = self._allowed.codec_for_name(name).load
        return load


def _object_decoder(allowed: Allowlist) -> Callable[[bytes, Unpack], Any]:
    loaders = _Loaders(allowed)

    def decode(data: bytes, unpack: Unpack) -> Any:
        name, state = unpack(data)
        return loaders[name](state)

    return decode


def _plain_encoder(plain: type) -> Encoder:
    convert: Any = {str: str.__str__, int: int.__int__, float: float.__float__}.get(plain, plain)
    return lambda value, pack: convert(value)


def _refuse(value: Any, pack: Pack) -> Any:
    cls = type(value)
    if cls.__module__ == "builtins":
        raise NotAllowedError(f"A {cls.__name__} cannot be saved: {value!r:.80}.", value)
    raise NotAllowedError(
        f"{full_name(cls)} is not on the allow-list. {remedy(cls.__qualname__, cls.__module__)}", value
    )


# Pickle, by explicit opt-in


def _encode_pickle(value: Any, pack: Pack) -> Ext:
    import pickle

    try:
        return Ext(36, pickle.dumps(value))
    except Exception as error:  # pickle raises what it likes
        raise NotAllowedError(
            f"A {full_name(type(value))} cannot even be pickled: {error}.", value
        ) from error


def _decode_pickle(data: bytes, unpack: Unpack) -> Any:
    import pickle

    return pickle.loads(data)  # noqa: S301  # the application asked for it


def _refuse_pickle(data: bytes, unpack: Unpack) -> Any:
    raise DeserializationError(
        "the data holds a pickle, which can run any code: to load it all the same, use"
        " JsonPlusSerializer(pickle_fallback=True)"
    )


_EXT_HEADERS: Final = {0xD4: 1, 0xD5: 1, 0xD6: 1, 0xD7: 1, 0xD8: 1, 0xC7: 2, 0xC8: 3, 0xC9: 5}


def _whole_pickle(data: bytes) -> bytes | None:
    """The pickle that *data* consists of, if it is one."""
    at = _EXT_HEADERS.get(data[0])
    return data[at + 1 :] if at is not None and data[at] == 36 else None
