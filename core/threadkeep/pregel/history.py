"""A thread's states, seen and changed from outside a run.

Each operation is a plan: a generator that yields `Load` and `Save` and is sent their replies; `perform` and
`aperform` run it in the two colours.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from threadkeep.checkpoint.base import BaseCheckpointSaver, CheckpointTuple, SavePoint, SaveWrites
from threadkeep.checkpoint.ids import uuid4
from threadkeep.config import RunnableConfig, merge_configs
from threadkeep.constants import CONF, END, ERROR, INPUT, INTERRUPT, NS_SEP, START
from threadkeep.errors import InvalidUpdateError
from threadkeep.pregel.apply import Written, apply_writes
from threadkeep.pregel.bind import Bound, call
from threadkeep.pregel.effects import Load
from threadkeep.pregel.emit import state_writes, subgraph_config
from threadkeep.pregel.entry import apply_null_writes
from threadkeep.pregel.execute import branch_input
from threadkeep.pregel.loads import aload, load
from threadkeep.pregel.plan import SPECIAL, plan, stable_namespace
from threadkeep.pregel.run import Run
from threadkeep.pregel.saving import save_point, save_writes
from threadkeep.pregel.task import Task
from threadkeep.types import PregelTask, StateSnapshot, StateUpdate

if TYPE_CHECKING:
    from threadkeep.pregel.main import Pregel

T = TypeVar("T")


class Commit(NamedTuple):
    """Operations to store, all at once."""

    ops: list[SavePoint | SaveWrites]


class Stored(NamedTuple):
    """Asks the plan's performer to load or save with this saver."""

    saver: BaseCheckpointSaver[Any]
    effect: Load | Commit


class Ask(NamedTuple):
    """Asks for the result of a conditional edge's path, which may be async."""

    path: Bound
    value: Any
    task: Task


Plan = Generator[Stored | Ask, Any, T]


class Address(NamedTuple):
    """A thread as a graph sees it."""

    graph: Pregel[Any, Any, Any, Any]
    saver: BaseCheckpointSaver[Any]
    config: RunnableConfig
    """As for the saver: `thread_id`, `checkpoint_ns`, maybe `checkpoint_id`."""
    given: RunnableConfig


def perform(steps: Plan[T]) -> T:
    """The plan's result, with the saver's sync methods."""
    reply: Any = None
    while True:
        try:
            asked = steps.send(reply)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]  # the plan's own type
        if isinstance(asked, Ask):
            reply = call(*asked)
        elif isinstance(asked.effect, Load):
            reply = load(asked.saver, asked.effect)
        else:
            asked.saver.commit(asked.effect.ops)
            reply = None


async def aperform(steps: Plan[T]) -> T:
    """The plan's result, with the saver's async methods."""
    from threadkeep.pregel.execute_async import either

    reply: Any = None
    while True:
        try:
            asked = steps.send(reply)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]  # the plan's own type
        if isinstance(asked, Ask):
            reply = await either(*asked)
        elif isinstance(asked.effect, Load):
            reply = await aload(asked.saver, asked.effect)
        else:
            await asked.saver.acommit(asked.effect.ops)
            reply = None


def address(graph: Pregel[Any, Any, Any, Any], config: RunnableConfig) -> Address:
    """Where the graph's state is. For the namespace of a subgraph, that subgraph is found by its path.

    Raises `ValueError` without checkpointer or thread, and for a namespace that no subgraph has.
    """
    merged = merge_configs(graph.config, config)
    configurable = merged.get(CONF) or {}
    saver = configurable.get("__pregel_checkpointer") or graph.checkpointer
    if not isinstance(saver, BaseCheckpointSaver):
        raise ValueError("No checkpointer set: the state of a thread needs compile(checkpointer=...).")
    if configurable.get("thread_id") is None:
        raise ValueError('The config names no thread_id: {"configurable": {"thread_id": "..."}}.')
    ns = configurable.get("checkpoint_ns") or ""
    kept = {"thread_id": str(configurable["thread_id"]), "checkpoint_ns": ns}
    if checkpoint_id := configurable.get("checkpoint_id"):
        kept["checkpoint_id"] = checkpoint_id
    if ns:
        path = NS_SEP.join(level for level in stable_namespace(ns).split(NS_SEP) if not level.isdigit())
        graph = next((found for name, found in graph.get_subgraphs(recurse=True) if name == path), graph)
    stored: RunnableConfig = {CONF: kept}
    if metadata := merged.get("metadata"):
        stored["metadata"] = metadata
    return Address(graph, saver, stored, config)


