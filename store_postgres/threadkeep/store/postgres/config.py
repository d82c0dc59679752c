"""How a store in PostgreSQL is configured."""

from __future__ import annotations

from threadkeep.postgres.connections import PoolConfig
from threadkeep.store.postgres.indexes import (
    ANNIndexConfig,
    FlatConfig,
    HNSWConfig,
    IVFFlatConfig,
    PostgresIndexConfig,
)

__all__ = [
    "ANNIndexConfig",
    "FlatConfig",
    "HNSWConfig",
    "IVFFlatConfig",
    "PoolConfig",
    "PostgresIndexConfig",
]
