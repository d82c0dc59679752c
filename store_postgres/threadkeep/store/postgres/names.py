"""Namespaces, keys and values as the tables keep them. Pure.

Postgres text and JSONB cannot hold NUL, so some characters are escaped: in names so that their order stays,
in JSONB so that also a part of a text is found as before.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any

from threadkeep.errors import InvalidOpError
from threadkeep.store.base import Namespace

__all__ = [
    "END", "LAST", "NAMES_MAX", "body_of", "checked", "escaped", "json_escaped", "namespace_of", "range_of",
    "searchable", "space", "unescaped",
]  # fmt: skip

END = "\x01"
"""Ends each label of a namespace: below every character that an escaped label has, so that the texts are in
the order of the namespaces, and what begins with a prefix lies together."""
NAMES_MAX = 2_600
"""Bytes of namespace and key together: an index entry has at most 2,704."""

LAST = "\U0010ffff" * (NAMES_MAX // 4 + 1)
"""Above every namespace."""

_NAME_CODES = {"\x00": "\x02\x02", "\x01": "\x02\x03", "\x02": "\x02\x04"}
_NAME_TEXTS = {code: text for text, code in _NAME_CODES.items()}
_NAME_CODE = re.compile("[\x00-\x02]")
_NAME_TEXT = re.compile("\x02.")
# No code is a part of others or begins inside one: a text has another as a part if and only if it is so of
# their codes.
_JSON_CODES = {"\x00": "\x01\x02\x02", "\x01": "\x01\x02\x03", "\x02": "\x01\x03\x02", "\x03": "\x01\x03\x03"}
_JSON_CODE = re.compile("[\x00-\x03]")
_JSON_TEXT = re.compile(r"\\(?:u000([0-3])|.)")
_ENCODE = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode


def escaped(name: str) -> str:
    """A key or label without NUL; in the order of the texts."""
    return _NAME_CODE.sub(lambda found: _NAME_CODES[found[0]], name)


def unescaped(text: str) -> str:
    """What `escaped` was given."""
    return _NAME_TEXT.sub(lambda found: _NAME_TEXTS[found[0]], text) if "\x02" in text else text


@lru_cache(maxsize=4096)
def space(namespace: Namespace) -> str:
    """A namespace as one text."""
    return "".join([escaped(label) + END for label in namespace])


@lru_cache(maxsize=4096)
def namespace_of(text: str) -> Namespace:
    """What `space` was given."""
    return tuple(unescaped(label) for label in text.split(END)[:-1])


def range_of(prefix: Namespace) -> tuple[str, str] | None:
    """Between the first, included, and the second lie the texts of all namespaces that begin with *prefix*;
    None for all there are.
    """
    first = space(prefix)
    return (first, first[:-1] + "\x02") if prefix else None


def checked(ns: str, key: str) -> None:
    """Raises `InvalidOpError` if the names of an item, escaped, are too long for an index of Postgres."""
    if len(ns) + len(key) > NAMES_MAX // 4 and (size := len(ns.encode()) + len(key.encode())) > NAMES_MAX:
        raise InvalidOpError(
            f"Namespace and key have at most {NAMES_MAX:,} bytes together in Postgres, not {size:,}: "
            f"key {key[:40]!r}…"
        )


def body_of(value: Any) -> str:
    """A JSON value as text, without blanks."""
    return _ENCODE(value)


def searchable(body: str) -> str:
    """The JSON of a value as JSON that JSONB can hold: in it the texts and names are as `json_escaped` makes
    them. `body_of` made it, so every control character is written as \\u00….
    """
    return _JSON_TEXT.sub(_json_code, body) if "\\u000" in body else body


def _json_code(found: re.Match[str]) -> str:
    return (
        "".join([f"\\u000{ord(code)}" for code in _JSON_CODES[chr(int(found[1]))]]) if found[1] else found[0]
    )


def json_escaped(text: str) -> str:
    """A text or name of an object as JSONB has it."""
    return _JSON_CODE.sub(lambda found: _JSON_CODES[found[0]], text)
