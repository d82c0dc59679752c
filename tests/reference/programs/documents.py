"""The example programs of the documents, with deterministic functions where they call a model."""

import operator
from typing import Annotated, Any, Literal, NotRequired, TypedDict

from tests.reference.lab import Lab, brief, sources, thread


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
    workflow.add_conditional_edges("generate_joke", check_punchline, {"Fail": "improve_joke", "Pass": lab.END})
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
    builder.add_node("orchestrator", lambda s: {"sections": [{"name": f"{s['topic']} {n}"} for n in (1, 2, 3)]})
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
    builder.add_node("generator", lambda s: {"joke": _model(f"{s['topic']} {s.get('feedback', '')}" + s.get("joke", ""))})
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
        return {"messages": [ToolMessage(str(sum(c["args"].values())), tool_call_id=c["id"], id="t1") for c in calls]}

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
    return [chunks, graph.graph.get_graph().draw_mermaid().split("\n"), brief(graph.state(thread()))["values"]]


def approve_or_reject(lab: Lab) -> Any:
    class State(TypedDict):
        action_details: str
        status: str | None

    def approval(state: Any) -> Any:
        decision = lab.interrupt({"question": "Approve this action?", "details": state["action_details"]})
        return lab.Command(goto="proceed" if decision else "cancel")

    builder = lab.StateGraph(State)
    builder.add_node("approval", approval, destinations=("proceed", "cancel"))
    builder.add_node("proceed", lambda s: {"status": "approved"})
    builder.add_node("cancel", lambda s: {"status": "rejected"})
    builder.add_edge(lab.START, "approval")
    builder.add_edge("proceed", lab.END)
    builder.add_edge("cancel", lab.END)
    graph = lab.compile(builder, checkpointer=lab.saver())
    results = []
    for name, answer in (("yes", True), ("no", False)):
        results.append(graph.invoke({"action_details": "Transfer $500", "status": "pending"}, thread(name)))
        results.append(graph.invoke(lab.Command(resume=answer), thread(name)))
    return results


def review_and_edit(lab: Lab) -> Any:
    class State(TypedDict):
        generated_text: str

    def review(state: Any) -> Any:
        question = {"instruction": "Review and edit this content", "content": state["generated_text"]}
        return {"generated_text": lab.interrupt(question)}

    builder = lab.StateGraph(State)
    builder.add_node("review", review)
    builder.add_edge(lab.START, "review")
    builder.add_edge("review", lab.END)
    graph = lab.compile(builder, checkpointer=lab.saver())
    first = graph.invoke({"generated_text": "Initial draft"}, thread())
    return [first, graph.invoke(lab.Command(resume="Improved draft after review"), thread())]


def approval_inside_a_tool(lab: Lab) -> Any:
    def send_email(to: str, subject: str) -> str:
        response = lab.interrupt({"action": "send_email", "to": to, "subject": subject})
        if response.get("action") == "approve":
            return f"Email sent to {response.get('to', to)}: {response.get('subject', subject)}"
        return "Email cancelled by user"

    class State(TypedDict):
        messages: list[dict[str, str]]

    def agent(state: Any) -> Any:
        return {"messages": [*state["messages"], {"role": "tool", "content": send_email("alice", "Meeting")}]}

    builder = lab.StateGraph(State)
    builder.add_node("agent", agent)
    builder.add_edge(lab.START, "agent")
    graph = lab.compile(builder, checkpointer=lab.saver())
    first = graph.invoke({"messages": [{"role": "user", "content": "Send it"}]}, thread())
    answer = {"action": "approve", "subject": "Updated subject"}
    return [first, graph.invoke(lab.Command(resume=answer), thread())]


def validated_age(lab: Lab) -> Any:
    class State(TypedDict):
        age: int | None

    def collect(state: Any) -> Any:
        prompt = "What is your age?"
        while True:
            answer = lab.interrupt(prompt)
            if isinstance(answer, int) and answer > 0:
                return {"age": answer}
            prompt = f"{answer!r} is not a valid age."

    builder = lab.StateGraph(State)
    builder.add_node("collect_age", collect)
    builder.add_edge(lab.START, "collect_age")
    builder.add_edge("collect_age", lab.END)
    graph = lab.compile(builder, checkpointer=lab.saver())
    return [graph.invoke(given, thread()) for given in ({"age": None}, *(lab.Command(resume=a) for a in ("thirty", 30)))]


