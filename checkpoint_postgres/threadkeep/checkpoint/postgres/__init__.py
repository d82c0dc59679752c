"""Checkpoints in PostgreSQL. This one is for threads, `threadkeep.checkpoint.postgres.aio` for asyncio."""

from threadkeep.checkpoint.postgres.migrate import migrate_langgraph
from threadkeep.checkpoint.postgres.saver import PostgresSaver

__all__ = ["PostgresSaver", "migrate_langgraph"]
