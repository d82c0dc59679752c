"""Names that graphs, savers and streams share. Imports nothing of ours."""

from typing import Final

START: Final = "__start__"
"""The virtual first node: its input is the input of the graph."""
END: Final = "__end__"
"""The virtual last node: routing to it ends a branch."""

TAG_NOSTREAM: Final = "nostream"
"""A model with this tag does not stream its tokens."""
TAG_HIDDEN: Final = "langsmith:hidden"
"""A node with this tag appears in no stream and in no trace."""

CONF: Final = "configurable"
TASKS: Final = "__pregel_tasks"
"""The channel that carries `Send` packets."""
INPUT: Final = "__input__"
INTERRUPT: Final = "__interrupt__"
RESUME: Final = "__resume__"
ERROR: Final = "__error__"
NO_WRITES: Final = "__no_writes__"
RETURN: Final = "__return__"
PREVIOUS: Final = "__previous__"

PULL: Final = "__pregel_pull"
PUSH: Final = "__pregel_push"

NULL_TASK_ID: Final = "00000000-0000-0000-0000-000000000000"
"""The task that writes made for no task in particular belong to."""

NS_SEP: Final = "|"
"""Between the levels of a checkpoint namespace."""
NS_END: Final = ":"
"""Between the name of a node and the id of its task, in one level of a checkpoint namespace."""

CONFIG_KEY_CHECKPOINTER: Final = "__pregel_checkpointer"
CONFIG_KEY_TASK: Final = "__pregel_task"
CONFIG_KEY_RUNTIME: Final = "__pregel_runtime"
CONFIG_KEY_FORK: Final = "__threadkeep_fork"
"""Marks a put that branches off an older checkpoint on purpose."""

RESERVED: Final = frozenset({
    INPUT, INTERRUPT, RESUME, ERROR, NO_WRITES, RETURN, PREVIOUS, TASKS,
    CONFIG_KEY_CHECKPOINTER, CONFIG_KEY_TASK, CONFIG_KEY_RUNTIME, CONF,
})  # fmt: skip
"""Names that no state key and no node may have."""
