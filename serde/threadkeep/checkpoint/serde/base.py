"""What every serialiser here is: the protocols, the errors, and a bridge from serialisers without tags.

Imports nothing of ours.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

__all__ = [
    "CipherProtocol", "DeserializationError", "SerdeError", "SerializationError", "SerializerCompat",
    "SerializerProtocol", "UntypedSerializerProtocol", "maybe_add_typed_methods",
]  # fmt: skip


class SerdeError(Exception):
    """A value could not be turned into bytes or back; `type_name` names the class concerned, if one is."""

    def __init__(self, message: str, *, type_name: str | None = None) -> None:
        super().__init__(message)
        self.type_name = type_name


class SerializationError(SerdeError, TypeError):
    """A value cannot be saved: its type is not on the allow-list, or it has no form in bytes."""


class DeserializationError(SerdeError, ValueError):
    """Bytes cannot be loaded: damaged, hostile, or of a type that is not on the allow-list."""


class UntypedSerializerProtocol(Protocol):
    """A serialiser in the manner of `pickle`: bytes alone, no type tag."""

    def dumps(self, obj: Any) -> bytes: ...

    def loads(self, data: bytes) -> Any: ...


@runtime_checkable
class SerializerProtocol(Protocol):
    """What savers and caches call. The tag says how the bytes are to be read; it is stored beside them."""

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]: ...

    def loads_typed(self, data: tuple[str, bytes]) -> Any: ...


@runtime_checkable
class CipherProtocol(Protocol):
    """Encrypts and decrypts bytes; the name that `encrypt` returns is stored and given back to `decrypt`."""

    def encrypt(self, plaintext: bytes) -> tuple[str, bytes]: ...

    def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes: ...


class SerializerCompat(SerializerProtocol):
    """A `SerializerProtocol` over an untyped serialiser; the tag is the name of its class."""

    def __init__(self, serde: UntypedSerializerProtocol) -> None:
        self.serde = serde

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        return type(obj).__name__, self.serde.dumps(obj)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        return self.serde.loads(data[1])


def maybe_add_typed_methods(serde: SerializerProtocol | UntypedSerializerProtocol) -> SerializerProtocol:
    """*serde* itself if it has the typed methods, else a `SerializerCompat` around it."""
    if isinstance(serde, SerializerProtocol):
        return serde
    return SerializerCompat(serde)
