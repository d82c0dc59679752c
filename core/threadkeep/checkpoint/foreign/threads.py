"""What a thread of LangGraph is in our terms. Pure.

Its checkpoints keep their ids, parents, values and metadata. What differs:

- Versions are strings, "0…03.0.123": a whole number that rises, and noise. We keep the number.
- A task's id is another hash of the same facts. Tasks get the ids that our engine will look for, so that
  finished ones are not run again; the namespaces of subgraphs, which contain them, follow; so do the ids of
  interrupts. What the stored rows do not tell (which `Send` a task was that has not ended) keeps its id: such
  a task runs again when its step is resumed.
- Checkpoints below version 4 have their `Send`s with the writes of their parent, not in a channel.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from threadkeep.checkpoint.base import ChannelVersions, Checkpoint, SavePoint, SaveWrites
from threadkeep.checkpoint.ids import task_id
from threadkeep.config import RunnableConfig
from threadkeep.constants import (
    CONFIG_KEY_FORK,
    INTERRUPT,
    NS_END,
    NS_SEP,
    NULL_TASK_ID,
    PULL,
    PUSH,
    RESUME,
    START,
    TASKS,
)
from threadkeep.types import Interrupt, Send, interrupt_id

__all__ = ["Key", "Point", "Source", "Survey", "TaskWrites", "operations"]


class Key(NamedTuple):
    """Which checkpoint of a thread. In this order parents come before their children."""

    id: str
    ns: str


class TaskWrites(NamedTuple):
    """The writes of one task that wait at a checkpoint."""

    task: str
    path: str
    entries: list[tuple[int, str, Any]]
    """Place in the task (below 0 for special channels), channel, value."""


class Point(NamedTuple):
    """A checkpoint as it was stored, its values loaded."""

    key: Key
    parent: str | None
    checkpoint: dict[str, Any]
    metadata: dict[str, Any]
    writes: list[TaskWrites]


class Source(Protocol):
    """Where the rows are. All that it gives belongs to one moment only if nobody writes meanwhile."""

    def threads(self) -> list[str]:
        """The names of all threads."""

    def keys(self, thread_id: str) -> list[Key]:
        """The thread's checkpoints, in order."""

    def read(self, thread_id: str, keys: Sequence[Key]) -> Iterator[Point]:
        """These checkpoints. Raises what the serialiser raises."""

    def size(self) -> int:
        """Bytes that the rows of all threads take."""