def _restored(where: Address, saved: CheckpointTuple | None) -> Run:
    """A run that stands on the checkpoint and is not going to run."""
    run = Run(where.graph, where.config, None)
    configurable = (saved.config if saved else where.config)[CONF]
    run.thread_id = configurable["thread_id"]
    run.ns = configurable.get("checkpoint_ns") or ""
    run.saver = where.saver
    run.versions = {}
    run.restore(saved)
    run.parents = dict(run.metadata.get("parents") or {})
    run.step = run.metadata.get("step", -2) + 1
    run.stop = run.step + where.graph.recursion_limit
    run.updated = None
    return run


def get_state(
    graph: Pregel[Any, Any, Any, Any], config: RunnableConfig, subgraphs: bool
) -> Plan[StateSnapshot]:
    """The state at the config's checkpoint, or the newest."""
    where = address(graph, config)
    saved = yield Stored(where.saver, Load(where.config))
    newest = "checkpoint_id" not in where.config[CONF]
    return (yield from snapshot(where, saved, subgraphs, newest=newest))


def snapshot(
    where: Address, saved: CheckpointTuple | None, subgraphs: bool, *, newest: bool = False
) -> Plan[StateSnapshot]:
    """The state that a checkpoint holds; of the newest, also what tasks have finished since."""
    if saved is None:
        return StateSnapshot({}, (), where.given, None, None, None, (), ())
    run = _restored(where, saved)
    tasks = plan(run, by_name=False)
    shown: list[PregelTask] = []
    for task in tasks:
        state = _subgraph_address(run, task)
        if state is not None and subgraphs:
            inner = Address(task.node.subgraphs[0], where.saver, state, state)
            state = yield from get_state_at(inner)
        shown.append(_shown_task(run, task, state, newest))
    apply_null_writes(run)
    finished = [task for task in tasks if task.done and newest]
    if finished:
        run.versions = None
        apply_writes(run, finished)
    parent = saved.parent_config
    return StateSnapshot(
        values=run.read(where.graph.stream_channels),
        next=tuple(task.name for task in tasks if task not in finished),
        config=_with_map(run, saved.config),
        metadata=dict(saved.metadata),
        created_at=saved.checkpoint["ts"],
        parent_config=_with_map(run, parent) if parent else None,
        tasks=tuple(shown),
        interrupts=tuple(asked for task in shown for asked in task.interrupts),
    )


def get_state_at(where: Address) -> Plan[StateSnapshot]:
    """The newest state at an address, with those of its subgraphs."""
    saved = yield Stored(where.saver, Load(where.config))
    return (yield from snapshot(where, saved, True, newest=True))


def _with_map(run: Run, config: RunnableConfig) -> RunnableConfig:
    configurable = config[CONF]
    shown: dict[str, Any] = {
        key: configurable[key]
        for key in ("thread_id", "checkpoint_ns", "checkpoint_id")
        if key in configurable
    }
    if run.ns:
        shown["checkpoint_map"] = {**run.parents, run.ns: shown.get("checkpoint_id")}
    return {CONF: shown}


def _subgraph_address(run: Run, task: Task) -> Any:
    config = subgraph_config(run, task)
    if config is not None and task.node.subgraphs[0].own_memory:
        config[CONF]["checkpoint_ns"] = stable_namespace(task.ns)
    return config


def _shown_task(run: Run, task: Task, state: Any, newest: bool) -> PregelTask:
    """The task with what its checkpoint knows of it; marks it done where it has finished."""
    own = [(channel, value) for task_id, channel, value in run.pending if task_id == task.id]
    task.writes = [(channel, value) for channel, value in own if channel not in SPECIAL]
    task.done = bool(task.writes) or any(channel == "__no_writes__" for channel, _ in own)
    error = next((value for channel, value in own if channel == ERROR), None)
    return PregelTask(
        id=task.id,
        name=task.name,
        path=task.path,
        error=error,
        interrupts=()
        if task.done and newest
        else tuple(asked for name, value in own if name == INTERRUPT for asked in value),
        state=state,
        result=state_writes(run, task.writes) if task.done else None,
    )


