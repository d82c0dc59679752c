"""Gives a program the public API of either root, one way to drive it in two colours, and exact plain data.

A program gets a `Lab`: public names are attributes of it (`lab.StateGraph`, `lab.interrupt`), `lab.compile`
returns a `Runner` whose calls are the same in both colours. Must import neither root by name at module level.
"""

import asyncio
import contextlib
import importlib
import tempfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from tests.reference.plain import plain, plain_error

MODULES = {
    "graph": "StateGraph START END MessagesState add_messages",
    "graph.message": "REMOVE_ALL_MESSAGES",
    "types": "Command Send Interrupt interrupt Overwrite RetryPolicy StateSnapshot StateUpdate",
    "channels": "LastValue AnyValue EphemeralValue UntrackedValue BinaryOperatorAggregate Topic",
    "config": "get_config get_store get_stream_writer",
    "runtime": "Runtime get_runtime",
    "managed": "IsLastStep RemainingSteps",
    "errors": "NodeInterrupt",
    "checkpoint.memory": "InMemorySaver",
    "store.memory": "InMemoryStore",
    "store.base": "GetOp PutOp SearchOp ListNamespacesOp MatchCondition ensure_embeddings",
    "store.base.embed": "get_text_at_path tokenize_path",
}
HOMES = {name: module for module, names in MODULES.items() for name in names.split()}


class Lab:
    """The public API of `root`, seen from one colour, with one kind of saver."""

    def __init__(self, root: str, *, colour: str = "sync", saver: str = "memory") -> None:
        self.root = root
        self.colour = colour
        self.saver_kind = saver
        self.savers_made = 0
        self._exits = contextlib.ExitStack()
        self._runner = self._exits.enter_context(asyncio.Runner()) if colour == "async" else None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in HOMES:
            raise AttributeError(name)
        return getattr(self.module(HOMES[name]), name)

    def module(self, name: str) -> Any:
        """The module of that name under the root."""
        return importlib.import_module(f"{self.root}.{name}")

    def close(self) -> None:
        """Closes every saver that was opened, then the event loop."""
        self._exits.close()

    def wait(self, coroutine: Any) -> Any:
        """The result of a coroutine, on this lab's event loop."""
        assert self._runner is not None
        return self._runner.run(coroutine)

    def saver(self, **options: Any) -> Any:
        """A new, empty saver of this lab's kind."""
        self.savers_made += 1
        if self.saver_kind == "memory":
            return self.InMemorySaver(**options)
        folder = self._exits.enter_context(tempfile.TemporaryDirectory())
        path = str(Path(folder) / "threads.db")
        if self.colour == "sync":
            opened = self.module("checkpoint.sqlite").SqliteSaver.from_conn_string(path, **options)
            return self._exits.enter_context(opened)
        opened = self.module("checkpoint.sqlite.aio").AsyncSqliteSaver.from_conn_string(path, **options)
        saver = self.wait(opened.__aenter__())
        self._exits.callback(lambda: self.wait(opened.__aexit__(None, None, None)))
        return saver

    def compile(self, builder: Any, **options: Any) -> "Runner":
        """The compiled graph behind the calls that are the same in both colours."""
        return Runner(self, builder.compile(**options))

    def run(self, graph: Any) -> "Runner":
        """A graph that is already compiled, behind the same calls."""
        return Runner(self, graph)

    def error(self, call: Any, *words: str) -> Any:
        """What a call raises: class, nearest built-in class, which of `words` its message contains."""
        try:
            value = call()
        except BaseException as error:
            return plain_error(error, words)
        return {"$returned": plain(value)}

    def saved(self, saver: Any, config: Any, **options: Any) -> list[Any]:
        """The saver's own list of checkpoints by namespace, newest first, versions as small integers."""
        if self.colour == "sync":
            rows = list(saver.list(config, **options))
        else:
            rows = self.wait(_drain(saver.alist(config, **options)))
        rows.sort(key=lambda row: _namespace(row.config["configurable"]["checkpoint_ns"]))
        return [_ranked(row) for row in rows]


async def _drain(items: Any) -> list[Any]:
    return [item async for item in items]


def _namespace(name: str) -> list[str]:
    return [part.split(":")[0] for part in name.split("|")]


def _version(value: Any) -> int:
    return int(str(value).split(".")[0])


def _ranked(row: Any) -> Any:
    checkpoint = dict(row.checkpoint)
    checkpoint["channel_versions"] = {k: _version(v) for k, v in checkpoint["channel_versions"].items()}
    checkpoint["versions_seen"] = {
        node: {k: _version(v) for k, v in seen.items()} for node, seen in checkpoint["versions_seen"].items()
    }
    return row._replace(checkpoint=checkpoint, pending_writes=_settled(row.pending_writes))


def _settled(writes: Any) -> list[Any]:
    """Writes with a task's triggers by name: the reference takes them from a set, in no order."""
    runs = groupby(writes, key=lambda write: (write[0], write[1].startswith("branch:to:")))
    settled: list[Any] = []
    for (_, triggers), run in runs:
        settled += sorted(run, key=lambda write: str(write[1])) if triggers else run
    return settled