def _joke_graph(lab: Lab) -> Any:
    class State(TypedDict):
        topic: NotRequired[str]
        joke: NotRequired[str]

    builder = lab.StateGraph(State)
    builder.add_node("generate_topic", lambda s: {"topic": "socks"})
    builder.add_node("write_joke", lambda s: {"joke": _model(s["topic"])})
    builder.add_edge(lab.START, "generate_topic")
    builder.add_edge("generate_topic", "write_joke")
    builder.add_edge("write_joke", lab.END)
    return lab.compile(builder, checkpointer=lab.saver())


def time_travel(lab: Lab) -> Any:
    graph = _joke_graph(lab)
    first = graph.invoke({}, thread())
    states = graph.history(thread())
    config = graph.update(states[1].config, values={"topic": "chickens"})
    second = graph.invoke(None, config)
    return [first, [s.next for s in states], states[1].values, config, second, sources(graph, thread())]


def nodes_called_alone(lab: Lab) -> Any:
    graph = _joke_graph(lab).graph
    if lab.colour == "sync":
        return [graph.nodes["generate_topic"].invoke({}), graph.nodes["write_joke"].invoke({"topic": "x"})]
    return [lab.wait(graph.nodes[n].ainvoke({"topic": "x"})) for n in ("generate_topic", "write_joke")]


def partial_execution(lab: Lab) -> Any:
    class MyState(TypedDict):
        my_key: str

    builder = lab.StateGraph(MyState)
    names = ["node1", "node2", "node3", "node4"]
    for name in names:
        builder.add_node(name, lambda s, name=name: {"my_key": f"hello from {name}"})
    builder.add_edge(lab.START, "node1")
    for start, end in zip(names, [*names[1:], lab.END], strict=True):
        builder.add_edge(start, end)
    graph = lab.compile(builder, checkpointer=lab.saver())
    graph.update(thread(), values={"my_key": "initial_value"}, as_node="node1")
    result = graph.invoke(None, config=thread(), interrupt_after="node3")
    return [result, graph.state(thread()).next]


def subgraph_called_in_a_node(lab: Lab) -> Any:
    class SubgraphState(TypedDict):
        bar: str
        baz: str

    class ParentState(TypedDict):
        foo: str

    inner = lab.StateGraph(SubgraphState)
    inner.add_node("subgraph_node_1", lambda s: {"baz": "baz"})
    inner.add_node("subgraph_node_2", lambda s: {"bar": s["bar"] + s["baz"]})
    inner.add_edge(lab.START, "subgraph_node_1")
    inner.add_edge("subgraph_node_1", "subgraph_node_2")
    subgraph = inner.compile()
    builder = lab.StateGraph(ParentState)
    builder.add_node("node_1", lambda s: {"foo": "hi! " + s["foo"]})
    builder.add_node("node_2", lambda s: {"foo": subgraph.invoke({"bar": s["foo"]})["bar"]})
    builder.add_edge(lab.START, "node_1")
    builder.add_edge("node_1", "node_2")
    return lab.compile(builder).stream({"foo": "foo"}, subgraphs=True)


def subgraph_called_two_levels_deep(lab: Lab) -> Any:
    class Grandchild(TypedDict):
        my_grandchild_key: str

    class Child(TypedDict):
        my_child_key: str

    class Parent(TypedDict):
        my_key: str

    grandchild = lab.StateGraph(Grandchild)
    grandchild.add_node("grandchild_1", lambda s: {"my_grandchild_key": s["my_grandchild_key"] + ", how are you"})
    grandchild.add_edge(lab.START, "grandchild_1")
    low = grandchild.compile()
    child = lab.StateGraph(Child)
    child.add_node(
        "child_1",
        lambda s: {
            "my_child_key": low.invoke({"my_grandchild_key": s["my_child_key"]})["my_grandchild_key"] + " today?"
        },
    )
    child.add_edge(lab.START, "child_1")
    middle = child.compile()
    parent = lab.StateGraph(Parent)
    parent.add_node("parent_1", lambda s: {"my_key": "hi " + s["my_key"]})
    parent.add_node("child", lambda s: {"my_key": middle.invoke({"my_child_key": s["my_key"]})["my_child_key"]})
    parent.add_node("parent_2", lambda s: {"my_key": s["my_key"] + " bye!"})
    parent.add_edge(lab.START, "parent_1")
    parent.add_edge("parent_1", "child")
    parent.add_edge("child", "parent_2")
    parent.add_edge("parent_2", lab.END)
    return lab.compile(parent).stream({"my_key": "Bob"}, subgraphs=True)


