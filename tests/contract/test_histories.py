"""Random histories of several threads against a model of deep copies: what was put is what is got.

Programs change their values in place, fork, stop between operations (the saver is opened anew), prune, copy
and delete. Values are compared with their types.
"""

from __future__ import annotations

import asyncio
import random
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contract.backends import BACKENDS, Backend, Saver, opened
from tests.contract.points import address, point
from threadkeep.errors import ThreadDeletedError

THREADS = ("a", "b")
SPACES = ("", "child:1")
CHANNELS = ("messages", "numbers", "words", "facts", "topic", "one")


class Stored:
    """A checkpoint in the model."""

    def __init__(
        self, values: dict[str, Any], versions: dict[str, int], parent: str | None, run: str
    ) -> None:
        self.live = values
        """What the program goes on with."""
        self.values = deepcopy(values)
        self.versions = dict(versions)
        self.parent = parent
        self.run = run
        self.writes: dict[str, dict[int, tuple[str, Any]]] = {}


def new_value(rng: random.Random, channel: str) -> Any:
    if channel == "messages":
        return [message(rng) for _ in range(rng.choice((0, 1, 3, 33, 70)))]
    if channel == "numbers":
        return [rng.choice((1, True, 1.0, None, -5, 2**40)) for _ in range(rng.choice((0, 2, 63, 64, 200)))]
    if channel == "words":
        return ["w" * rng.randrange(100) for _ in range(rng.choice((1, 10, 80)))]
    if channel == "facts":
        return {
            f"key {i}": rng.choice((i, "f" * 100, [message(rng)])) for i in range(rng.choice((0, 3, 40, 90)))
        }
    if channel == "topic":
        return [
            ("send", {"to": rng.randrange(3), "text": "t" * rng.randrange(90)})
            for _ in range(rng.randrange(40))
        ]
    return rng.choice(
        (None, "", "x" * 300, b"y" * 300, 3, {"deep": {"er": [1, {"est": "z" * 80}]}}, (1, [2]))
    )


def message(rng: random.Random) -> dict[str, Any]:
    return {"role": "user", "content": "c" * rng.randrange(120), "n": rng.randrange(4), "tags": ["x"]}


def changed(rng: random.Random, channel: str, value: Any) -> Any:
    """What a node makes of a value: it grows, shrinks, moves, or was changed in place."""
    if not value or rng.random() < 0.1:
        return new_value(rng, channel)
    if type(value) is dict:
        key = rng.choice(list(value))
        return (
            {**value, key: "changed"} if rng.random() < 0.5 else {k: v for k, v in value.items() if k != key}
        )
    if type(value) is not list:
        return new_value(rng, channel)
    place = rng.randrange(len(value))
    more = new_value(rng, channel)[:3]
    way = rng.randrange(7)
    if way == 0 and type(value[place]) is dict:
        value[place]["n"] = rng.choice((0, False, 0.0, "0"))
    elif way == 1 and type(value[place]) is dict:
        value[place]["tags"].append("in place")
    elif way == 2:
        return value[1:]
    elif way == 3:
        return [*value[:place], *more, *value[place:]]
    elif way == 4:
        return value[:place]
    elif way == 5:
        value.extend(more)
    return [*value, *more]


