"""Where we decide otherwise than the reference: the reason, and exactly what we do instead.

A difference is either our whole result, or changes to the recorded one by path (`[0].state.next`), so that
everything around the point still has to match. A program that is listed here and agrees with its recording
fails.
"""

import copy
import re
from typing import Any, NamedTuple

ABSENT = object()


class Difference(NamedTuple):
    """Why, and either `whole` or `changes` (path → our value, `ABSENT` removes); in which colours."""

    reason: str
    changes: dict[str, Any] = {}  # noqa: RUF012  # never written to
    whole: Any = ABSENT
    colours: tuple[str, ...] = ("sync", "async")

    def apply(self, recorded: Any) -> Any:
        """Our expected value, made from the recorded one."""
        if self.whole is not ABSENT:
            return self.whole
        result = copy.deepcopy(recorded)
        for path, value in self.changes.items():
            _change(result, re.findall(r"[^.\[\]]+", path), value)
        return result


def _change(target: Any, parts: list[str], value: Any) -> None:
    for part in parts[:-1]:
        target = target[_key(target, part)]
    last = _key(target, parts[-1])
    if value is ABSENT:
        del target[last]
    else:
        target[last] = value


def _key(target: Any, part: str) -> Any:
    return int(part) if isinstance(target, list) else part


def _raised(kind: str, base: str, *words: str) -> dict[str, Any]:
    return {"$raised": kind, "is": base, "says": list(words)}


def _tagged(mode: str, chunk: Any) -> dict[str, Any]:
    return {"$tuple": [mode, chunk]}


_FAILED_TASK = {
    "error": {"$raised": "ValueError", "text": "no way"},
    "id": "id1",
    "interrupts": [],
    "name": "a",
    "result": {},
}
_TWICE = "a Command as the first input is applied once; the reference applies its update twice"
_UNKNOWN = "a target that does not exist is refused; the reference writes a log line and ends the run"
_NOT_PART = (
    "a branch function is part of its node: when it fails nothing of the node is kept, so that it runs again"
)
_EMPTY = "a Command that carries nothing is an empty input; the reference fails with an internal error"

