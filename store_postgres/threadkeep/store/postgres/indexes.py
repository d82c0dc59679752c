"""How vectors are indexed: the configuration, what is chosen where it is silent, and the index it stands for.

Pure. All vectors of a store lie in one table in single precision; an index is over an expression of them
(`embedding::halfvec(3072)`), so another kind or type of index needs no other table.
"""

from __future__ import annotations

import warnings
from math import ceil
from typing import Any, Literal, NamedTuple, TypedDict, cast

from threadkeep.store.base import IndexConfig

__all__ = [
    "ANNIndexConfig", "DistanceType", "FlatConfig", "HNSWConfig", "IVFFlatConfig", "IndexChoiceWarning",
    "PostgresIndexConfig", "VectorIndex", "chosen", "lists_for",
]  # fmt: skip

DistanceType = Literal["cosine", "inner_product", "l2"]
VectorType = Literal["vector", "halfvec", "bit"]


class ANNIndexConfig(TypedDict, total=False):
    """What all kinds of indexes have in common."""

    kind: Literal["hnsw", "ivfflat", "flat"]
    """`hnsw` if left out. `flat`: no index, every search compares all vectors in its namespaces."""
    vector_type: VectorType
    """What the index holds; left out: the most precise type that can have so many dimensions. Scores are
    always of the full vectors."""


class FlatConfig(ANNIndexConfig, total=False):
    """No index: exact, and fast enough for some ten thousand vectors in a namespace."""


class HNSWConfig(ANNIndexConfig, total=False):
    """A graph of neighbours: may be built before there are rows, slow to write, good at any size."""

    m: int
    """Neighbours of a vector, 2 to 100; 16 if left out."""
    ef_construction: int
    """Candidates when it is built, 4 to 1,000; 64 if left out. At least twice `m`."""
    ef_search: int
    """Candidates of a search, 1 to 1,000; 40 if left out. More are taken where more results are asked for."""
    iterative_scan: Literal["relaxed_order", "strict_order", "off"]
    """How a search goes on where too few candidates pass; `relaxed_order` if left out. What is then still
    missing is found by comparing all."""
    max_scan_tuples: int
    """How many it may visit before all are compared; 20,000 if left out."""


class IVFFlatConfig(ANNIndexConfig, total=False):
    """Clusters of vectors: quick to build and to write, but of what is there when it is built."""

    nlist: int
    """Clusters; left out: by the number of rows when it is built (`lists_for`)."""
    probes: int
    """Clusters that a search visits; left out: 10, or twice the root of `nlist` if that is more."""
    iterative_scan: Literal["relaxed_order", "off"]
    """As of `HNSWConfig`."""
    max_probes: int
    """How many clusters a search may visit at most; all if left out."""


class PostgresIndexConfig(IndexConfig, total=False):
    """How items are found by meaning, in Postgres."""

    ann_index_config: HNSWConfig | IVFFlatConfig | FlatConfig | ANNIndexConfig
    """The index; HNSW with its defaults if left out."""
    distance_type: DistanceType
    """`cosine` if left out. The score is 1 - distance, the inner product, or minus the Euclidean distance."""


class IndexChoiceWarning(UserWarning):
    """The dimensions asked for a less precise index than usual."""


# Both kinds may be there at once, over one expression. A search that sets up one must not take the other.
_MARKS = {"hnsw": "item > -1", "ivfflat": "hash > ''", "flat": "true"}
MAX_DIMS = 16_000
"""Of a vector in pgvector."""
_LIMITS: dict[VectorType, int] = {"vector": 2_000, "halfvec": 4_000, "bit": 64_000}
"""Dimensions in an index: https://github.com/pgvector/pgvector#hnsw"""
_NUMBERS: dict[str, tuple[int, int]] = {
    "m": (2, 100), "ef_construction": (4, 1_000), "ef_search": (1, 1_000), "max_scan_tuples": (1, 2**31 - 1),
    "nlist": (1, 32_768), "probes": (1, 32_768), "max_probes": (1, 32_768),
}  # fmt: skip
_SCANS = {"hnsw": ("relaxed_order", "strict_order", "off"), "ivfflat": ("relaxed_order", "off"), "flat": ()}
_BUILT_WITH: dict[str, dict[str, int | None]] = {
    "hnsw": {"m": 16, "ef_construction": 64},
    "ivfflat": {"nlist": None},
    "flat": {},
}
_OPTIONS = {"m": "m", "ef_construction": "ef_construction", "nlist": "lists"}
OPERATORS: dict[DistanceType, str] = {"cosine": "<=>", "inner_product": "<#>", "l2": "<->"}
_CLASSES: dict[DistanceType, str] = {"cosine": "cosine_ops", "inner_product": "ip_ops", "l2": "l2_ops"}
PROBES = "greatest(10, ceil(2 * sqrt(lists)))::int"
"""The clusters that a search visits, in SQL; see `IVFFlatConfig.probes`."""