class Survey:
    """What must be known of a whole thread before its first checkpoint can be translated."""

    def __init__(self) -> None:
        self._steps: dict[Key, int] = {}
        self._versions: dict[Key, Mapping[str, Any]] = {}
        self._sends: dict[Key, list[str]] = {}
        """The nodes of the `Send`s that are due."""
        self._late_sends: dict[Key, list[Any]] = {}
        self._triggers: dict[tuple[Any, str], set[str]] = {}
        """By graph and node."""
        self._paths: dict[tuple[Key, str], str] = {}
        self._parents: dict[str, Mapping[str, str]] = {}
        self._asked: list[tuple[Key, str, list[str], int]] = []
        self._spaces: dict[str, str] = {"": ""}
        self._interrupts: dict[str, str] | None = None

    def note(self, point: Point) -> None:
        """Takes what matters of a checkpoint. Parents come first."""
        key, values = point.key, point.checkpoint.get("channel_values") or {}
        self._steps[key] = point.metadata.get("step", -2)
        self._versions[key] = point.checkpoint.get("channel_versions") or {}
        if point.checkpoint.get("v", 1) < 4:
            sends = [
                value
                for task in sorted(point.writes, key=lambda task: (task.path, task.task))
                for _, channel, value in sorted(task.entries, key=lambda entry: entry[0])
                if channel == TASKS
            ]
            self._late_sends[key] = sends
        due = self.sends_of(point) or values.get(TASKS) or ()
        self._sends[key] = [send.node for send in due if isinstance(send, Send)]
        if key.ns:
            self._parents.setdefault(key.ns, point.metadata.get("parents") or {})
        self._note_triggers(point)
        for task in point.writes:
            self._note_task(key, task)

    def _note_triggers(self, point: Point) -> None:
        graph = _graph_of(point.key.ns)
        for node, seen in (point.checkpoint.get("versions_seen") or {}).items():
            self._triggers.setdefault((graph, node), set()).update(seen)
        for channel in self._versions[point.key]:
            kind, _, node = channel.rpartition(":")
            if kind == "branch:to" or kind.startswith("join:"):
                self._triggers.setdefault((graph, node), set()).add(channel)

    def _note_task(self, key: Key, task: TaskWrites) -> None:
        self._paths[key, task.task] = task.path
        asked: list[str] = []
        answers = 0
        for _, channel, value in task.entries:
            if channel == INTERRUPT:
                asked = [each.id for each in _listed(value) if isinstance(each, Interrupt)]
            elif channel == RESUME:
                answers = len(_listed(value))
        if asked:
            self._asked.append((key, task.task, asked, answers))

    def versions_of(self, key: Key) -> Mapping[str, Any]:
        """The channel versions of a checkpoint as they were stored; none if it is not there."""
        return self._versions.get(key, {})

    def sends_of(self, point: Point) -> list[Any]:
        """The `Send`s of a checkpoint that has them with its parent's writes."""
        if point.checkpoint.get("v", 1) >= 4 or not point.parent:
            return []
        return self._late_sends.get(Key(point.parent, point.key.ns), [])

    def space(self, ns: str) -> str:
        """Our name of a namespace."""
        found = self._spaces.get(ns)
        if found is None:
            above, _, level = ns.rpartition(NS_SEP)
            name, colon, task = level.partition(NS_END)
            if colon:
                id = self._parents.get(ns, {}).get(above)
                task = self._nested_task(Key(id, above), name, task) if id else task
            ours = name + colon + task
            outer = self.space(above) if above else ""
            found = self._spaces[ns] = f"{outer}{NS_SEP}{ours}" if above else ours
        return found

    def _nested_task(self, key: Key, name: str, task: str) -> str:
        """Our id of the task that runs a subgraph; its namespace says the node, its writes how it came."""
        path = self._paths.get((key, task))
        if path is None:
            taken = {path for (at, _), path in self._paths.items() if at == key}
            places = [
                index
                for index, node in enumerate(self._sends.get(key, ()))
                if node == name and not any(path.startswith(f"~{PUSH}, {index:010d}") for path in taken)
            ]
            if len(places) > 1:
                return task
            path = f"~{PUSH}, {places[0]:010d}" if places else f"~{PULL}, {name}"
        return self.task(key, task, path)

    def task(self, key: Key, task: str, path: str) -> str:
        """Our id of a task; the same one where the rows do not tell enough."""
        kind, _, rest = path.removeprefix("~").partition(", ")
        step = self._steps.get(key)
        if task == NULL_TASK_ID or step is None or not rest:
            return task
        where = key.id, self.space(key.ns), step + 1
        if kind == PULL:
            triggers = (START,) if rest == START else self._triggers_of(key.ns, rest)
            return task_id(*where, rest, (PULL, rest), triggers) if triggers else task
        index = rest.partition(",")[0]
        sends = self._sends[key]
        if kind == PUSH and index.isdigit() and int(index) < len(sends):
            return task_id(*where, sends[int(index)], (PUSH, int(index)), (PUSH,))
        return task

    def _triggers_of(self, ns: str, node: str) -> tuple[str, ...]:
        """The node's triggers in the order in which compiling finds them: its own channel, then joins."""
        found = self._triggers.get((_graph_of(ns), node), set())
        joins = sorted((name for name in found if name.startswith("join:")), key=_starts)
        own = f"branch:to:{node}"
        if joins or own in found:
            return (own, *joins)
        return tuple(found) if len(found) == 1 else ()

    def asked(self, interrupt: Interrupt) -> Interrupt:
        """An interrupt with the id by which our engine knows it."""
        if self._interrupts is None:
            self._interrupts = {}
            # An interrupt stands at the task that asked and at those around it: the innermost makes the id.
            for key, task, ids, answers in sorted(self._asked, key=lambda found: -_depth(found[0].ns)):
                ns = self._task_space(key, task)
                for id in ids if ns else ():
                    self._interrupts.setdefault(id, interrupt_id(f"{ns}|{answers}" if answers else ns))
        id = self._interrupts.get(interrupt.id, interrupt.id)
        return Interrupt(interrupt.value, id, response_schema=interrupt.response_schema)

    def _task_space(self, key: Key, task: str) -> str:
        """The namespace that our engine gives to a task, or "" if the rows do not tell its id."""
        path = self._paths[key, task]
        ours = self.task(key, task, path)
        if ours == task:
            return ""
        kind, _, rest = path.removeprefix("~").partition(", ")
        name = rest if kind == PULL else self._sends[key][int(rest.partition(",")[0])]
        own = f"{name}{NS_END}{ours}"
        return f"{self.space(key.ns)}{NS_SEP}{own}" if key.ns else own