def subgraph_with_a_shared_key(lab: Lab) -> Any:
    class SubgraphState(TypedDict):
        foo: str
        bar: str

    class ParentState(TypedDict):
        foo: str

    inner = lab.StateGraph(SubgraphState)
    inner.add_node("subgraph_node_1", lambda s: {"bar": "bar"})
    inner.add_node("subgraph_node_2", lambda s: {"foo": s["foo"] + s["bar"]})
    inner.add_edge(lab.START, "subgraph_node_1")
    inner.add_edge("subgraph_node_1", "subgraph_node_2")
    builder = lab.StateGraph(ParentState)
    builder.add_node("node_1", lambda s: {"foo": "hi! " + s["foo"]})
    builder.add_node("node_2", inner.compile())
    builder.add_edge(lab.START, "node_1")
    builder.add_edge("node_1", "node_2")
    graph = lab.compile(builder)
    return [graph.stream({"foo": "foo"}), graph.stream({"foo": "foo"}, stream_mode="updates", subgraphs=True)]


def subgraph_paused_and_viewed(lab: Lab) -> Any:
    class State(TypedDict):
        foo: str

    inner = lab.StateGraph(State)
    inner.add_node("subgraph_node_1", lambda s: {"foo": s["foo"] + lab.interrupt("Provide value:")})
    inner.add_edge(lab.START, "subgraph_node_1")
    builder = lab.StateGraph(State)
    builder.add_node("node_1", inner.compile())
    builder.add_edge(lab.START, "node_1")
    graph = lab.compile(builder, checkpointer=lab.saver())
    graph.invoke({"foo": ""}, thread())
    parent = brief(graph.state(thread()))
    child = brief(graph.state(thread(), subgraphs=True).tasks[0].state)
    return [parent, child, graph.invoke(lab.Command(resume="bar"), thread())]


def chat_with_short_term_memory(lab: Lab) -> Any:
    from langchain_core.messages import AIMessage

    def call_model(state: Any) -> Any:
        heard = [m.content for m in state["messages"] if m.type == "human"]
        return {"messages": AIMessage(_model(" / ".join(heard)), id=f"a{len(heard)}")}

    builder = lab.StateGraph(lab.MessagesState)
    builder.add_node("call_model", call_model)
    builder.add_edge(lab.START, "call_model")
    saver = lab.saver()
    graph = lab.compile(builder, checkpointer=saver)
    for number, text in enumerate(("hi! I'm bob", "what's my name?")):
        graph.invoke({"messages": [{"role": "user", "content": text, "id": f"h{number}"}]}, thread())
    rows = [[r.checkpoint["channel_values"], r.metadata, r.pending_writes] for r in lab.saved(saver, thread())]
    return {"state": graph.state(thread()), "history": [brief(s) for s in graph.history(thread())], "rows": rows}


def summarised_conversation(lab: Lab) -> Any:
    from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage

    schema: Any = TypedDict("schema", {"summary": str}, total=False)  # noqa: UP013
    schema.__annotations__.update(lab.MessagesState.__annotations__)

    def summarise(state: Any) -> Any:
        kept = state["messages"][-2:]
        old = state["messages"][:-2]
        summary = state.get("summary", "") + "".join(m.content for m in old)
        return {"summary": summary, "messages": [RemoveMessage(id=m.id) for m in old if m not in kept]}

    builder = lab.StateGraph(schema)
    builder.add_node("talk", lambda s: {"messages": [AIMessage("ok", id=f"a{len(s['messages'])}")]})
    builder.add_node("summarise", summarise)
    builder.add_edge(lab.START, "talk")
    builder.add_conditional_edges("talk", lambda s: "summarise" if len(s["messages"]) > 3 else lab.END)
    graph = lab.compile(builder, checkpointer=lab.saver())
    turns = [HumanMessage(text, id=f"h{text}") for text in ("one", "two", "three")]
    return [graph.invoke({"messages": [turn]}, thread()) for turn in turns]


def thread_deleted(lab: Lab) -> Any:
    saver = lab.saver()
    graph = lab.compile(_joke_graph(lab).graph.builder, checkpointer=saver)
    graph.invoke({}, thread())
    if lab.colour == "sync":
        saver.delete_thread("1")
    else:
        lab.wait(saver.adelete_thread("1"))
    return [graph.state(thread()).values, graph.history(thread()), graph.invoke({}, thread())]


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
    builder.add_sequence([(n, step(n, p)) for n, p in (("step_one", 33), ("step_two", 66), ("step_three", 100))])
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
