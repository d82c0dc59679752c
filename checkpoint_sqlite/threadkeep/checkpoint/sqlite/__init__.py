"""Checkpoints in an SQLite file. This one is for threads, `threadkeep.checkpoint.sqlite.aio` for asyncio."""

from threadkeep.checkpoint.sqlite.saver import SqliteSaver

__all__ = ["SqliteSaver"]
