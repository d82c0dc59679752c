"""The workflows of the documents: chaining, routing, workers, agents; plain functions stand for models."""

import operator
from typing import Annotated, Any, Literal, TypedDict

from tests.reference.lab import Lab, brief, thread


def _model(prompt: str) -> str:
    """Stands for a chat model: an answer that depends on the question only."""
    return f"<{prompt}>"


def quick_stream_of_updates(lab: Lab) -> Any:
    class State(TypedDict):
        topic: str
        joke: str

    builder = lab.StateGraph(State)
    builder.add_node("refine_topic", lambda s: {"topic": s["topic"] + " and cats"})
    builder.add_node("generate_joke", lambda s: {"joke": f"This is a joke about {s['topic']}"})
    builder.add_edge(lab.START, "refine_topic")
    builder.add_edge("refine_topic", "generate_joke")
    builder.add_edge("generate_joke", lab.END)
    graph = lab.compile(builder)
    given = {"topic": "ice cream"}
    return [graph.stream(given, stream_mode=mode) for mode in ("updates", "values", "debug")]


def prompt_chaining(lab: Lab) -> Any:
    class State(TypedDict):
        topic: str
        joke: str
        improved_joke: str
        final_joke: str

    def check_punchline(state: Any) -> str:
        return "Pass" if "!" in state["joke"] else "Fail"

    workflow = lab.StateGraph(State)
    workflow.add_node("generate_joke", lambda s: {"joke": _model(s["topic"])})
    workflow.add_node("improve_joke", lambda s: {"improved_joke": _model(s["joke"])})
    workflow.add_node("polish_joke", lambda s: {"final_joke": _model(s["improved_joke"])})
    workflow.add_edge(lab.START, "generate_joke")
    workflow.add_conditional_edges(
        "generate_joke", check_punchline, {"Fail": "improve_joke", "Pass": lab.END}
    )
    workflow.add_edge("improve_joke", "polish_joke")
    workflow.add_edge("polish_joke", lab.END)
    chain = lab.compile(workflow)
    drawn = chain.graph.get_graph().draw_mermaid()
    return [chain.invoke({"topic": "cats"}), chain.invoke({"topic": "dogs!"}), drawn.split("\n")]


def parallelization(lab: Lab) -> Any:
    class State(TypedDict):
        topic: str
        joke: str
        story: str
        poem: str
        combined_output: str

    def aggregator(state: Any) -> Any:
        return {"combined_output": "|".join(state[k] for k in ("story", "joke", "poem"))}

    builder = lab.StateGraph(State)
    for name, key in (("call_llm_1", "joke"), ("call_llm_2", "story"), ("call_llm_3", "poem")):
        builder.add_node(name, lambda s, key=key: {key: _model(f"{key} about {s['topic']}")})
        builder.add_edge(lab.START, name)
        builder.add_edge(name, "aggregator")
    builder.add_node("aggregator", aggregator)
    builder.add_edge("aggregator", lab.END)
    return lab.compile(builder).invoke({"topic": "cats"})


def routing(lab: Lab) -> Any:
    class State(TypedDict):
        input: str
        decision: str
        output: str

    builder = lab.StateGraph(State)
    for number, kind in enumerate(("story", "joke", "poem"), 1):
        builder.add_node(f"llm_call_{number}", lambda s, kind=kind: {"output": f"{kind}: {s['input']}"})
        builder.add_edge(f"llm_call_{number}", lab.END)
    builder.add_node("router", lambda s: {"decision": s["input"].split()[0]})
    builder.add_edge(lab.START, "router")
    targets = {"story": "llm_call_1", "joke": "llm_call_2", "poem": "llm_call_3"}
    builder.add_conditional_edges(
        "router", lambda s: targets[s["decision"]], {f"llm_call_{n}": f"llm_call_{n}" for n in (1, 2, 3)}
    )
    graph = lab.compile(builder)
    return [graph.invoke({"input": f"{kind} about cats"}) for kind in targets]


def orchestrator_worker(lab: Lab) -> Any:
    class State(TypedDict):
        topic: str
        sections: list[dict[str, str]]
        completed_sections: Annotated[list[str], operator.add]
        final_report: str

    class WorkerState(TypedDict):
        section: dict[str, str]
        completed_sections: Annotated[list[str], operator.add]

    def llm_call(state: WorkerState) -> Any:
        return {"completed_sections": [_model(state["section"]["name"])]}

    builder = lab.StateGraph(State)
    builder.add_node(
        "orchestrator", lambda s: {"sections": [{"name": f"{s['topic']} {n}"} for n in (1, 2, 3)]}
    )
    builder.add_node("llm_call", llm_call)
    builder.add_node("synthesizer", lambda s: {"final_report": "\n".join(s["completed_sections"])})
    builder.add_edge(lab.START, "orchestrator")
    builder.add_conditional_edges(
        "orchestrator", lambda s: [lab.Send("llm_call", {"section": x}) for x in s["sections"]], ["llm_call"]
    )
    builder.add_edge("llm_call", "synthesizer")
    builder.add_edge("synthesizer", lab.END)
    graph = lab.compile(builder)
    return [graph.invoke({"topic": "laws"}), graph.graph.get_graph().draw_mermaid().split("\n")]


