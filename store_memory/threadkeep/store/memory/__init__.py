"""Long-term memory kept in the process."""

from threadkeep.store.memory.store import InMemoryStore, MemoryIndexConfig

__all__ = ["InMemoryStore", "MemoryIndexConfig"]
