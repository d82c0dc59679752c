"""Checkpoints in an SQLite file. This one is for threads, `threadkeep.checkpoint.sqlite.aio` for asyncio."""

from threadkeep.checkpoint.sqlite.migrate import migrate_langgraph
from threadkeep.checkpoint.sqlite.saver import SqliteSaver

__all__ = ["SqliteSaver", "migrate_langgraph"]
