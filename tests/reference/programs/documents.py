"""The example programs of the documents, with deterministic functions where they call a model."""

from typing import Any, NotRequired, TypedDict

from tests.reference.lab import Lab, brief, sources, thread, with_keys


def _model(prompt: str) -> str:
    """Stands for a chat model: an answer that depends on the question only."""
    return f"<{prompt}>"


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
    return [
        graph.invoke(given, thread())
        for given in ({"age": None}, *(lab.Command(resume=a) for a in ("thirty", 30)))
    ]


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
    grandchild.add_node(
        "grandchild_1", lambda s: {"my_grandchild_key": s["my_grandchild_key"] + ", how are you"}
    )
    grandchild.add_edge(lab.START, "grandchild_1")
    low = grandchild.compile()
    child = lab.StateGraph(Child)
    child.add_node(
        "child_1",
        lambda s: {
            "my_child_key": low.invoke({"my_grandchild_key": s["my_child_key"]})["my_grandchild_key"]
            + " today?"
        },
    )
    child.add_edge(lab.START, "child_1")
    middle = child.compile()
    parent = lab.StateGraph(Parent)
    parent.add_node("parent_1", lambda s: {"my_key": "hi " + s["my_key"]})
    parent.add_node(
        "child", lambda s: {"my_key": middle.invoke({"my_child_key": s["my_key"]})["my_child_key"]}
    )
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
    rows = [
        [r.checkpoint["channel_values"], r.metadata, r.pending_writes] for r in lab.saved(saver, thread())
    ]
    return {
        "state": graph.state(thread()),
        "history": [brief(s) for s in graph.history(thread())],
        "rows": rows,
    }


def summarised_conversation(lab: Lab) -> Any:
    from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage

    schema = with_keys(lab.MessagesState, summary=str)

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
