"""Checkpoints in PostgreSQL. This one is for threads, `threadkeep.checkpoint.postgres.aio` for asyncio."""

from threadkeep.checkpoint.postgres.migrate import migrate_langgraph
from threadkeep.checkpoint.postgres.saver import PostgresSaver, ShallowPostgresSaver

__all__ = ["PostgresSaver", "ShallowPostgresSaver", "migrate_langgraph"]
