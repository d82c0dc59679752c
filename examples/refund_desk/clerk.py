"""One process of the refund desk: opens the file of the thread, runs the graph as far as it goes, and ends.

`python -m examples.refund_desk.clerk FOLDER start`; later, each in a process of its own, `resume`, `answer`,
`reconsider`. What happens is printed as JSON lines at once. The process may be killed at any moment:
`resume` goes on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from examples.refund_desk.cases import Decision, load_requests
from examples.refund_desk.graph import Desk, build
from examples.refund_desk.services import Ledger, Services
from threadkeep.checkpoint.sqlite import SqliteSaver
from threadkeep.config import RunnableConfig
from threadkeep.graph.state import CompiledStateGraph
from threadkeep.types import Command, StateSnapshot

Graph = CompiledStateGraph[Desk, Services, Desk, Desk]
Answers = dict[str, dict[str, Any]]

# Four letters are read at a time.
THREAD: RunnableConfig = {"configurable": {"thread_id": "refunds-of-today"}, "max_concurrency": 4}


def ledger_of(folder: Path) -> Ledger:
    """The ledger of everything that was done outside."""
    return Ledger(folder / "ledger.jsonl")


@contextmanager
def opened(folder: Path) -> Iterator[Graph]:
    """The graph over the threads in *folder*."""
    with SqliteSaver.from_conn_string(folder / "threads.sqlite") as saver:
        yield build(saver)


def everything_decided(graph: Graph) -> StateSnapshot:
    """The newest point of the thread at which everything was decided and nothing paid."""
    return next(past for past in graph.get_state_history(THREAD) if past.next == ("settle",))


def answering(graph: Graph, answers: Answers) -> Command[Any]:
    """The command that gives every open question its answer."""
    questions = graph.get_state(THREAD).interrupts
    return Command(resume={question.id: answers[question.value["request"]] for question in questions})


def reconsidered(graph: Graph, answers: Answers) -> RunnableConfig:
    """A fork of the thread, the same day with these answers; the first outcome stays in the history."""
    decisions = {id: Decision(**answer) for id, answer in answers.items()}
    return graph.update_state(everything_decided(graph).config, {"decisions": decisions}, as_node="approve")


def events(mode: str, chunk: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What a chunk of the stream says, in the words of the desk."""
    if mode == "custom":
        yield {"event": "begun", "request": chunk["begun"]}
        return
    reused = "__metadata__" in chunk
    for node, update in chunk.items():
        if node == "__interrupt__":
            yield from ({"event": "asked", **question.value} for question in update)
        elif node == "triage":
            for id, complaint in update["complaints"].items():
                yield {"event": "read", "request": id, "complaint": complaint, "reused": reused}
        elif node == "pay_out":
            yield from ({"event": "paid", "request": id} for id in update["receipts"])
        elif node != "__metadata__":
            yield {"event": "done", "node": node}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="One process of the refund desk.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("task", choices=["start", "resume", "answer", "reconsider"])
    parser.add_argument("--answers", type=json.loads, default={}, help="JSON: request → answer")
    parser.add_argument("--pace", type=float, default=0.0, help="seconds to read a hundred characters")
    args = parser.parse_args()
    services = Services(ledger_of(args.folder), args.pace)
    with opened(args.folder) as graph:
        given: Desk | Command[Any] | None = None
        config = THREAD
        if args.task == "start":
            given = {"requests": load_requests()}
        elif args.task == "answer":
            given = answering(graph, args.answers)
        elif args.task == "reconsider":
            config = {**THREAD, **reconsidered(graph, args.answers)}
        stream = graph.stream(
            given, config, context=services, stream_mode=["custom", "updates"], durability="sync"
        )
        for mode, chunk in stream:
            for event in events(mode, chunk):
                print(json.dumps(event), flush=True)


if __name__ == "__main__":
    main()
