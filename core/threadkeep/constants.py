"""Names that graphs, savers and streams share. Imports nothing of ours."""

import sys

START = sys.intern("__start__")
"""The virtual first node: its input is the input of the graph."""
END = sys.intern("__end__")
"""The virtual last node: routing to it ends a branch."""

TAG_NOSTREAM = "nostream"
"""A model with this tag does not stream its tokens."""
TAG_HIDDEN = "langsmith:hidden"
"""A node with this tag appears in no stream and in no trace."""

CONF = "configurable"
TASKS = sys.intern("__pregel_tasks")
"""The channel that carries `Send` packets."""
INPUT = sys.intern("__input__")
INTERRUPT = sys.intern("__interrupt__")
RESUME = sys.intern("__resume__")
ERROR = sys.intern("__error__")
NO_WRITES = sys.intern("__no_writes__")
RETURN = sys.intern("__return__")
PREVIOUS = sys.intern("__previous__")

PULL = sys.intern("__pregel_pull")
PUSH = sys.intern("__pregel_push")

NULL_TASK_ID = "00000000-0000-0000-0000-000000000000"
"""The task that writes made for no task in particular belong to."""

NS_SEP = "|"
"""Between the levels of a checkpoint namespace."""
NS_END = ":"
"""Between the name of a node and the id of its task, in one level of a checkpoint namespace."""

CONFIG_KEY_CHECKPOINTER = "__pregel_checkpointer"
CONFIG_KEY_TASK = "__pregel_task"
CONFIG_KEY_RUNTIME = "__pregel_runtime"
CONFIG_KEY_FORK = "__threadkeep_fork"
"""Marks a put that branches off an older checkpoint on purpose."""
CONFIG_KEY_THREAD_ID = "thread_id"
CONFIG_KEY_CHECKPOINT_NS = "checkpoint_ns"
CONFIG_KEY_CHECKPOINT_ID = "checkpoint_id"
CONFIG_KEY_CHECKPOINT_MAP = "checkpoint_map"

RESERVED = frozenset({
    INPUT, INTERRUPT, RESUME, ERROR, NO_WRITES, RETURN, PREVIOUS, TASKS,
    CONFIG_KEY_CHECKPOINTER, CONFIG_KEY_TASK, CONFIG_KEY_RUNTIME, CONF,
})  # fmt: skip
"""Names that no state key and no node may have."""
