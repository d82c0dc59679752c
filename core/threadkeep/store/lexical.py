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
"""How many results of each ranking are fused at first."""
_DEEPER = 4

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
    depth = FUSED
    while depth < offset + limit:
        depth = deeper(depth)
    return depth


def deeper(depth: int) -> int:
    """The next larger depth."""
    return depth * _DEEPER


def fuse(rankings: Sequence[Sequence[Key]]) -> dict[Key, float]:
    """The score of everything that a ranking names: the sum of 1 / (60 + place), places counted from 1.

    What comes after the first 200 of every ranking is fused by itself, with half the score, what comes after
    the first 800 with a quarter of it, and so on. So rankings that are cut deeper only add results behind
    those that there were, and pages fit together. The rankings are best first. The scores are in no order.
    """
    places: dict[Key, list[int]] = {}
    for ranking in rankings:
        for place, key in enumerate(ranking, start=1):
            places.setdefault(key, []).append(place)
    return {key: _fused(found) for key, found in places.items()}


def _fused(places: Sequence[int]) -> float:
    depth, share, best = FUSED, 1.0, min(places)
    while best > depth:
        depth, share = deeper(depth), share / 2
    return share * sum(1 / (RANK_CONSTANT + place) for place in places if place <= depth)
