"""Threads that LangGraph's savers stored, moved into one of ours.

`values` reads its values, `threads` says what a thread of it is in our terms, `migrate` moves one after the
other. A backend adds a `Source`: where the rows are. LangGraph itself is not needed.
"""

from threadkeep.checkpoint.foreign.migrate import MigrationReport, OnError, ThreadReport, migrate
from threadkeep.checkpoint.foreign.threads import Key, Point, Source, TaskWrites
from threadkeep.checkpoint.foreign.values import ForeignValues

__all__ = [
    "ForeignValues",
    "Key",
    "MigrationReport",
    "OnError",
    "Point",
    "Source",
    "TaskWrites",
    "ThreadReport",
    "migrate",
]
