"""Checkpoints in an SQLite file, for programs in threads. The asyncio twin is in `threadkeep.checkpoint.sqlite.aio`."""

from threadkeep.checkpoint.sqlite.saver import SqliteSaver

__all__ = ["SqliteSaver"]