class History:
    """Plays random operations on a saver and on the model."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.threads: dict[str, dict[tuple[str, str], Stored]] = {name: {} for name in THREADS}
        self.dead: list[tuple[str, str, str]] = []
        self.clock = 0

    def next_id(self) -> str:
        self.clock += 1
        return f"{self.clock:08d}"

    async def step(self, saver: Saver) -> None:
        rng = self.rng
        name = rng.choice(THREADS)
        action = rng.choices(
            (self.put, self.write, self.late, self.prune, self.delete, self.copy, self.delete_run),
            (60, 20, 3, 4, 2, 2, 3),
        )[0]
        await action(saver, name)

    async def put(self, saver: Saver, name: str) -> None:
        rng, rows = self.rng, self.threads[name]
        ns = rng.choice(SPACES)
        ids = sorted(id for space, id in rows if space == ns)
        parent = (ids[-1] if rng.random() < 0.8 else rng.choice(ids)) if ids else None
        base = rows[ns, parent] if parent else Stored({}, {}, None, "")
        # The program goes on with its own objects, or with a checkpoint that it loaded.
        values = dict(base.live if rng.random() < 0.8 else deepcopy(base.values))
        versions = dict(base.versions)
        new: dict[str, int] = {}
        for channel in rng.sample(CHANNELS, rng.randrange(4)):
            values[channel] = changed(rng, channel, values.get(channel))
            new[channel] = versions.get(channel, 0) + 1
            if rng.random() < 0.05:
                del values[channel]
        versions.update(new)
        for channel, value in base.values.items():
            if channel not in new:
                values[channel] = deepcopy(value)  # what was not written is not looked at
        id, run = self.next_id(), rng.choice("xyz")
        fork = {"__threadkeep_fork": True}
        await saver.put(
            address(name, ns, parent, **fork),
            point(values, versions, id=id),
            {"step": self.clock, "run_id": run},
            new,
        )
        rows[ns, id] = Stored(values, versions, parent, run)

    async def write(self, saver: Saver, name: str) -> None:
        if not self.threads[name]:
            return
        (ns, id), row = self.rng.choice(sorted(self.threads[name].items()))
        task = self.rng.choice(("t1", "t2"))
        channels = self.rng.choices((*CHANNELS, "__interrupt__"), k=self.rng.randrange(3))
        writes = [(channel, new_value(self.rng, channel)) for channel in channels]
        await saver.put_writes(address(name, ns, id), writes, task)
        places = row.writes.setdefault(task, {})
        for place, (channel, value) in enumerate(deepcopy(writes)):
            if channel == "__interrupt__":
                places[-3] = (channel, value)
            else:
                places.setdefault(place, (channel, value))

    async def late(self, saver: Saver, name: str) -> None:
        for name, ns, id in self.dead[-3:]:
            with pytest.raises(ThreadDeletedError):
                await saver.put(address(name, ns, id), point({"one": 1}), {}, {"one": 1})
            with pytest.raises(ThreadDeletedError):
                await saver.put_writes(address(name, ns, id), [("one", 1)], "late")

    async def prune(self, saver: Saver, name: str) -> None:
        await saver.prune([name])
        self.keep(
            name, {max(key for key in self.threads[name] if key[0] == ns) for ns, _ in self.threads[name]}
        )

    async def delete_run(self, saver: Saver, name: str) -> None:
        run = self.rng.choice("xyz")
        await saver.delete_for_runs([run])
        for each, rows in self.threads.items():
            self.keep(each, {key for key, row in rows.items() if row.run != run})

    async def delete(self, saver: Saver, name: str) -> None:
        await saver.delete_thread(name)
        self.dead += [(name, ns, id) for ns, id in self.threads[name]]
        self.threads[name] = {}

    async def copy(self, saver: Saver, name: str) -> None:
        other = THREADS[1 - THREADS.index(name)]
        if not self.threads[name]:
            return
        if self.threads[other]:
            with pytest.raises(ValueError, match="has checkpoints"):
                await saver.copy_thread(name, other)
            return
        await saver.copy_thread(name, other)
        self.threads[other] = {key: deepcopy(row) for key, row in self.threads[name].items()}
        self.dead = [each for each in self.dead if each[0] != other or each[1:] not in self.threads[other]]

    def keep(self, name: str, keys: set[tuple[str, str]]) -> None:
        self.threads[name] = {key: row for key, row in self.threads[name].items() if key in keys}

    async def check(self, saver: Saver) -> None:
        for name, rows in self.threads.items():
            found = await saver.list({"configurable": {"thread_id": name}})
            assert [seen(each) for each in found] == [
                expected(key, rows[key])
                for key in sorted(rows, key=lambda key: (key[1], key[0]), reverse=True)
            ]
            for ns in SPACES:
                newest = await saver.get_tuple(address(name, ns))
                ids = [id for space, id in rows if space == ns]
                if ids:
                    assert seen(newest) == expected((ns, max(ids)), rows[ns, max(ids)])
                else:
                    assert newest is None


def seen(found: Any) -> tuple[Any, ...]:
    where = found.config["configurable"]
    parent = found.parent_config["configurable"]["checkpoint_id"] if found.parent_config else None
    return (
        where["checkpoint_ns"],
        where["checkpoint_id"],
        parent,
        found.metadata["run_id"],
        repr(sorted(found.checkpoint["channel_values"].items())),
        found.checkpoint["channel_versions"],
        repr(found.pending_writes),
    )


def expected(key: tuple[str, str], row: Stored) -> tuple[Any, ...]:
    writes = [
        (task, *entry)
        for task, places in sorted(row.writes.items())
        for _, entry in sorted(places.items(), key=place)
    ]
    return (*key, row.parent, row.run, repr(sorted(row.values.items())), row.versions, repr(writes))


def place(entry: tuple[int, Any]) -> int:
    return entry[0]


@pytest.mark.parametrize(
    "backend",
    [
        each
        for each in BACKENDS
        if each.keeps_history
        and each.colour != "thread"
        and (each.name, each.colour) != ("sqlite", "async")
        and each.name not in ("postgres", "postgres-pipeline", "aiopostgres", "aiopostgres-pool")
    ],
    ids=lambda backend: f"{backend.name}-{backend.colour}",
)
@settings(max_examples=25)
@given(seed=st.integers(0, 2**32))
def test_a_random_history_reads_back_exactly(backend: Backend, seed: int) -> None:
    async def play() -> None:
        rng = random.Random(seed)
        history = History(rng)
        with TemporaryDirectory() as folder:
            path = Path(folder) / "threads.db"
            for _ in range(3 if backend.survives else 1):
                async with opened(backend, path) as saver:
                    if history.clock:
                        await history.check(saver)
                    for _ in range(rng.randrange(5, 60)):
                        await history.step(saver)
                    await history.check(saver)

    asyncio.run(play())
