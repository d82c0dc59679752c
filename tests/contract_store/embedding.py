"""Embeddings for tests: deterministic, quick, and such that texts with common parts are near each other."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from zlib import crc32

DIMS = 64


def embed(texts: Sequence[str]) -> list[list[float]]:
    """A unit vector of 64 numbers for each text, of its parts of three characters."""
    return [_vector(text) for text in texts]


def _vector(text: str) -> list[float]:
    padded = f"  {text.lower()}  "
    vector = [0.0] * DIMS
    for i in range(len(padded) - 2):
        code = crc32(padded[i : i + 3].encode())
        vector[code % DIMS] += 1.0 if code & 0x10000 else -1.0
    length = sqrt(sum(x * x for x in vector))
    return [x / length for x in vector] if length else [1.0] + [0.0] * (DIMS - 1)


class Recorded:
    """An embedding of listed texts, which remembers what it was asked."""

    def __init__(self, vectors: dict[str, list[float]]) -> None:
        self.vectors = dict(vectors)
        self.asked: list[str] = []
        self.calls = 0
        self.fails = False

    def __call__(self, texts: Sequence[str]) -> list[list[float]]:
        self.calls += 1
        if self.fails:
            raise ConnectionError("no embedding today")
        self.asked += texts
        return [self.vectors[text] for text in texts]
