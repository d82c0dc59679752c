"""What a failure leaves behind: siblings are stopped where they can be, and what they finished is kept."""

from __future__ import annotations

import asyncio
import signal
import threading
from contextlib import nullcontext
from typing import Any

import pytest

from tests.engine.conftest import Saver
from tests.engine.graphs import Log, awrites, line, parallel, thread, writes
from threadkeep.graph import START, StateGraph
from threadkeep.types import RetryPolicy, Send

TIMEOUT = 20


class Boom(Exception):
    """The failure of these tests."""


class Flaky:
    """A node that fails a number of times, then writes its name. Counts its calls."""

    def __init__(self, name: str, failures: int, error: BaseException | None = None) -> None:
        self.name = name
        self.calls = 0
        self._failures = failures
        self._error = error or Boom(name)

    def __call__(self, state: Any) -> dict[str, Any]:
        self.calls += 1
        if self.calls <= self._failures:
            raise self._error
        return {"log": [self.name]}

    async def acall(self, state: Any) -> dict[str, Any]:
        return self(state)


class Gate:
    """Opens once, for threads and tasks of an event loop alike."""

    def __init__(self) -> None:
        self.event = threading.Event()

    def wait(self) -> None:
        assert self.event.wait(TIMEOUT)

    async def await_(self) -> None:
        async with asyncio.timeout(TIMEOUT):
            while not self.event.is_set():
                await asyncio.sleep(0)


def pending(state: Any) -> dict[str, Any]:
    """Task name to its result, for the tasks of the newest checkpoint."""
    return {task.name: task.result for task in state.tasks}


def test_a_finished_branch_is_not_run_again_after_its_sibling_failed(saver: Saver) -> None:
    good, bad = Flaky("good", 0), Flaky("bad", 1)
    graph = parallel({"good": good, "bad": bad}).compile(checkpointer=saver)
    with pytest.raises(Boom):
        graph.invoke({"log": ["in"]}, thread(), durability="sync")
    state = graph.get_state(thread())
    assert pending(state) == {"good": {"log": ["good"]}, "bad": None}
    assert state.next == ("bad",)
    assert str(state.tasks[1].error) == "Boom('bad')"
    assert graph.invoke(None, thread()) == {"log": ["in", "bad", "good"]}
    assert (good.calls, bad.calls) == (1, 2)


async def test_a_failing_branch_cancels_its_async_sibling_and_keeps_the_finished_one(asaver: Saver) -> None:
    ended: list[str] = []
    started = asyncio.Event()

    async def slow(state: Any) -> dict[str, Any]:
        started.set()
        try:
            await asyncio.sleep(0 if "cancelled" in ended else TIMEOUT)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        return {"log": ["slow"]}

    bad = Flaky("bad", 1)

    async def fail_late(state: Any) -> dict[str, Any]:
        await started.wait()
        await asyncio.sleep(0)
        return bad(state)

    good = Flaky("good", 0)
    nodes = {"bad": fail_late, "good": good.acall, "slow": slow}
    graph = parallel(nodes).compile(checkpointer=asaver)
    with pytest.raises(Boom):
        await graph.ainvoke({"log": ["in"]}, thread())
    assert ended == ["cancelled"]
    state = await graph.aget_state(thread())
    assert pending(state) == {"bad": None, "good": {"log": ["good"]}, "slow": None}
    assert await graph.ainvoke(None, thread()) == {"log": ["in", "bad", "good", "slow"]}
    assert (good.calls, bad.calls) == (1, 2)


def test_a_branch_that_runs_on_in_its_thread_after_a_failure_is_waited_for_and_kept(saver: Saver) -> None:
    failed = Gate()
    calls = []

    def bad(state: Any) -> None:
        failed.event.set()
        raise Boom

    def slow(state: Any) -> dict[str, Any]:
        failed.wait()
        calls.append("slow")
        return {"log": ["slow"]}

    graph = parallel({"bad": bad, "slow": slow}).compile(checkpointer=saver)
    with pytest.raises(Boom):
        graph.invoke({}, thread())
    assert pending(graph.get_state(thread())) == {"bad": None, "slow": {"log": ["slow"]}}
    with pytest.raises(Boom):
        graph.invoke(None, thread())
    assert calls == ["slow"]


