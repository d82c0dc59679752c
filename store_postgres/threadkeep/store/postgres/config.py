"""How a store in PostgreSQL is configured."""

from __future__ import annotations

from typing import Literal, TypedDict

from threadkeep.postgres.connections import PoolConfig
from threadkeep.store.base import IndexConfig

__all__ = ["ANNIndexConfig", "HNSWConfig", "IVFFlatConfig", "PoolConfig", "PostgresIndexConfig"]

VectorType = Literal["vector", "halfvec", "bit"]


class ANNIndexConfig(TypedDict, total=False):
    """What an index of vectors is."""

    kind: Literal["hnsw", "ivfflat", "flat"]
    vector_type: VectorType


class HNSWConfig(TypedDict, total=False):
    """A graph of near neighbours: quick and exact to search, slow to build."""

    kind: Literal["hnsw"]
    vector_type: VectorType
    m: int
    """Neighbours of each vector in the graph; 16 if left out."""
    ef_construction: int
    """How many candidates are looked at to place a vector; 64 if left out."""


class IVFFlatConfig(TypedDict, total=False):
    """Vectors in lists around centres, which are found among the vectors that are there."""

    kind: Literal["ivfflat"]
    vector_type: VectorType
    nlist: int
    """The number of lists."""


class PostgresIndexConfig(IndexConfig, total=False):
    """How items are found by meaning."""

    ann_index_config: ANNIndexConfig | HNSWConfig | IVFFlatConfig
    distance_type: Literal["cosine", "inner_product", "l2"]
