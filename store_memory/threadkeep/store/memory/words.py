"""Items by their words, ranked by BM25.

Knows nothing of queries' filters, of time or of vectors.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby
from math import log
from operator import itemgetter

from threadkeep.store.base import Namespace
from threadkeep.store.lexical import words, words_of
from threadkeep.store.memory.items import Record

SATURATION = 1.2
"""How soon the repetition of a word in an item stops to count (k1)."""
LENGTH = 0.75
"""How much the length of an item counts (b)."""

Home = dict[Record, int]
"""How often each item of one namespace has a word."""


_score = itemgetter(1)


class Words:
    """Which items have which words, and how often; built when the first search asks for it."""

    def __init__(self, records: Iterable[Record]) -> None:
        self._homes: dict[str, dict[Namespace, Home]] = {}
        self._holders: Counter[str] = Counter()
        self._lengths: dict[Record, int] = {}
        self._total = 0
        for record in records:
            self.add(record)

    def add(self, record: Record) -> None:
        if not record.words:
            return
        counts = Counter(words_of(record.value))
        for word, count in counts.items():
            self._homes.setdefault(word, {}).setdefault(record.namespace, {})[record] = count
        self._holders.update(counts.keys())
        self._lengths[record] = counts.total()
        self._total += counts.total()

    def remove(self, record: Record) -> None:
        if record not in self._lengths:
            return
        self._total -= self._lengths.pop(record)
        for word in set(words_of(record.value)):
            homes = self._homes[word]
            home = homes[record.namespace]
            del home[record]
            if not home:
                del homes[record.namespace]
            if not homes:
                del self._homes[word]
            self._holders[word] -= 1
            if not self._holders[word]:
                del self._holders[word]

    def ranked(self, query: str, prefix: Namespace) -> Iterator[tuple[Record, float]]:
        """The items under *prefix* that have a word of *query*, with their scores, best first; equals in the
        order of a list.
        """
        scores: dict[Record, float] = {}
        for word in dict.fromkeys(words(query)):
            self._count(word, prefix, scores)
        for _, equals in groupby(sorted(scores.items(), key=_score, reverse=True), _score):
            yield from sorted(equals, key=lambda pair: pair[0].order)

    def _count(self, word: str, prefix: Namespace, scores: dict[Record, float]) -> None:
        holders, everyone = self._holders[word], len(self._lengths)
        rarity = log(1 + (everyone - holders + 0.5) / (holders + 0.5))
        usual = self._total / everyone if everyone else 1
        for namespace, home in self._homes.get(word, {}).items():
            if namespace[: len(prefix)] != prefix:
                continue
            for record, count in home.items():
                long = 1 - LENGTH + LENGTH * self._lengths[record] / usual
                gain = rarity * count * (SATURATION + 1) / (count + SATURATION * long)
                scores[record] = scores.get(record, 0.0) + gain