async def test_a_sync_branch_that_runs_on_after_a_failure_on_the_event_loop_is_kept(asaver: Saver) -> None:
    failed = Gate()
    calls = []

    async def bad(state: Any) -> None:
        failed.event.set()
        raise Boom

    def slow(state: Any) -> dict[str, Any]:
        failed.wait()
        calls.append("slow")
        return {"log": ["slow"]}

    graph = parallel({"bad": bad, "slow": slow}).compile(checkpointer=asaver)
    with pytest.raises(Boom):
        await graph.ainvoke({}, thread())
    assert pending(await graph.aget_state(thread())) == {"bad": None, "slow": {"log": ["slow"]}}
    with pytest.raises(Boom):
        await graph.ainvoke(None, thread())
    assert calls == ["slow"]


def test_tasks_that_had_not_started_when_one_failed_do_not_start(saver: Saver) -> None:
    first, second = Flaky("a", 1), Flaky("b", 0)
    graph = parallel({"a": first, "b": second}).compile(checkpointer=saver)
    with pytest.raises(Boom):
        graph.invoke({}, {**thread(), "max_concurrency": 1})
    assert (first.calls, second.calls) == (1, 0)
    assert pending(graph.get_state(thread())) == {"a": None, "b": None}
    assert graph.invoke(None, thread()) == {"log": ["a", "b"]}
    assert (first.calls, second.calls) == (2, 1)


@pytest.mark.parametrize("node_colour", ["sync", "async"])
async def test_tasks_that_had_not_started_when_one_failed_do_not_start_on_the_event_loop(
    asaver: Saver, node_colour: str
) -> None:
    first, second = Flaky("a", 1), Flaky("b", 0)
    nodes = {"a": first, "b": second} if node_colour == "sync" else {"a": first.acall, "b": second.acall}
    graph = parallel(nodes).compile(checkpointer=asaver)
    with pytest.raises(Boom):
        await graph.ainvoke({}, {**thread(), "max_concurrency": 1})
    assert (first.calls, second.calls) == (1, 0)
    assert await graph.ainvoke(None, thread()) == {"log": ["a", "b"]}
    assert (first.calls, second.calls) == (2, 1)


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_after_a_failure_the_thread_goes_on_at_the_failed_step(saver: Saver, durability: Any) -> None:
    before, bad = Flaky("before", 0), Flaky("bad", 1)
    graph = line({"before": before, "bad": bad, "after": writes("after")}).compile(checkpointer=saver)
    with pytest.raises(Boom):
        graph.invoke({"log": ["in"]}, thread(), durability=durability)
    state = graph.get_state(thread())
    assert (state.values, state.next) == ({"log": ["in", "before"]}, ("bad",))
    assert graph.invoke(None, thread(), durability=durability) == {"log": ["in", "before", "bad", "after"]}
    assert (before.calls, bad.calls) == (1, 2)
    assert [point.metadata["step"] for point in saver.list(thread())] == (
        [3, 1] if durability == "exit" else [3, 2, 1, 0, -1]
    )


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
@pytest.mark.parametrize("build", [line, parallel])
def test_a_request_to_stop_the_program_from_within_a_node_stops_the_run_and_keeps_the_thread(
    saver: Saver, error: BaseException, build: Any
) -> None:
    good, bad = Flaky("a", 0), Flaky("b", 1, error)
    ran = threading.Event()

    def first(state: Any) -> dict[str, Any]:
        result = good(state)
        ran.set()
        return result

    def last(state: Any) -> dict[str, Any]:
        assert ran.wait(TIMEOUT)
        return bad(state)

    graph = build({"a": first, "b": last}).compile(checkpointer=saver)
    with pytest.raises(type(error)):
        graph.invoke({}, thread())
    assert graph.get_state(thread()).next == ("b",)
    assert graph.invoke(None, thread()) == {"log": ["a", "b"]}
    assert (good.calls, bad.calls) == (1, 2)