def operations(thread_id: str, point: Point, survey: Survey) -> list[SavePoint | SaveWrites]:
    """What our saver is asked, so that it has the checkpoint and its writes."""
    ns = survey.space(point.key.ns)
    here: dict[str, Any] = {"thread_id": thread_id, "checkpoint_ns": ns}
    # Every put is marked as a branch on purpose: none of them is a conflict of two runs.
    parent: RunnableConfig = {"configurable": {**here, CONFIG_KEY_FORK: True}}
    if point.parent:
        parent["configurable"]["checkpoint_id"] = point.parent
    own: RunnableConfig = {"configurable": {**here, "checkpoint_id": point.key.id}}
    before = survey.versions_of(Key(point.parent or "", point.key.ns))
    checkpoint = _checkpoint(point, survey.sends_of(point))
    stored = point.checkpoint.get("channel_versions") or {}
    changed: ChannelVersions = {
        channel: version
        for channel, version in checkpoint["channel_versions"].items()
        if channel not in before or before[channel] != stored.get(channel)
    }
    metadata: Any = dict(point.metadata)
    if parents := metadata.get("parents"):
        metadata["parents"] = {survey.space(outer): id for outer, id in parents.items()}
    return [
        SavePoint(parent, checkpoint, metadata, changed),
        *(SaveWrites(own, *_task_writes(point.key, task, survey)) for task in point.writes),
    ]


def _checkpoint(point: Point, sends: list[Any]) -> Checkpoint:
    it = point.checkpoint
    values = dict(it.get("channel_values") or {})
    versions = _whole_all(it.get("channel_versions") or {})
    if sends:
        values[TASKS] = sends
        versions[TASKS] = max(versions.values(), default=1)
    return Checkpoint(
        v=max(it.get("v", 1), 4),
        id=point.key.id,
        ts=it.get("ts") or "",
        channel_values=values,
        channel_versions=versions,
        versions_seen={node: _whole_all(seen) for node, seen in (it.get("versions_seen") or {}).items()},
        updated_channels=it.get("updated_channels"),
    )


def _task_writes(key: Key, task: TaskWrites, survey: Survey) -> tuple[list[tuple[str, Any]], str, str]:
    entries = sorted(task.entries, key=lambda entry: (entry[0] < 0, entry[0]))
    writes = [
        (channel, [survey.asked(each) for each in _listed(value)] if channel == INTERRUPT else value)
        for _, channel, value in entries
    ]
    return writes, survey.task(key, task.task, task.path), task.path


def _whole_all(versions: Mapping[str, Any]) -> dict[str, int]:
    return {channel: int(str(version).partition(".")[0]) for channel, version in versions.items()}


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else (value,)


def _graph_of(ns: str) -> tuple[str, ...]:
    """The nodes on the way to a subgraph: which graph it is, whatever task runs it."""
    return tuple(level.partition(NS_END)[0] for level in ns.split(NS_SEP) if not level.isdigit())


def _depth(ns: str) -> int:
    return ns.count(NS_SEP) + 1 if ns else 0


def _starts(join: str) -> list[str]:
    return join.removeprefix("join:").rpartition(":")[0].split("+")
