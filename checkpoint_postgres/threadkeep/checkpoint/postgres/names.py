"""Names and metadata as the tables keep them. Pure.

Postgres text cannot hold NUL, and an index entry has at most 2,704 bytes. So text columns escape two
characters, in a way that keeps the order of texts, and indexes hold the short key of a name instead of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import blake2b
from math import isfinite
from typing import Any

from threadkeep.checkpoint.objects import Blob

__all__ = ["ID_MAX", "checked_id", "conditions", "escape", "key_of", "labels", "place_of", "unescape"]

ID_MAX = 1_000
"""Bytes of a checkpoint id: it stands in three indexes as it is, for its order."""
_KEY_MAX = 20
_LABEL_MAX = 200
"""Characters of a name or a text in the searchable copy of the metadata."""


def escape(text: str) -> str:
    """The text without NUL; in the order of the texts."""
    if "\x00" in text or "\x01" in text:
        return text.replace("\x01", "\x01\x02").replace("\x00", "\x01\x01")
    return text


def unescape(text: str) -> str:
    """What `escape` was given."""
    if "\x01" in text:
        return text.replace("\x01\x01", "\x00").replace("\x01\x02", "\x01")
    return text


def key_of(name: str) -> bytes:
    """At most 20 bytes that stand for a name: itself if it is shorter, else its hash."""
    data = name.encode()
    return data if len(data) < _KEY_MAX else blake2b(data, digest_size=_KEY_MAX).digest()


def checked_id(id: str) -> str:
    """The id of a checkpoint, escaped. Raises ValueError for one that is too long."""
    escaped = escape(id)
    if len(escaped) > ID_MAX // 4 and len(escaped.encode()) > ID_MAX:
        raise ValueError(f"A checkpoint id has at most {ID_MAX:,} bytes in Postgres: {id[:40]!r}…")
    return escaped


def place_of(blob: Blob, hash_key: bytes) -> bytes:
    """128 bits by which an object is found: keyed, so that nobody can prepare two objects with one place."""
    if isinstance(blob, bytes):
        return blake2b(blob, digest_size=16, key=hash_key).digest()
    tag = blob[0].encode()
    hashed = blake2b(len(tag).to_bytes(4, "big") + tag, digest_size=16, key=hash_key, person=b"tag")
    hashed.update(blob[1])
    return hashed.digest()


def labels(metadata: Mapping[str, Any]) -> str | None:
    """The part of the metadata that filters can search, as JSON: short texts, numbers, true and false.

    None if some value is of a kind that may equal one of these.
    """
    found = {}
    for key, value in metadata.items():
        if isinstance(value, _SCALARS):
            if (label := _label(key, value)) is not None:
                found[escape(key)] = label
        elif not (value is None or type(value) in (dict, list, tuple)):
            return None
    return json.dumps(found, ensure_ascii=False)


def conditions(filter: Mapping[str, Any]) -> list[str]:
    """Such JSON that the labels of what matches contain at least one; none where that says nothing.

    Only of one key: what contains it is compared in full.
    """
    fitting = [(key, value) for key, value in filter.items() if _label(key, value) is not None]
    if not fitting:
        return []
    key, value = max(fitting, key=lambda each: isinstance(each[1], str))
    same = [True, 1] if value == 1 else [False, 0] if value == 0 else [value]  # in JSON true is not 1
    return [json.dumps({escape(key): _label(key, each)}, ensure_ascii=False) for each in same]


_SCALARS = (str, int, float)


def _label(key: Any, value: Any) -> str | int | float | None:
    if not isinstance(key, str) or not _is_text(key):
        return None
    if isinstance(value, str):
        return escape(str.__str__(value)) if _is_text(value) else None
    if isinstance(value, bool):
        return value
    if isinstance(value, float):
        if not isfinite(value):
            return None
        return int(value) if value.is_integer() else float(value)
    return int(value) if isinstance(value, int) and abs(value) < _FLOATS_END else None


_FLOATS_END = 2**1024


def _is_text(text: str) -> bool:
    if len(text) > _LABEL_MAX:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate, which JSONB refuses
        return False
    return True