async def test_a_node_that_raises_cancelled_error_itself_ends_the_run_with_it(asaver: Saver) -> None:
    good, bad = Flaky("a", 0), Flaky("b", 1, asyncio.CancelledError())
    graph = line({"a": good.acall, "b": bad.acall}).compile(checkpointer=asaver)
    with pytest.raises(asyncio.CancelledError):
        await graph.ainvoke({}, thread())
    assert await graph.ainvoke(None, thread()) == {"log": ["a", "b"]}
    assert (good.calls, bad.calls) == (1, 2)


def test_a_failed_node_is_tried_again_without_waiting_where_the_interval_is_zero() -> None:
    node = Flaky("node", 2)
    policy = RetryPolicy(initial_interval=0, jitter=False, max_attempts=3)
    graph: Any = StateGraph(Log).add_node("node", node, retry_policy=policy).add_edge(START, "node")
    assert graph.compile().invoke({}) == {"log": ["node"]}
    assert node.calls == 3


async def test_a_failed_async_node_is_tried_again_up_to_the_number_of_attempts() -> None:
    node = Flaky("node", 3)
    policy = RetryPolicy(initial_interval=0, jitter=False, max_attempts=3)
    graph: Any = StateGraph(Log).add_node("node", node.acall, retry_policy=policy).add_edge(START, "node")
    with pytest.raises(Boom):
        await graph.compile().ainvoke({})
    assert node.calls == 3
    assert await graph.compile().ainvoke({}) == {"log": ["node"]}


def test_a_retry_forgets_what_the_failed_attempt_wrote_and_streamed_state_stays_single() -> None:
    attempts: list[int] = []

    def node(state: Any) -> list[Any]:
        attempts.append(len(attempts))
        return [{"log": ["once"]}]

    def path(state: Any) -> str:
        if len(attempts) == 1:
            raise Boom
        return "__end__"

    policy = RetryPolicy(initial_interval=0, jitter=False)
    graph: Any = StateGraph(Log).add_node("node", lambda state: node(state)[0], retry_policy=policy)
    graph.add_edge(START, "node").add_conditional_edges("node", path)
    assert graph.compile().invoke({}) == {"log": ["once"]}
    assert attempts == [0, 1]


def test_only_the_failed_packet_is_sent_again(saver: Saver) -> None:
    calls: list[int] = []

    def work(n: int) -> dict[str, Any]:
        calls.append(n)
        if n == 3 and calls.count(3) == 1:
            raise Boom
        return {"log": [n]}

    graph: Any = StateGraph(Log).add_node("work", work)
    graph.add_conditional_edges(START, lambda state: [Send("work", n) for n in range(5)], ["work"])
    compiled = graph.compile(checkpointer=saver)
    with pytest.raises(Boom):
        compiled.invoke({}, {**thread(), "max_concurrency": 1})
    assert calls == [0, 1, 2, 3]
    assert compiled.invoke(None, thread()) == {"log": [0, 1, 2, 3, 4]}
    assert sorted(calls) == [0, 1, 2, 3, 3, 4]


def timed(graph: Any, seconds: float) -> Any:
    graph.step_timeout = seconds
    return graph


def test_a_step_that_takes_too_long_ends_with_a_timeout_that_names_the_slow_node(saver: Saver) -> None:
    release = Gate()
    good = Flaky("good", 0)

    def slow(state: Any) -> dict[str, Any]:
        release.wait()
        return {"log": ["slow"]}

    graph = timed(parallel({"good": good, "slow": slow}).compile(checkpointer=saver), 0.05)
    with pytest.raises(TimeoutError, match="Still running: slow"):
        graph.invoke({}, thread())
    release.event.set()
    assert pending(graph.get_state(thread())) == {"good": {"log": ["good"]}, "slow": None}
    assert timed(graph, TIMEOUT).invoke(None, thread()) == {"log": ["good", "slow"]}
    assert good.calls == 1


