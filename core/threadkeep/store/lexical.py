"""Search by words, alike on every store: what a word is, which words an item has, how rankings are fused.

Pure. Words are cut here, never by a database, so that `mode="lexical"` finds the same items everywhere. How
well they match is each store's own formula; the order of the results may differ.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

Key = TypeVar("Key", bound=Hashable)

MAX_WORD = 255
"""Longer words are cut to so many characters: a lexeme of Postgres holds 2,046 bytes at most."""
RANK_CONSTANT = 60
"""Of reciprocal rank fusion (Cormack, Clarke, Büttcher, SIGIR 2009)."""
FUSED = 200
"""How many results of each ranking are fused at least; pages within them fit together."""

_WORD = re.compile(r"\w+")


def words(text: str) -> list[str]:
    """The words of a text, in its order, case folded: runs of letters, digits and underscores."""
    return [word[:MAX_WORD] for word in _WORD.findall(text.casefold())]


def words_of(value: Mapping[str, Any]) -> list[str]:
    """The words of all strings in a value, its keys left out.

    An item that was put with `index=False` has none: it is not found by words either. Otherwise the field
    paths of the index do not matter. An item matches a query if it has one of the query's words.
    """
    return words("\n".join(_strings(value)))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for held in value.values():
            yield from _strings(held)
    elif isinstance(value, list | tuple):
        for held in value:
            yield from _strings(held)


def fused_depth(limit: int, offset: int) -> int:
    """How many of the best results of each ranking are fused for a page."""
    return max(FUSED, offset + limit)


def fuse(rankings: Sequence[Sequence[Key]]) -> dict[Key, float]:
    """The score of everything that a ranking names: the sum of 1 / (60 + place), places counted from 1.

    The rankings are best first. The scores are in no order.
    """
    scores: dict[Key, float] = {}
    for ranking in rankings:
        for place, key in enumerate(ranking, start=1):
            scores[key] = scores.get(key, 0.0) + 1 / (RANK_CONSTANT + place)
    return scores