class Runner:
    """One compiled graph; every call gives plain Python objects, whatever the colour."""

    def __init__(self, lab: Lab, graph: Any) -> None:
        self.lab = lab
        self.graph = graph

    def _call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        if self.lab.colour == "sync":
            return getattr(self.graph, name)(*args, **kwargs)
        return self.lab.wait(getattr(self.graph, f"a{name}")(*args, **kwargs))

    def _list(self, name: str, *args: Any, **kwargs: Any) -> list[Any]:
        if self.lab.colour == "sync":
            return list(getattr(self.graph, name)(*args, **kwargs))
        return list(self.lab.wait(_drain(getattr(self.graph, f"a{name}")(*args, **kwargs))))

    def invoke(self, *args: Any, **kwargs: Any) -> Any:
        return self._call("invoke", *args, **kwargs)

    def batch(self, *args: Any, **kwargs: Any) -> Any:
        return self._call("batch", *args, **kwargs)

    def stream(self, *args: Any, **kwargs: Any) -> list[Any]:
        return self._list("stream", *args, **kwargs)

    def each(self, given: Any, heard: Any, *args: Any, **kwargs: Any) -> list[Any]:
        """All chunks; `heard` is called with each the moment it arrives."""
        if self.lab.colour == "sync":
            return [(chunk, heard(chunk))[0] for chunk in self.graph.stream(given, *args, **kwargs)]
        return list(self.lab.wait(_heard(self.graph.astream(given, *args, **kwargs), heard)))

    def first(self, *args: Any, **kwargs: Any) -> Any:
        """The first chunk of a stream that is then closed."""
        if self.lab.colour == "sync":
            with contextlib.closing(self.graph.stream(*args, **kwargs)) as chunks:
                return next(chunks)
        return self.lab.wait(_first(self.graph.astream(*args, **kwargs)))

    def partial_stream(self, *args: Any, **kwargs: Any) -> list[Any]:
        """What a stream gave before it ended or raised; the error is the last item."""
        seen: list[Any] = []
        try:
            if self.lab.colour == "sync":
                for chunk in self.graph.stream(*args, **kwargs):
                    seen.append(chunk)
            else:
                self.lab.wait(_gather(self.graph.astream(*args, **kwargs), seen))
        except BaseException as error:
            seen.append(plain_error(error, ()))
        return seen

    def state(self, *args: Any, **kwargs: Any) -> Any:
        return self._call("get_state", *args, **kwargs)

    def error_or_state(self, config: Any) -> Any:
        """The open questions of a thread, or the plain error that reading it gives."""
        try:
            return list(self.state(config).interrupts)
        except Exception as error:
            return plain_error(error, ())

    def history(self, *args: Any, **kwargs: Any) -> list[Any]:
        return self._list("get_state_history", *args, **kwargs)

    def update(self, *args: Any, **kwargs: Any) -> Any:
        return self._call("update_state", *args, **kwargs)

    def bulk_update(self, *args: Any, **kwargs: Any) -> Any:
        return self._call("bulk_update_state", *args, **kwargs)


async def _heard(chunks: Any, heard: Any) -> list[Any]:
    return [(chunk, heard(chunk))[0] async for chunk in chunks]


async def _first(chunks: Any) -> Any:
    async with contextlib.aclosing(chunks) as opened:
        return await anext(opened)


async def _gather(chunks: Any, seen: list[Any]) -> None:
    async for chunk in chunks:
        seen.append(chunk)


def thread(name: str = "1", **more: Any) -> dict[str, Any]:
    """The config of a thread."""
    return {"configurable": {"thread_id": name, **more}}


def brief(snapshot: Any) -> dict[str, Any]:
    """The parts of a snapshot that name no id: enough for most programs."""
    return {
        "values": snapshot.values,
        "next": snapshot.next,
        "metadata": snapshot.metadata,
        "interrupts": snapshot.interrupts,
        "tasks": [
            {"name": t.name, "path": t.path, "error": t.error, "interrupts": t.interrupts, "result": t.result}
            for t in snapshot.tasks
        ],
    }


def sources(runner: Runner, config: Any) -> list[Any]:
    """One line per checkpoint of a thread, newest first."""
    return [
        [s.metadata.get("source"), s.metadata.get("step"), s.next, s.values] for s in runner.history(config)
    ]


def with_keys(schema: Any, **keys: Any) -> Any:
    """A copy of a TypedDict with more keys, whose types are known only at run time."""
    return type(schema)(
        f"More{schema.__name__}",
        (),
        {"__annotations__": {**keys, **schema.__annotations__}},
        total=False,
    )


def noting(seen: list[Any], result: Any = None) -> Any:
    """A node or branch function that notes the state it is given and returns `result`."""

    def note(state: Any) -> Any:
        seen.append(dict(state))
        return result

    return note


def open_lab(*args: Any, **kwargs: Any) -> "contextlib.AbstractContextManager[Lab]":
    """A lab that closes what it opened."""

    @contextlib.contextmanager
    def opened() -> Iterator[Lab]:
        lab = Lab(*args, **kwargs)
        try:
            yield lab
        finally:
            lab.close()

    return opened()