async def test_an_async_node_that_takes_too_long_is_cancelled(asaver: Saver) -> None:
    cancelled: list[bool] = []

    async def slow(state: Any) -> dict[str, Any]:
        try:
            await asyncio.sleep(0 if cancelled else TIMEOUT)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise
        return {"log": ["slow"]}

    good = Flaky("good", 0)
    graph = timed(parallel({"good": good.acall, "slow": slow}).compile(checkpointer=asaver), 0.05)
    with pytest.raises(TimeoutError, match="Still running: slow"):
        await graph.ainvoke({}, thread())
    assert cancelled == [True]
    assert pending(await graph.aget_state(thread())) == {"good": {"log": ["good"]}, "slow": None}
    assert await graph.ainvoke(None, thread()) == {"log": ["good", "slow"]}
    assert good.calls == 1


async def test_a_sync_node_that_takes_too_long_on_the_event_loop_does_not_hold_the_timeout_up() -> None:
    release, ended = Gate(), []

    def slow(state: Any) -> dict[str, Any]:
        try:
            release.wait()
        finally:
            ended.append(True)
        return {}

    graph = timed(parallel({"slow": slow, "quick": awrites("quick")}).compile(), 0.05)
    try:
        with pytest.raises(TimeoutError, match="Still running: slow"):
            await graph.ainvoke({})
        assert ended == []
    finally:
        release.event.set()


def test_a_step_within_its_time_is_not_disturbed() -> None:
    graph = timed(line({"a": writes("a"), "b": writes("b")}).compile(), TIMEOUT)
    assert graph.invoke({}) == {"log": ["a", "b"]}


async def test_a_step_within_its_time_is_not_disturbed_on_the_event_loop() -> None:
    graph = timed(line({"a": awrites("a"), "b": writes("b")}).compile(), TIMEOUT)
    assert await graph.ainvoke({}) == {"log": ["a", "b"]}


def test_an_async_node_under_invoke_is_refused_with_the_way_out() -> None:
    with pytest.raises(TypeError, match=r"'anode'.*async.*Use ainvoke, astream or abatch"):
        line({"anode": awrites("x")}).compile().invoke({})


def test_a_keyboard_interrupt_while_branches_run_ends_the_run_at_once_and_keeps_what_is_finished(
    saver: Saver,
) -> None:
    release, good = Gate(), Flaky("good", 0)
    stopped: list[bool] = []
    main = threading.get_ident()

    def is_stored() -> bool:
        found = saver.get_tuple(thread())
        return found is not None and any(value == ["good"] for _, _, value in found.pending_writes or ())

    def slow(state: Any) -> dict[str, Any]:
        if not stopped:
            while not is_stored():
                release.event.wait(0.001)
            stopped.append(True)
            signal.pthread_kill(main, signal.SIGINT)
            release.wait()
        return {"log": ["slow"]}

    graph = parallel({"good": good, "slow": slow}).compile(checkpointer=saver)
    try:
        with pytest.raises(KeyboardInterrupt):
            graph.invoke({}, thread(), durability="sync")
    finally:
        release.event.set()
    assert graph.invoke(None, thread()) == {"log": ["good", "slow"]}
    assert (stopped, good.calls) == ([True], 1)


@pytest.mark.parametrize("failing", [True, False])
def test_many_steps_leave_no_thread_behind(failing: bool) -> None:
    def ours() -> int:
        return sum(each.name.startswith("threadkeep") for each in threading.enumerate())

    before = ours()
    graph = parallel({"a": Flaky("a", 10**9 * failing), **{name: writes(name) for name in "bcd"}}).compile()
    for _ in range(500):
        with pytest.raises(Boom) if failing else nullcontext():
            graph.invoke({})
    # A thread may still be on its way back when the next step needs one.
    assert ours() - before <= 2 * 4
