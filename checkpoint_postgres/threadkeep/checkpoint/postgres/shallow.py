"""Savers in constant space: a thread has its newest state, and no history."""

from threadkeep.checkpoint.postgres.aio import AsyncShallowPostgresSaver
from threadkeep.checkpoint.postgres.saver import ShallowPostgresSaver

__all__ = ["AsyncShallowPostgresSaver", "ShallowPostgresSaver"]
