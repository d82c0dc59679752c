"""Which texts of a value are embedded, and the check of the vectors that come back. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Literal, NamedTuple

from threadkeep.errors import InvalidOpError
from threadkeep.store.base.ops import IndexConfig
from threadkeep.store.base.paths import get_text_at_path

WHOLE = ["$"]


class Text(NamedTuple):
    """One text of an item that gets a vector."""

    field: str
    """The field path that led to it."""
    place: int
    """Which of the path's texts it is, from 0."""
    text: str


def fields_of(index: IndexConfig) -> list[str]:
    """The field paths that are embedded where a put does not say otherwise."""
    return index.get("fields") or WHOLE


def texts_of(
    value: dict[str, Any], index: Literal[False] | list[str] | None, fields: list[str]
) -> list[Text]:
    """The texts of *value* to embed: those of *index* if the put gave it (none for False), else those of
    *fields*. A path that is given twice counts once; blank texts are left out.
    """
    if index is False:
        return []
    return [
        Text(path, place, text)
        for path in dict.fromkeys(fields if index is None else index)
        for place, text in enumerate(get_text_at_path(value, path))
        if text and not text.isspace()
    ]


def text_hash(text: str) -> bytes:
    """16 bytes that tell whether a text is the one that was embedded before."""
    return blake2b(text.encode(), digest_size=16).digest()


def check_vectors(vectors: Sequence[Sequence[float]], texts: Sequence[str], dims: int) -> None:
    """Raises `InvalidOpError` unless there is one vector of *dims* numbers for each text."""
    if len(vectors) != len(texts):
        raise InvalidOpError(f"The embedding made {len(vectors)} vectors of {len(texts)} texts.")
    for vector, text in zip(vectors, texts, strict=True):
        if len(vector) != dims:
            raise InvalidOpError(
                f"The embedding made a vector of {len(vector)} numbers, but the index has dims={dims}; "
                f"the text begins {text[:60]!r}."
            )
