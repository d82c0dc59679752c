"""The engine: runs compiled graphs in supersteps."""

from threadkeep.pregel.main import Pregel

__all__ = ["Pregel"]