# Updates


def update(
    graph: Pregel[Any, Any, Any, Any], config: RunnableConfig, supersteps: Sequence[Sequence[StateUpdate]]
) -> Plan[RunnableConfig]:
    """Apply updates, a checkpoint each superstep; returns the config of the last. All are saved at once."""
    if not supersteps:
        raise ValueError("There is no superstep to update.")
    if not all(supersteps):
        raise ValueError("A superstep has no update.")
    where = address(graph, config)
    saved = yield Stored(where.saver, Load(where.config))
    run = _restored(where, saved)
    apply_null_writes(run)
    if saved is None:
        run.step = 0
    run.config = merge_configs(graph.config, config)
    run.fork = "checkpoint_id" in where.config[CONF]
    for number, updates in enumerate(supersteps):
        yield from _apply_updates(
            run, [StateUpdate(*given) for given in updates], fresh=saved is None and number == 0
        )
    yield Stored(where.saver, Commit(run.take_ops()))
    run.config = {}  # what is stored with the update is no part of its address
    return run.shown_config(run.checkpoint_id)


def _apply_updates(run: Run, updates: list[StateUpdate], fresh: bool) -> Plan[None]:
    """One superstep of updates. Raises `InvalidUpdateError` before anything changes."""
    values, as_node, _ = updates[0]
    if (len(updates) == 1 and as_node in (END, "__copy__", INPUT)) or (values is None and as_node is None):
        _apply_special(run, values, as_node)
        return
    found = [(_writer(run, given.as_node, fresh), given) for given in updates]
    writes = []
    for name, given in found:
        written = yield from _node_writes(run, name, given.values)
        writes.append((name, written, given.task_id or uuid4()))
    if run.checkpoint_id:
        for _, written, task_id in writes:
            save_writes(run, task_id, written)
    apply_writes(run, [Written(name, written, (INTERRUPT,)) for name, written, _ in writes])
    run.updated = None
    save_point(run, "update")


def _apply_special(run: Run, values: Any, as_node: str | None) -> None:
    if as_node in (END, "__copy__") and values is not None:
        raise InvalidUpdateError(f"as_node={as_node!r} takes no values.")
    if as_node == INPUT:
        if values is None:
            raise InvalidUpdateError("as_node='__input__' needs values.")
        dropped = [Written(task.name, (), task.triggers, task.path) for task in plan(run)]
        apply_writes(run, [*dropped, Written(INPUT, [(START, values)])])
        run.updated = None
        run.step = run.metadata.get("step", -2) + 1
        save_point(run, "input")
    elif as_node == END:
        tasks: list[Any] = plan(run)
        for task in tasks:
            task.writes = [
                (name, value) for tid, name, value in run.pending if tid == task.id and name not in SPECIAL
            ]
        apply_writes(run, tasks)
        run.updated = None
        save_point(run, "update")
    else:
        save_point(run, "fork" if as_node == "__copy__" else "update")


def _writer(run: Run, as_node: str | None, fresh: bool) -> str:
    """The node that an update is to come from."""
    nodes = run.graph.nodes
    if as_node is not None:
        if as_node not in nodes:
            raise InvalidUpdateError(
                f"as_node names the unknown node {as_node!r}. Nodes: {', '.join(nodes)}."
            )
        return as_node
    if fresh or not run.seen:
        return START
    last: list[tuple[Any, str]] = sorted(
        (max(seen.values()), name) for name, seen in run.seen.items() if name in nodes and seen
    )
    if not last:
        return START
    if len(last) == 1 or last[-1][0] != last[-2][0]:
        return last[-1][1]
    raise InvalidUpdateError(
        "It is not clear which node the update comes from: several wrote last. Pass as_node."
    )


def _node_writes(run: Run, name: str, values: Any) -> Plan[list[tuple[str, Any]]]:
    """What the node would have written, its conditional edges included."""
    node = run.graph.nodes[name]
    task = Task(node, None, (INTERRUPT,), (INTERRUPT,), run)
    task.writes = node.write(values)
    for branch in node.branches:
        task.writes += branch.route((yield Ask(branch.path, branch_input(task, branch), task)))
    return task.writes
