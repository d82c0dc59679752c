"""The vectors of all items as rows of a few big matrices, and ranking them against a query.

Owns which row belongs to which owner. Knows nothing of namespaces, keys or time.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from math import sqrt
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from threadkeep.errors import InvalidOpError, StorageError

Floats = NDArray[np.float32]
Rows = NDArray[np.intp]
Owner = TypeVar("Owner")
Order = Callable[[Owner], Any]
"""What owners with equal scores are sorted by."""

DISTANCES = ("cosine", "inner_product", "l2")
CHUNK_BYTES = 128 << 20
"""A matrix never grows: the next one is reserved, and the system gives its pages as rows are written. So no
put copies what is stored. Few big ones: each product waits for all threads of the BLAS (77 MB in one product
or in three: 2.6 ms both on an idle machine, 16 and 48 on a busy one); products of 500 rows use one thread."""
SHORTEST, LONGEST = 1e-15, 1e18
"""Between these lengths float32 holds the products of vectors."""
MIN_COMPACTED = 1024
"""Holes that are never worth a compaction."""


class Part(NamedTuple):
    """Some rows, gathered into a matrix of their own (or a view of it where they lie side by side)."""

    rows: Rows
    matrix: Floats
    bias: Floats


class Vectors(Generic[Owner]):
    """Rows of float32 with their owners.

    An owner may have several rows; the best one decides its score. Scores are similarities, higher is
    better: 1 - cosine distance (0 for a zero vector), the inner product, or minus the Euclidean distance.
    Not safe for threads.
    """

    def __init__(self, dims: int, distance: str = "cosine") -> None:
        if distance not in DISTANCES:
            raise ValueError(f"distance_type must be one of {', '.join(DISTANCES)}, not {distance!r}")
        if dims < 1:
            raise ValueError(f"dims must be the length of the vectors, not {dims!r}")
        self.dims = dims
        self.distance = distance
        self.epoch = 0
        """Changes when rows move; row numbers and parts taken before are then void."""
        self.used = 0
        self._per_chunk = max(1, CHUNK_BYTES // (4 * dims))
        self._chunks: list[Floats] = []
        self._bias: list[Floats] = []
        self._owners: list[Owner | None] = []
        self._free: list[int] = []
        self._longest = 1.0
        self._pack = struct.Struct(f"{dims}f").pack

    def __len__(self) -> int:
        return self.used - len(self._free)

    def matrix(self, vectors: Sequence[Sequence[float]]) -> Floats:
        """Vectors of the right length as rows that can be added (of length 1 for cosine).

        Raises `InvalidOpError` for what is not a number, not a finite one, or so long that products overflow.
        """
        found = self._packed(vectors)
        lengths = np.sqrt(np.einsum("ij,ij->i", found, found, dtype=np.float64))
        if not (lengths <= LONGEST).all():
            raise InvalidOpError(
                f"The embedding made a vector with an infinity or NaN in it, or longer than {LONGEST:g}."
            )
        if self.distance == "cosine":
            lengths[lengths == 0] = 1
            found = found / lengths.astype(np.float32)[:, None]
        else:
            self._longest = max(self._longest, float(lengths.max(initial=0)))
        return found

    def query(self, vector: Sequence[float]) -> Floats:
        """As `matrix`, of one vector: a query. A third of the time."""
        found: Floats = self._packed([vector])[0]
        length = sqrt(float(found @ found))
        if not SHORTEST <= length <= LONGEST:
            found = self.matrix([vector])[0]
        elif self.distance == "cosine":
            found = found / np.float32(length)
        return found

    def _packed(self, vectors: Any) -> Floats:
        if isinstance(vectors, np.ndarray):
            with np.errstate(over="ignore"):  # an infinity is refused later
                return vectors.astype(np.float32).reshape(len(vectors), self.dims)
        try:
            # struct reads a list of floats three times as fast as numpy.array (2.9 against 8.7 µs for 384).
            packed = b"".join([self._pack(*vector) for vector in vectors])
        except (struct.error, OverflowError) as error:
            raise InvalidOpError(f"The embedding made a vector that is not of float32: {error}") from error
        return np.frombuffer(packed, dtype=np.float32).reshape(-1, self.dims)

    def restored(self, matrix: Floats) -> Floats:
        """Rows that `matrix` made for a store like this one. Raises `StorageError` if it cannot have."""
        lengths = np.sqrt(np.einsum("ij,ij->i", matrix, matrix, dtype=np.float64))
        unit = (abs(lengths - 1) < 1e-3) | (lengths == 0)
        if not ((lengths <= LONGEST) & (unit | (self.distance != "cosine"))).all():
            raise StorageError("The vectors of the file have lengths that no store saves.")
        self._longest = max(self._longest, float(lengths.max(initial=0)))
        return matrix

    @staticmethod
    def joined(first: Floats, second: Floats) -> Floats:
        """The rows of both."""
        return np.concatenate([first, second])

    def add(self, matrix: Floats, owners: Sequence[Owner]) -> list[int]:
        """The numbers of the new rows, one for each row of *matrix* (as `matrix` made it)."""
        reused = min(len(self._free), len(owners))
        rows = [self._free.pop() for _ in range(reused)]
        for row, vector, owner in zip(rows, matrix, owners, strict=False):
            chunk, place = divmod(row, self._per_chunk)
            self._chunks[chunk][place] = vector
            self._bias[chunk][place] = self._bias_of(vector[None])[0]
            self._owners[row] = owner
        rows.extend(range(self.used, self.used + len(owners) - reused))
        self._append(matrix[reused:])
        self._owners.extend(owners[reused:])
        return rows

    def _append(self, matrix: Floats) -> None:
        done = 0
        while done < len(matrix):
            chunk, place = divmod(self.used, self._per_chunk)
            if chunk == len(self._chunks):
                self._chunks.append(np.empty((self._per_chunk, self.dims), dtype=np.float32))
                self._bias.append(np.zeros(self._per_chunk, dtype=np.float32))
            piece = matrix[done : done + self._per_chunk - place]
            self._chunks[chunk][place : place + len(piece)] = piece
            self._bias[chunk][place : place + len(piece)] = self._bias_of(piece)
            self.used += len(piece)
            done += len(piece)

    def _bias_of(self, matrix: Floats) -> Floats:
        """What is added to the products with a query so that they rank as the scores do."""
        if self.distance == "l2":
            bias: Floats = np.float32(-0.5) * np.einsum("ij,ij->i", matrix, matrix)
            return bias
        return np.zeros(len(matrix), dtype=np.float32)

    def give(self, rows: Iterable[int], owner: Owner) -> None:
        """Hands rows to a new owner."""
        for row in rows:
            self._owners[row] = owner

    def remove(self, rows: Sequence[int]) -> None:
        """Leaves holes, which the next rows fill."""
        for row in rows:
            chunk, place = divmod(row, self._per_chunk)
            self._bias[chunk][place] = -np.inf
            self._owners[row] = None
        self._free.extend(rows)

    def compact(self, moved: Callable[[Owner, list[int]], None]) -> bool:
        """Closes the holes if they are the greater part; *moved* is told each owner and its new rows.

        Rows of one owner stay in order. Costs a copy of the rows, once in as many removals.
        """
        if len(self._free) < MIN_COMPACTED or 2 * len(self._free) < self.used:
            return False
        kept = [row for row, owner in enumerate(self._owners) if owner is not None]
        matrix, owners = self.at(np.array(kept, dtype=np.intp)), [self._owners[row] for row in kept]
        self.used, self._chunks, self._bias, self._owners, self._free = 0, [], [], [], []
        self._append(matrix)
        self._owners.extend(owners)
        places: dict[int, tuple[Owner, list[int]]] = {}
        for row, owner in enumerate(owners):
            if owner is not None:
                places.setdefault(id(owner), (owner, []))[1].append(row)
        for owner, rows in places.values():
            moved(owner, rows)
        self.epoch += 1
        return True

    def at(self, rows: Rows) -> Floats:
        """The rows as one matrix: a view if they lie side by side, else a copy."""
        first, last = (int(rows[0]), int(rows[-1])) if len(rows) else (0, -1)
        chunk, place = divmod(first, self._per_chunk)
        together = last - first + 1 == len(rows) and bool((np.diff(rows) == 1).all())
        if together and len(rows) and last // self._per_chunk == chunk:
            return self._chunks[chunk][place : place + len(rows)]
        gathered = np.empty((len(rows), self.dims), dtype=np.float32)
        chunks, places = np.divmod(rows, self._per_chunk)
        for number, matrix in enumerate(self._chunks):
            here = chunks == number
            if here.all():
                return matrix.take(places, axis=0)
            gathered[here] = matrix[places[here]]
        return gathered

    def part(self, rows: Sequence[int]) -> Part:
        """The rows, gathered for queries. It is void once one of them is removed, or `epoch` has changed."""
        numbers = np.array(rows, dtype=np.intp)
        matrix = self.at(numbers)
        return Part(numbers, matrix, self._bias_of(matrix))

    def ranked(
        self, query: Floats, part: Part | None, expected: int, order: Order[Owner]
    ) -> Iterator[tuple[Owner, float]]:
        """Owners with their scores, best first; equal scores in the order of `order(owner)`.

        *query* is what `query` made. A product of all rows (or of *part*) is made once; the best
        *expected* rows are looked at, then four times as many, until the caller stops. They are scored anew
        in float64, each by itself, so that equal vectors have equal scores.
        """
        scores = self._products(query, part)
        wide, margin = query.astype(np.float64), self._margin(query)
        seen: set[int] = set()
        wanted = max(1, expected)
        while True:
            best = _best(scores, wanted, margin)
            rows = best if part is None else part.rows[best]
            exact = self._exact(rows if part is None else best, part, wide)
            yield from self._owned(rows, exact, wanted, seen, order)
            if wanted >= len(scores):
                return
            wanted *= 4

    def _exact(self, rows: Rows, part: Part | None, query: NDArray[np.float64]) -> NDArray[np.float64]:
        """The scores of some rows (of *part*), a few thousand at a time: float64 takes room."""
        pieces = [rows[start : start + 4096] for start in range(0, len(rows), 4096)] or [rows]
        found = [self._scores(self.at(p) if part is None else part.matrix[p], query) for p in pieces]
        return found[0] if len(found) == 1 else np.concatenate(found)

    def _owned(
        self, rows: Rows, exact: NDArray[np.float64], wanted: int, seen: set[int], order: Order[Owner]
    ) -> list[tuple[Owner, float]]:
        """Each owner not yet *seen*, with its best score, of the *wanted* best rows and their equals: no row
        outside *rows* can precede those.
        """
        found, tied, last, places = [], False, np.inf, np.argsort(-exact, kind="stable").tolist()
        scores = exact.tolist()
        for number, place in enumerate(places):
            score = scores[place]
            if number >= wanted and score != last:
                break
            owner = self._owners[rows[place]]
            if owner is not None and id(owner) not in seen:
                seen.add(id(owner))
                found.append((owner, score))
                tied = tied or score == last
            last = score
        return sorted(found, key=lambda pair: (-pair[1], order(pair[0]))) if tied else found

    def _products(self, query: Floats, part: Part | None) -> Floats:
        """A number for each row that ranks as its score does, to float32's precision; holes are -inf."""
        if part is not None:
            products = part.matrix @ query
            return products + part.bias if self.distance == "l2" else products
        products = np.empty(self.used, dtype=np.float32)
        for number, matrix in enumerate(self._chunks):
            start = number * self._per_chunk
            here = products[start : start + self._per_chunk]
            np.dot(matrix[: len(here)], query, out=here)
            if self._free or self.distance == "l2":
                here += self._bias[number][: len(here)]
        return products

    def _margin(self, query: Floats) -> float:
        """Twice what the rounding of a product may amount to."""
        reach = 1.0 if self.distance == "cosine" else float(np.linalg.norm(query))
        if self.distance == "l2":
            reach += self._longest
        return 4e-7 * sqrt(self.dims) * self._longest * reach

    def _scores(self, matrix: Floats, query: NDArray[np.float64]) -> NDArray[np.float64]:
        apart: NDArray[np.float64] = matrix - query if self.distance == "l2" else matrix * query
        if self.distance == "l2":
            scores: NDArray[np.float64] = 0.0 - np.sqrt((apart * apart).sum(axis=1))
            return scores
        scores = apart.sum(axis=1)
        return np.maximum(np.minimum(scores, 1), -1) if self.distance == "cosine" else scores


def _best(scores: Floats, wanted: int, margin: float) -> Rows:
    """The places of the *wanted* highest scores, of their equals, and of all within *margin* of them."""
    if wanted >= len(scores):
        return np.flatnonzero(scores > -np.inf)
    least = np.partition(scores, len(scores) - wanted)[len(scores) - wanted]
    return np.flatnonzero((scores >= least - margin) & (scores > -np.inf))