DIFFERENCES: dict[str, Difference] = {
    "building.interrupt_at_unknown_node_at_run": Difference(
        "unknown breakpoints are refused at run time as they are at compile",
        whole=_raised("ValueError", "ValueError", "ghost"),
    ),
    "building.node_that_is_unreachable": Difference(
        "a node that nothing leads to is refused", whole=_raised("ValueError", "ValueError", "b")
    ),
    "corners.command_update_of_every_kind": Difference(
        "an update that is no update is refused, as a node's return value is",
        {"[7]": _raised("InvalidUpdateError", "Exception")},
    ),
    "corners.default_recursion_limit": Difference(
        "the default limit is 25; the reference's is 10,007",
        whole=_raised("GraphRecursionError", "RecursionError", "25", "recursion_limit"),
    ),
    "edges.conditional_unknown_target": Difference(
        _UNKNOWN, whole=_raised("InvalidUpdateError", "Exception", "nowhere")
    ),
    "sends.command_goto_unknown": Difference(
        _UNKNOWN, whole=_raised("InvalidUpdateError", "Exception", "nowhere")
    ),
    "sends.send_to_unknown_node": Difference(
        _UNKNOWN, whole=_raised("InvalidUpdateError", "Exception", "nowhere")
    ),
    "edges.conditional_with_then": Difference(
        "add_conditional_edges(then=) is accepted",
        whole={
            "steps": {"$dict": [[1, ["r"]], [2, ["a", "b"]], [3, ["z"]]]},
            "end": {"log": ["r", "a", "b", "z"]},
        },
    ),
    "edges.deferred_with_saver": Difference(
        "the serialiser keeps tuples",
        {
            "[1].$CheckpointTuple.checkpoint.channel_values.branch:to:last": {"$tuple": [None, True]},
            "[2].$CheckpointTuple.checkpoint.channel_values.branch:to:last": {"$tuple": [None, False]},
        },
    ),
    "failures.failing_branch_function": Difference(
        _NOT_PART,
        {
            "[0][1]": _tagged("tasks", _FAILED_TASK),
            "[0][2]": {"$raised": "ValueError", "text": "no way"},
            "[0][3]": ABSENT,
            "[1].next.$tuple": ["a"],
            "[1].tasks[0].result": None,
            "[1].values.log": [],
        },
    ),
    "failures.failing_entry_branch": Difference(
        _NOT_PART, {"[1].next.$tuple": ["__start__"], "[1].tasks[0].result": None, "[1].values.log": []}
    ),
    "injection.runtime_by_annotation": Difference(
        "parameters are injected by name or by annotation", whole={"$returned": {"log": [None]}}
    ),
    "interrupts.branches_resumed_with_one_value": Difference(
        "the error has a class of its own, still a RuntimeError", {"[0].$raised": "UnknownInterruptError"}
    ),
    "interrupts.resume_on_a_fresh_thread": Difference(
        "there is nothing to resume; the reference runs the graph on an empty state",
        whole=[_raised("EmptyInputError", "Exception"), []],
    ),
    "interrupts.resume_with_none_value": Difference(
        _EMPTY, {"[0].$raised": "EmptyInputError", "[0].is": "Exception"}
    ),
    "sends.command_as_empty_input": Difference(_EMPTY, {"$raised": "EmptyInputError", "is": "Exception"}),
    "sends.command_as_input_goto_fresh": Difference(_TWICE, {"[1][3][3].x": ABSENT}),
    "sends.command_as_input_update": Difference(
        _TWICE,
        {
            "[0].$returned.log": ["in", "a", "b"],
            "[1][0][3].log": ["in", "a", "b"],
            "[1][1][3].log": ["in", "a"],
            "[1][2][3].log": ["in"],
            "[1][3][3]": {"log": []},
        },
    ),
    "sends.command_as_input_without_saver": Difference(_TWICE, {"[0].$returned.log": ["in", "a", "b"]}),
    "sends.command_parent_at_the_root": Difference(
        "control flow derives from BaseException", {"is": "BaseException"}
    ),
    "interrupts_deep.in_the_entry_branch": Difference(
        "a question in an entry branch is shown like any other; the reference loses it",
        {
            "[0].$returned": {
                "__interrupt__": [{"$Interrupt": {"id": "id1", "response_schema": None, "value": "where?"}}]
            }
        },
    ),
    "interrupts_deep.two_questions_second_run_fails": Difference(
        "an answer counts for one question; after a failure the reference gives it to the next one too",
        {
            "[2].$returned": {
                "__interrupt__": [{"$Interrupt": {"id": "id2", "response_schema": None, "value": "second?"}}],
                "log": [],
            },
            "[3].$returned.log": ["1", "2"],
        },
    ),
    "migrations.branch_target_was_removed": Difference(
        _UNKNOWN, {"[1]": _raised("InvalidUpdateError", "Exception", "w")}
    ),
    "subgraphs_deep.parent_command_to_an_unknown_node": Difference(
        _UNKNOWN, whole=_raised("InvalidUpdateError", "Exception", "nowhere")
    ),
    "subgraphs_deep.retry_of_a_failing_child": Difference(
        "a retried child goes on from its own checkpoint, as on resume: finished tasks do not run again",
        {"[1][1]": ["one", "two", "two", "two"]},
    ),
    "timing.failing_branch_cancels_the_async_sibling": Difference(
        "a task that was cancelled has not failed", {"[2].tasks[0].error": None}, colours=("async",)
    ),
    "states_of_threads.replay_of_an_interrupt": Difference(
        "an answer given to an old checkpoint counts, on a fork; the reference takes the answer stored there",
        {
            "[2].$returned.log": ["two", "after"],
            "[3]": [
                ["loop", 3, {"$tuple": []}, {"log": ["two", "after"]}],
                ["loop", 2, {"$tuple": ["after"]}, {"log": ["two"]}],
                ["fork", 1, {"$tuple": ["ask"]}, {"log": []}],
                ["fork", 1, {"$tuple": ["ask"]}, {"log": []}],
                ["loop", 2, {"$tuple": []}, {"log": ["one", "after"]}],
                ["loop", 1, {"$tuple": ["after"]}, {"log": ["one"]}],
                ["loop", 0, {"$tuple": ["ask"]}, {"log": []}],
                ["input", -1, {"$tuple": ["__start__"]}, {"log": []}],
            ],
        },
    ),
    "states_of_threads.state_without_thread_id": Difference(
        "the same error as from invoke", {"$raised": "ValueError", "is": "ValueError"}
    ),
    "stores.an_unknown_operator": Difference(
        "the error has a class of its own, of the same kind",
        whole=_raised("InvalidFilterError", "ValueError", "$near"),
    ),
    "stores.filters_of_other_types": Difference(
        "1 does not equal true, and null is not missing",
        whole=[["one"], ["true"], ["text"], ["null"], ["true", "text", "null", "missing"]],
    ),
    "stores.items_that_are_not_embedded": Difference(
        "an item put with index=False is not found by a query, as documented", {"[0][1]": ABSENT}
    ),
    "streams.tuple_of_modes": Difference(
        "a tuple of modes is a list of modes; the reference drops the tags",
        whole=[
            _tagged("values", {"log": ["in"], "x": 1}),
            _tagged("updates", {"a": {"log": ["a"], "x": 2}}),
            _tagged("values", {"log": ["in", "a"], "x": 2}),
            _tagged("updates", {"b": {"log": ["b"], "x": 20}}),
            _tagged("values", {"log": ["in", "a", "b"], "x": 20}),
        ],
    ),
}
