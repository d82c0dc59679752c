"""How a pool that the saver makes itself is configured. Imports nothing of ours."""

from __future__ import annotations

from typing import Any, TypedDict

__all__ = ["PoolConfig", "pool_options"]


class PoolConfig(TypedDict, total=False):
    """Options of a pool; what is left out is as in psycopg_pool."""

    min_size: int
    max_size: int | None
    kwargs: dict[str, Any]
    """Options of each connection."""


def pool_options(config: PoolConfig) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arguments of the pool, and those of its connections."""
    options: dict[str, Any] = dict(config)
    kwargs = {"autocommit": True, **(options.pop("kwargs", None) or {})}
    return options, kwargs
