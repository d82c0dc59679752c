"""Long-term memory in PostgreSQL: for threads, and for asyncio."""

from threadkeep.postgres.connections import PoolConfig
from threadkeep.store.postgres.aio import AsyncPostgresStore
from threadkeep.store.postgres.base import PostgresStore

__all__ = ["AsyncPostgresStore", "PoolConfig", "PostgresStore"]