def evaluator_optimizer(lab: Lab) -> Any:
    class State(TypedDict):
        joke: str
        topic: str
        feedback: str
        funny_or_not: str

    def evaluate(state: Any) -> Any:
        funny = len(state["joke"]) > 20
        return {"funny_or_not": "funny" if funny else "not funny", "feedback": "longer"}

    builder = lab.StateGraph(State)
    builder.add_node(
        "generator", lambda s: {"joke": _model(f"{s['topic']} {s.get('feedback', '')}" + s.get("joke", ""))}
    )
    builder.add_node("evaluator", evaluate)
    builder.add_edge(lab.START, "generator")
    builder.add_edge("generator", "evaluator")
    builder.add_conditional_edges(
        "evaluator",
        lambda s: "Accepted" if s["funny_or_not"] == "funny" else "Rejected + Feedback",
        {"Accepted": lab.END, "Rejected + Feedback": "generator"},
    )
    return lab.compile(builder).stream({"topic": "Cats"}, stream_mode=["updates", "values"])


def agent_with_tools(lab: Lab) -> Any:
    from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

    def llm_call(state: Any) -> Any:
        if isinstance(state["messages"][-1], ToolMessage):
            return {"messages": [AIMessage(f"It is {state['messages'][-1].content}.", id="a2")]}
        calls = [{"name": "add", "args": {"a": 3, "b": 4}, "id": "call-1"}]
        return {"messages": [AIMessage("", tool_calls=calls, id="a1")]}

    def tool_node(state: Any) -> Any:
        calls = state["messages"][-1].tool_calls
        return {
            "messages": [
                ToolMessage(str(sum(c["args"].values())), tool_call_id=c["id"], id="t1") for c in calls
            ]
        }

    def should_continue(state: Any) -> Literal["tool_node", "__end__"]:
        return "tool_node" if state["messages"][-1].tool_calls else "__end__"

    builder = lab.StateGraph(lab.MessagesState)
    builder.add_node("llm_call", llm_call)
    builder.add_node("tool_node", tool_node)
    builder.add_edge(lab.START, "llm_call")
    builder.add_conditional_edges("llm_call", should_continue, ["tool_node", lab.END])
    builder.add_edge("tool_node", "llm_call")
    graph = lab.compile(builder, checkpointer=lab.saver())
    chunks = graph.stream({"messages": [HumanMessage("Add 3 and 4.", id="h1")]}, thread())
    return [
        chunks,
        graph.graph.get_graph().draw_mermaid().split("\n"),
        brief(graph.state(thread()))["values"],
    ]


def progress_reported(lab: Lab) -> Any:
    class State(TypedDict, total=False):
        progress: int
        result: str

    def step(name: str, percent: int) -> Any:
        def node(state: Any) -> Any:
            lab.get_stream_writer()({"status": name, "progress": percent})
            return {"progress": percent}

        return node

    builder = lab.StateGraph(State)
    builder.add_sequence(
        [(n, step(n, p)) for n, p in (("step_one", 33), ("step_two", 66), ("step_three", 100))]
    )
    builder.add_edge(lab.START, "step_one")
    builder.add_edge("step_three", lab.END)
    return lab.compile(builder).stream({"progress": 0}, stream_mode=["updates", "custom"])


def support_emails(lab: Lab) -> Any:
    """Classify, look up, draft, ask a person when it is urgent, send."""

    class State(TypedDict, total=False):
        email: str
        urgency: str
        found: Annotated[list[str], operator.add]
        draft: str
        sent: str

    def classify(state: Any) -> Any:
        urgent = "now" in state["email"]
        goto = ["search", "ticket"] if urgent else ["search"]
        return lab.Command(update={"urgency": "high" if urgent else "low"}, goto=goto)

    def draft(state: Any) -> Any:
        text = f"Re {state['email']}: {', '.join(state['found'])}"
        return lab.Command(update={"draft": text}, goto="review" if state["urgency"] == "high" else "send")

    def review(state: Any) -> Any:
        decision = lab.interrupt({"draft": state["draft"], "urgency": state["urgency"]})
        if not decision["approved"]:
            return lab.Command(update={}, goto=lab.END)
        return lab.Command(update={"draft": decision.get("edited", state["draft"])}, goto="send")

    builder = lab.StateGraph(State)
    builder.add_node("classify", classify, destinations=("search", "ticket"))
    builder.add_node("search", lambda s: lab.Command(update={"found": ["docs"]}, goto="draft"))
    builder.add_node("ticket", lambda s: lab.Command(update={"found": ["ticket 7"]}, goto="draft"))
    builder.add_node("draft", draft)
    builder.add_node("review", review)
    builder.add_node("send", lambda s: {"sent": s["draft"]})
    builder.add_edge(lab.START, "classify")
    graph = lab.compile(builder, checkpointer=lab.saver())
    results = [graph.invoke({"email": "calm", "found": []}, thread("calm"))]
    for name, answer in (("ok", {"approved": True, "edited": "better"}), ("no", {"approved": False})):
        results.append(graph.invoke({"email": "now!", "found": []}, thread(name)))
        results.append(graph.invoke(lab.Command(resume=answer), thread(name)))
    return results