class VectorIndex(NamedTuple):
    """A configuration with every choice made."""

    dims: int
    distance: DistanceType
    kind: Literal["hnsw", "ivfflat", "flat"]
    type: VectorType
    built_with: dict[str, int | None]
    """Parameters of the index itself; None: chosen when it is built."""
    searched_with: dict[str, Any]

    @property
    def name(self) -> str:
        """The index's name. Those that are searched alike have the same, whatever they were built with."""
        return f"threadkeep_vector_{self.kind}_{self.distance}_{self.type}_{self.dims}"

    @property
    def operator(self) -> str:
        """The distance of two vectors, of which 1 - d, -d or -d is the score."""
        return OPERATORS[self.distance]

    @property
    def mark(self) -> str:
        """A condition on the rows of the index, always true, which a search through it names."""
        return _MARKS[self.kind]

    def options(self, rows: int) -> dict[str, int]:
        """The storage parameters of the index, if it is built of so many rows."""
        known = {**self.built_with}
        if self.kind == "ivfflat":
            known["nlist"] = known["nlist"] or lists_for(rows)
        return {_OPTIONS[name]: cast("int", value) for name, value in known.items()}

    def differs(self, options: dict[str, int]) -> dict[str, tuple[int, int]]:
        """What an index with these storage parameters has otherwise: the names with there and here."""
        wanted = {_OPTIONS[name]: value for name, value in self.built_with.items() if value is not None}
        return {name: (options[name], value) for name, value in wanted.items() if options.get(name) != value}

    def create(self, rows: int) -> str:
        """The statement that builds the index under the name `<name>`, while others write."""
        options = ", ".join([f"{name} = {value}" for name, value in self.options(rows).items()])
        template = """CREATE INDEX CONCURRENTLY IF NOT EXISTS <name> ON {vector}
            USING <kind> ((<expression>) <class>) WITH (<options>) WHERE dims = <dims> AND <mark>"""
        expression = indexed("embedding", self)
        operators = "bit_hamming_ops" if self.type == "bit" else f"{self.type}_{_CLASSES[self.distance]}"
        parts = {
            "kind": self.kind,
            "expression": expression,
            "class": operators,
            "options": options,
            "mark": self.mark,
        }
        for name, part in {**parts, "dims": str(self.dims)}.items():
            template = template.replace(f"<{name}>", part)
        return template


def indexed(vector: str, index: VectorIndex) -> str:
    """The expression that the index holds of *vector*, a column or a parameter."""
    if index.type == "bit":
        return f"binary_quantize({vector})::bit({index.dims})"
    return f"{vector}::{index.type}({index.dims})"


def lists_for(rows: int) -> int:
    """How many clusters for so many rows: a thousand rows in each, but the root of them beyond a million, as
    pgvector advises.
    """
    return max(10, ceil(rows / 1000) if rows <= 1_000_000 else ceil(rows**0.5))


def chosen(config: PostgresIndexConfig) -> VectorIndex:
    """The index that a configuration stands for.

    Raises `ValueError` for what cannot be. Warns, with `IndexChoiceWarning`, if the dimensions make a type
    be chosen that loses precision.
    """
    dims = config.get("dims")
    if type(dims) is not int or not 1 <= dims <= MAX_DIMS:
        raise ValueError(f"index needs dims, the length of the vectors, from 1 to {MAX_DIMS:,}, not {dims!r}")
    distance = config.get("distance_type", "cosine")
    if distance not in OPERATORS:
        raise ValueError(f"distance_type must be one of {', '.join(OPERATORS)}, not {distance!r}")
    ann: dict[str, Any] = dict(config.get("ann_index_config") or {})
    kind = ann.pop("kind", "hnsw")
    if kind not in _BUILT_WITH:
        raise ValueError(f"kind must be one of {', '.join(_BUILT_WITH)}, not {kind!r}")
    type_ = _type(ann.pop("vector_type", None), dims, kind)
    built_with: dict[str, int | None] = {**_BUILT_WITH[kind]}
    built_with |= {name: ann.pop(name) for name in built_with if name in ann}
    allowed = {"hnsw": ("ef_search", "max_scan_tuples"), "ivfflat": ("probes", "max_probes"), "flat": ()}[
        kind
    ]
    searched_with = {name: ann.pop(name) for name in (*allowed, "iterative_scan") if name in ann}
    if ann:
        raise ValueError(f"an index of kind {kind!r} has no {', '.join(sorted(ann))}")
    _check(kind, {**built_with, **searched_with})
    return VectorIndex(dims, distance, kind, type_, built_with, searched_with)


def _check(kind: str, given: dict[str, Any]) -> None:
    for name, value in given.items():
        if name == "iterative_scan":
            if value not in _SCANS[kind]:
                raise ValueError(f"iterative_scan must be one of {', '.join(_SCANS[kind])}, not {value!r}")
        elif value is not None and (
            type(value) is not int or not _NUMBERS[name][0] <= value <= _NUMBERS[name][1]
        ):
            least, most = _NUMBERS[name]
            raise ValueError(f"{name} must be from {least} to {most:,}, not {value!r}")
    if kind == "hnsw" and given["ef_construction"] < 2 * given["m"]:
        raise ValueError(f"ef_construction must be at least twice m = {given['m']}")


def _type(given: VectorType | None, dims: int, kind: str) -> VectorType:
    if given is not None and given not in _LIMITS:
        raise ValueError(f"vector_type must be one of {', '.join(_LIMITS)}, not {given!r}")
    if kind == "flat":
        return given or "vector"
    if given is not None and dims > _LIMITS[given]:
        raise ValueError(
            f"an index of {given} has at most {_LIMITS[given]:,} dimensions, not {dims:,}; leave vector_type "
            "out to have one chosen"
        )
    if given is not None:
        return given
    best: VectorType = next(name for name, limit in _LIMITS.items() if dims <= limit)
    if best != "vector":
        how = {"halfvec": "half precision (halfvec)", "bit": "one bit a dimension (bit), rescored exactly"}
        warnings.warn(
            f"An index of full vectors has at most 2,000 dimensions; for {dims:,} it is of {how[best]}. Set "
            f'"vector_type": "{best}" in ann_index_config to say so yourself.',
            IndexChoiceWarning,
            stacklevel=4,
        )
    return best
