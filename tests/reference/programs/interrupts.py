"""Pausing for a person: what is shown, what is stored, what each way of resuming does."""

import operator
from typing import Annotated, Any, TypedDict

from tests.reference.lab import Lab, brief, sources, thread

ALL = ["values", "updates", "tasks", "checkpoints"]


class State(TypedDict, total=False):
    x: int
    log: Annotated[list[Any], operator.add]


def _asking(lab: Lab, *questions: Any, name: str = "ask") -> Any:
    def ask(state: Any) -> Any:
        return {"log": [f"{name}:{lab.interrupt(question)}" for question in questions]}

    return ask


def _one(lab: Lab, *questions: Any) -> Any:
    builder = lab.StateGraph(State)
    builder.add_node("before", lambda state: {"x": 1, "log": ["before"]})
    builder.add_node("ask", _asking(lab, *questions))
    builder.add_node("after", lambda state: {"log": ["after"]})
    builder.add_edge(lab.START, "before")
    builder.add_edge("before", "ask")
    builder.add_edge("ask", "after")
    return lab.compile(builder, checkpointer=lab.saver())


def _two_branches(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    for name in ("left", "right"):
        builder.add_node(name, _asking(lab, f"{name}?", name=name))
        builder.add_edge(lab.START, name)
    builder.add_node("plain", lambda state: {"log": ["plain"]})
    builder.add_edge(lab.START, "plain")
    builder.add_node("join", lambda state: {"log": ["join"]})
    builder.add_edge(["left", "right", "plain"], "join")
    return lab.compile(builder, checkpointer=lab.saver())


def one_question(lab: Lab) -> Any:
    graph = _one(lab, "sure?")
    first = graph.invoke({"log": []}, thread())
    paused = graph.state(thread())
    last = graph.invoke(lab.Command(resume="yes"), thread())
    return {"first": first, "paused": paused, "last": last, "done": brief(graph.state(thread()))}


def one_question_streams(lab: Lab) -> Any:
    graph = _one(lab, "sure?")
    first = graph.stream({"log": []}, thread(), stream_mode=ALL)
    return {"first": first, "second": graph.stream(lab.Command(resume="yes"), thread(), stream_mode=ALL)}


def one_question_updates(lab: Lab) -> Any:
    graph = _one(lab, {"question": "sure?"})
    first = graph.stream({"log": []}, thread())
    return {"first": first, "second": graph.stream(lab.Command(resume=True), thread())}


def one_question_debug(lab: Lab) -> Any:
    graph = _one(lab, "sure?")
    first = graph.stream({"log": []}, thread(), stream_mode="debug")
    return {"first": first, "second": graph.stream(lab.Command(resume="yes"), thread(), stream_mode="debug")}


def one_question_stored(lab: Lab) -> Any:
    saver = lab.saver()
    builder = lab.StateGraph(State)
    builder.add_node("ask", _asking(lab, "sure?"))
    builder.add_edge(lab.START, "ask")
    graph = lab.compile(builder, checkpointer=saver)
    graph.invoke({"log": []}, thread())
    paused = lab.saved(saver, thread())
    graph.invoke(lab.Command(resume="yes"), thread())
    return {"paused": paused, "done": lab.saved(saver, thread())}


def two_questions_in_a_node(lab: Lab) -> Any:
    graph = _one(lab, "first?", "second?")
    results = [graph.invoke({"log": []}, thread())]
    results += [graph.state(thread()).tasks]
    results += [graph.invoke(lab.Command(resume="1"), thread())]
    results += [graph.state(thread()).tasks]
    results += [graph.invoke(lab.Command(resume="2"), thread())]
    return results


def two_questions_stored(lab: Lab) -> Any:
    saver = lab.saver()
    builder = lab.StateGraph(State)
    builder.add_node("ask", _asking(lab, "first?", "second?"))
    builder.add_edge(lab.START, "ask")
    graph = lab.compile(builder, checkpointer=saver)
    graph.invoke({"log": []}, thread())
    stages = [[row.pending_writes for row in lab.saved(saver, thread())]]
    for answer in ("1", "2"):
        graph.invoke(lab.Command(resume=answer), thread())
        stages.append([row.pending_writes for row in lab.saved(saver, thread())])
    return stages


def branches_paused(lab: Lab) -> Any:
    graph = _two_branches(lab)
    first = graph.invoke({"log": []}, thread())
    first["__interrupt__"].sort(key=lambda item: item.value)
    return {"first": first, "state": graph.state(thread())}


def branches_resumed_by_map(lab: Lab) -> Any:
    graph = _two_branches(lab)
    found = graph.invoke({"log": []}, thread())["__interrupt__"]
    answers = {item.id: f"to {item.value}" for item in found}
    return [graph.invoke(lab.Command(resume=answers), thread()), brief(graph.state(thread()))]


def branches_resumed_partially(lab: Lab) -> Any:
    graph = _two_branches(lab)
    found = graph.invoke({"log": []}, thread())["__interrupt__"]
    left = next(item for item in found if item.value == "left?")
    right = next(item for item in found if item.value == "right?")
    stages = [graph.invoke(lab.Command(resume={left.id: "L"}), thread()), brief(graph.state(thread()))]
    return [*stages, graph.invoke(lab.Command(resume={right.id: "R"}), thread())]


def branches_resumed_partially_stored(lab: Lab) -> Any:
    saver = lab.saver()
    graph = _two_branches(lab)
    graph = lab.compile(graph.graph.builder, checkpointer=saver)
    found = graph.invoke({"log": []}, thread())["__interrupt__"]
    stages = [sorted(lab.saved(saver, thread())[0].pending_writes, key=lambda w: (str(w[2]), w[1]))]
    left = next(item for item in found if item.value == "left?")
    graph.invoke(lab.Command(resume={left.id: "L"}), thread())
    stages += [sorted(lab.saved(saver, thread())[0].pending_writes, key=lambda w: (str(w[2]), w[1]))]
    return stages


def branches_resumed_with_one_value(lab: Lab) -> Any:
    graph = _two_branches(lab)
    graph.invoke({"log": []}, thread())
    outcome = lab.error(lambda: graph.invoke(lab.Command(resume="same"), thread()), "interrupt", "id")
    return [outcome, brief(graph.state(thread()))]


def branches_resumed_with_unknown_id(lab: Lab) -> Any:
    graph = _two_branches(lab)
    graph.invoke({"log": []}, thread())
    outcome = graph.invoke(lab.Command(resume={"0" * 32: "x"}), thread())
    outcome["__interrupt__"].sort(key=lambda item: item.value)
    return [outcome, brief(graph.state(thread()))]


def resume_after_the_end(lab: Lab) -> Any:
    graph = _one(lab, "sure?")
    graph.invoke({"log": []}, thread())
    graph.invoke(lab.Command(resume="yes"), thread())
    outcome = lab.error(lambda: graph.invoke(lab.Command(resume="again"), thread()))
    return [outcome, sources(graph, thread())]


def resume_on_a_fresh_thread(lab: Lab) -> Any:
    graph = _one(lab, "sure?")
    return [lab.error(lambda: graph.invoke(lab.Command(resume="x"), thread())), sources(graph, thread())]


def resume_without_saver(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    builder.add_node("ask", _asking(lab, "sure?"))
    builder.add_edge(lab.START, "ask")
    graph = lab.compile(builder)
    return [
        lab.error(lambda: graph.invoke({"log": []}), "checkpointer"),
        lab.error(lambda: graph.invoke(lab.Command(resume="x")), "checkpointer"),
    ]


def resume_with_none_value(lab: Lab) -> Any:
    graph = _one(lab, "sure?")
    graph.invoke({"log": []}, thread())
    outcome = lab.error(lambda: graph.invoke(lab.Command(resume=None), thread()))
    return [outcome, brief(graph.state(thread()))]


def continue_with_none_input(lab: Lab) -> Any:
    graph = _one(lab, "sure?")
    graph.invoke({"log": []}, thread())
    return [graph.invoke(None, thread()), brief(graph.state(thread()))]


def new_input_instead_of_resume(lab: Lab) -> Any:
    graph = _one(lab, "sure?")
    graph.invoke({"log": []}, thread())
    return [graph.invoke({"log": ["new"]}, thread()), sources(graph, thread())]


def resume_with_update(lab: Lab) -> Any:
    graph = _one(lab, "sure?")
    graph.invoke({"log": []}, thread())
    result = graph.invoke(lab.Command(resume="yes", update={"log": ["from outside"]}), thread())
    return [result, sources(graph, thread())]


def resume_with_update_stored(lab: Lab) -> Any:
    saver = lab.saver()
    graph = lab.compile(_one(lab, "sure?").graph.builder, checkpointer=saver)
    graph.invoke({"log": []}, thread())
    graph.invoke(lab.Command(resume="yes", update={"log": ["out"], "x": 7}), thread())
    return [[row.metadata, row.pending_writes] for row in lab.saved(saver, thread())]


def resume_with_goto(lab: Lab) -> Any:
    graph = _one(lab, "sure?")
    graph.invoke({"log": []}, thread())
    result = lab.error(lambda: graph.invoke(lab.Command(resume="yes", goto="after"), thread()))
    return [result, sources(graph, thread())]


def loop_until_valid(lab: Lab) -> Any:
    def ask(state: Any) -> Any:
        question = "age?"
        while True:
            answer = lab.interrupt(question)
            if isinstance(answer, int):
                return {"x": answer}
            question = f"{answer!r} is no age"

    builder = lab.StateGraph(State)
    builder.add_node("ask", ask)
    builder.add_edge(lab.START, "ask")
    graph = lab.compile(builder, checkpointer=lab.saver())
    results = [graph.invoke({"log": []}, thread())]
    return results + [graph.invoke(lab.Command(resume=a), thread()) for a in ("ten", "x", 10)]


def graph_loop(lab: Lab) -> Any:
    def ask(state: Any) -> Any:
        return lab.Command(update={"log": [lab.interrupt(len(state["log"]))]}, goto="check")

    builder = lab.StateGraph(State)
    builder.add_node("ask", ask, destinations=("check",))
    builder.add_node("check", lambda state: None)
    builder.add_edge(lab.START, "ask")
    builder.add_conditional_edges("check", lambda state: lab.END if len(state["log"]) > 2 else "ask")
    graph = lab.compile(builder, checkpointer=lab.saver())
    results = [graph.invoke({"log": []}, thread())]
    return results + [graph.invoke(lab.Command(resume=a), thread()) for a in ("a", "b", "c")]


def interrupt_id_is_stable(lab: Lab) -> Any:
    graph = _one(lab, "first?", "second?")
    ids = [graph.invoke({"log": []}, thread())["__interrupt__"][0].id]
    ids += [graph.state(thread()).interrupts[0].id, graph.state(thread()).tasks[0].interrupts[0].id]
    ids += [graph.invoke(None, thread())["__interrupt__"][0].id]
    ids += [graph.invoke(lab.Command(resume="1"), thread())["__interrupt__"][0].id]
    return ids


def finished_sibling_does_not_run_again(lab: Lab) -> Any:
    runs: list[str] = []

    def sibling(state: Any) -> Any:
        runs.append("sibling")
        return {"log": ["sibling"]}

    def ask(state: Any) -> Any:
        runs.append("ask")
        return {"log": [lab.interrupt("?")]}

    builder = lab.StateGraph(State)
    builder.add_node("sibling", sibling)
    builder.add_node("ask", ask)
    builder.add_edge(lab.START, "sibling")
    builder.add_edge(lab.START, "ask")
    graph = lab.compile(builder, checkpointer=lab.saver())
    first = graph.invoke({"log": []}, thread())
    state = brief(graph.state(thread()))
    second = graph.stream(lab.Command(resume="!"), thread())
    return {"first": first, "state": state, "second": second, "runs": sorted(runs)}


def several_sends_ask(lab: Lab) -> Any:
    def worker(arg: Any) -> Any:
        return {"log": [f"{arg}={lab.interrupt(arg)}"]}

    builder = lab.StateGraph(State)
    builder.add_node("worker", worker)
    builder.add_conditional_edges(lab.START, lambda state: [lab.Send("worker", n) for n in "abc"], ["worker"])
    graph = lab.compile(builder, checkpointer=lab.saver())
    found = sorted(graph.invoke({"log": []}, thread())["__interrupt__"], key=lambda item: str(item.value))
    answers = {item.id: item.value.upper() for item in found}
    return [found, brief(graph.state(thread())), graph.invoke(lab.Command(resume=answers), thread())]


def same_question_in_two_runs(lab: Lab) -> Any:
    graph = _one(lab, "sure?")
    first = [graph.invoke({"log": []}, thread()), graph.invoke(lab.Command(resume="1"), thread())]
    second = [graph.invoke({"log": []}, thread()), graph.invoke(lab.Command(resume="2"), thread())]
    return first + second


def values_mode_result(lab: Lab) -> Any:
    graph = _one(lab, "sure?")
    return graph.stream({"log": []}, thread(), stream_mode="values")


def invoke_updates_mode(lab: Lab) -> Any:
    graph = _one(lab, "sure?")
    return graph.invoke({"log": []}, thread(), stream_mode="updates")


def swallowed_by_except_exception(lab: Lab) -> Any:
    def ask(state: Any) -> Any:
        try:
            return {"log": [lab.interrupt("?")]}
        except ValueError:
            return {"log": ["swallowed"]}

    builder = lab.StateGraph(State)
    builder.add_node("ask", ask)
    builder.add_edge(lab.START, "ask")
    graph = lab.compile(builder, checkpointer=lab.saver())
    return [graph.invoke({"log": []}, thread()), graph.invoke(lab.Command(resume=1), thread())]


def falsy_answers(lab: Lab) -> Any:
    results = []
    for number, answer in enumerate((False, 0, "", [], {})):
        graph = _one(lab, "sure?")
        graph.invoke({"log": []}, thread(str(number)))
        results.append(
            lab.error(lambda g=graph, a=answer, n=number: g.invoke(lab.Command(resume=a), thread(str(n))))
        )
    return results
