"""A task: one node, run once, in one superstep. It is also what the running node sees of the engine.

What costs time (id, config, runtime) is made when first asked for: most nodes never ask.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from threadkeep.checkpoint.ids import task_id
from threadkeep.config import RunnableConfig
from threadkeep.constants import CONF, CONFIG_KEY_TASK, NS_END, NS_SEP, RESUME
from threadkeep.errors import GraphInterrupt
from threadkeep.pregel.node import PregelNode, Writes
from threadkeep.runtime import ExecutionInfo, Runtime, no_stream
from threadkeep.types import Interrupt

if TYPE_CHECKING:
    from threadkeep.pregel.run import Run

Path = tuple[Any, ...]


class Task:
    """One node, run once. `writes` and `error` are its outcome; `done` says that there is one."""

    __slots__ = (
        "_config", "_id", "_runtime", "asked", "attempt", "cached", "checkpoint_id", "done", "error",
        "first_attempt",
        "input", "name", "nested_runs", "node", "path", "resume", "resumed", "run", "step", "triggers",
        "writes",
    )  # fmt: skip

    def __init__(self, node: PregelNode, input: Any, path: Path, triggers: tuple[str, ...], run: Run) -> None:
        self.node = node
        self.name = node.name
        self.input = input
        self.path = path
        self.triggers = triggers
        self.run = run
        self.step = run.step
        self.checkpoint_id = run.checkpoint_id
        self.writes: Writes = []
        self.error: BaseException | None = None
        self.done = False
        self.cached = False
        """The outcome was found in the checkpoint: the task did not run again."""
        self.attempt = 1
        self.first_attempt: float | None = None
        self.resume: list[Any] = []
        """Answers to the node's `interrupt` calls, by the order of the calls."""
        self.resumed = False
        """`resume` changed in this run and is to be saved."""
        self.asked = 0
        self.nested_runs = 0
        self._id: str | None = None
        self._config: RunnableConfig | None = None
        self._runtime: Runtime[Any] | None = None

    @property
    def id(self) -> str:
        if self._id is None:
            ns = self.run.ns
            self._id = task_id(
                self.checkpoint_id or self.run.run_key, ns, self.step, self.name, self.path, self.triggers
            )
        return self._id

    @property
    def ns(self) -> str:
        """The checkpoint namespace in which a subgraph of this task runs."""
        own = f"{self.name}{NS_END}{self.id}"
        return f"{self.run.ns}{NS_SEP}{own}" if self.run.ns else own

    @property
    def config(self) -> RunnableConfig:
        """The config that the node sees: the run's, with its place in the graph in the metadata."""
        if self._config is None:
            run = self.run
            ns = self.ns
            base = run.config
            metadata = dict(base.get("metadata") or {})
            if run.thread_id is not None:
                metadata["thread_id"] = run.thread_id
            if run.ns:
                metadata["checkpoint_ns"] = run.ns
            metadata.update(
                langgraph_step=self.step,
                langgraph_node=self.name,
                langgraph_triggers=self.triggers,
                langgraph_path=self.path,
                langgraph_checkpoint_ns=ns,
            )
            if self.node.metadata:
                metadata.update(self.node.metadata)
            configurable = dict(base.get(CONF) or {})
            configurable["checkpoint_id"] = None
            configurable["checkpoint_ns"] = ns
            configurable["checkpoint_map"] = {**run.parents, run.ns: self.checkpoint_id or run.run_key}
            configurable[CONFIG_KEY_TASK] = self
            config = base.copy()
            config["metadata"] = metadata
            config[CONF] = configurable
            config.pop("run_id", None)
            config.pop("run_name", None)
            self._config = config
        return self._config

    @property
    def runtime(self) -> Runtime[Any]:
        if self._runtime is None:
            run = self.run
            self._runtime = Runtime(
                context=run.context,
                store=run.store,
                stream_writer=run.stream_writer() if run.wants("custom") else no_stream,
                previous=None,
                execution_info=ExecutionInfo(
                    checkpoint_id=self.checkpoint_id,
                    checkpoint_ns=self.ns,
                    task_id=self.id,
                    thread_id=run.thread_id,
                    run_id=None if (run_id := run.config.get("run_id")) is None else str(run_id),
                    node_attempt=self.attempt,
                    node_first_attempt_time=self.first_attempt or time.time(),
                ),
            )
        return self._runtime

    def interrupt(self, value: Any, response_schema: Any = None) -> Any:
        """The answer to this call of `interrupt`, or the pause."""
        position = self.asked
        self.asked += 1
        if position < len(self.resume):
            return self.resume[position]
        found, answer = self.run.take_answer()
        if found:
            self.resume.append(answer)
            self.resumed = True
            return answer
        asked = Interrupt(value, self.run.interrupt_id(self.ns, position), response_schema=response_schema)
        raise GraphInterrupt((asked,))

    @property
    def failed(self) -> bool:
        """Whether the task ends its step: by an error, or since it leaves the graph. A pause does not."""
        return self.error is not None and not isinstance(self.error, GraphInterrupt)

    def restart(self, attempt: int) -> None:
        """Forget what a failed attempt left, before the next one."""
        self.writes = []
        self.error = None
        self.asked = 0
        self.nested_runs = 0
        self.attempt = attempt
        self._runtime = None

    def special_writes(self) -> Writes:
        """The answers to save with the outcome."""
        return [(RESUME, list(self.resume))] if self.resumed else []


class _NoRun:
    """Stands for the run of a node that is called alone."""

    ns = ""
    step = 0
    stop = 1
    checkpoint_id = ""
    run_key = ""
    thread_id = None
    context = None
    store = None
    recursion_limit = 1
    parents: ClassVar[dict[str, str]] = {}

    def __init__(self, config: RunnableConfig | None) -> None:
        self.config: RunnableConfig = config or {}

    def wants(self, mode: str) -> bool:
        return False

    def take_answer(self) -> tuple[bool, Any]:
        return False, None

    def stream_writer(self) -> Callable[[Any], None]:
        return no_stream

    def interrupt_id(self, ns: str, position: int) -> str:
        return ns


def detached_task(node: PregelNode, input: Any, config: RunnableConfig | None) -> Task:
    """A task outside any graph, to call a node alone."""
    return Task(node, input, (), node.triggers, _NoRun(config))  # type: ignore[arg-type]  # offers what a task reads
