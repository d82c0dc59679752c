"""Stores: items, namespaces, filters, search by meaning, and a store in a graph. Times are left out."""

from dataclasses import dataclass
from typing import Any, TypedDict

from tests.reference.lab import Lab, thread

HOME = ("user_123", "memories")


class _Calls:
    """The methods of a store in the lab's colour."""

    def __init__(self, lab: Lab, store: Any) -> None:
        self._lab = lab
        self._store = store

    def __getattr__(self, name: str) -> Any:
        if self._lab.colour == "sync":
            return getattr(self._store, name)
        twin = getattr(self._store, f"a{name}")
        return lambda *args, **options: self._lab.wait(twin(*args, **options))


def _store(lab: Lab, **options: Any) -> _Calls:
    return _Calls(lab, lab.InMemoryStore(**options))


def _seen(item: Any) -> Any:
    if isinstance(item, list):
        return [_seen(each) for each in item]
    if item is None or isinstance(item, tuple):
        return item
    shown = [type(item).__name__, item.namespace, item.key, item.value]
    return [*shown, round(item.score, 6)] if getattr(item, "score", None) is not None else shown


def _sorted(items: Any) -> Any:
    return sorted(_seen(items), key=repr)


def put_get_and_delete(lab: Lab) -> Any:
    store = _store(lab)
    results = [store.put(HOME, "1", {"food": "I like pizza"}), _seen(store.get(HOME, "1"))]
    results += [store.get(HOME, "2"), store.get(("user_123",), "1"), store.get((*HOME, "x"), "1")]
    store.put(HOME, "1", {"other": [1, {"a": None}]})
    results.append(_seen(store.get(HOME, "1")))
    results += [store.delete(HOME, "1"), store.get(HOME, "1"), store.delete(HOME, "1"), store.search(HOME)]
    return results


def an_item_as_a_dict(lab: Lab) -> Any:
    store = _store(lab)
    store.put(HOME, "1", {"a": 1})
    item, found = store.get(HOME, "1"), store.search(HOME)[0]
    shown = [{k: v for k, v in each.dict().items() if not k.endswith("_at")} for each in (item, found)]
    return [
        shown,
        sorted(item.dict()),
        item.created_at <= item.updated_at,
        item.created_at.tzinfo is not None,
    ]


def items_are_equal_by_what_they_hold(lab: Lab) -> Any:
    store = _store(lab)
    store.put(HOME, "1", {"a": 1})
    store.put(HOME, "2", {"a": 1})
    one, again, other = store.get(HOME, "1"), store.get(HOME, "1"), store.get(HOME, "2")
    return [one == again, one == other, one == store.search(HOME)[0], hash(one) == hash(again)]


def the_newest_memory_is_the_last(lab: Lab) -> Any:
    store = _store(lab)
    for key in ("z", "a", "m"):
        store.put(HOME, key, {"k": key})
    found = store.search(HOME)
    return [_seen(found), _seen(found[-1])]


def limits_and_offsets(lab: Lab) -> Any:
    store = _store(lab)
    for n in range(12):
        store.put(HOME, f"{n:02}", {"n": n})
    asked = [{}, {"limit": 3}, {"limit": 3, "offset": 2}, {"offset": 11}, {"offset": 20}, {"limit": 50}]
    return [[item.key for item in store.search(HOME, **each)] for each in asked]


def batches(lab: Lab) -> Any:
    store = _store(lab)
    ops = [
        lab.PutOp(HOME, "1", {"n": 1}),
        lab.GetOp(HOME, "1"),
        lab.PutOp(HOME, "2", {"n": 2}),
        lab.PutOp(HOME, "1", {"n": 3}),
        lab.SearchOp(HOME),
    ]
    first = _seen(store.batch(ops))
    ops = [
        lab.GetOp(HOME, "1"),
        lab.SearchOp(HOME, {"n": 2}, 5, 0),
        lab.PutOp(HOME, "2", None),
        lab.ListNamespacesOp(),
        lab.ListNamespacesOp((lab.MatchCondition("prefix", ("user_123",)),), 1, 5, 0),
        lab.GetOp(HOME, "none"),
    ]
    return [first, _seen(store.batch(ops)), _seen(store.search(HOME)), store.batch([])]


def operations_have_defaults(lab: Lab) -> Any:
    return [
        lab.GetOp(HOME, "k"),
        lab.PutOp(HOME, "k", {"a": 1}),
        lab.ListNamespacesOp(),
        lab.SearchOp(HOME)[:6],
        lab.MatchCondition(match_type="suffix", path=("*", "a")),
    ]


def namespaces(lab: Lab) -> Any:
    store = _store(lab)
    for space in (("a", "b", "c"), ("a", "b", "d", "e"), ("a", "x"), ("acme",), ("b", "c")):
        store.put(space, "k", {"s": list(space)})
    asked: list[dict[str, Any]] = [
        {},
        {"prefix": ("a",)},
        {"prefix": ("a", "*", "c")},
        {"suffix": ("c",)},
        {"suffix": ("*", "c")},
        {"max_depth": 2},
        {"max_depth": 1},
        {"prefix": ("a",), "suffix": ("e",), "max_depth": 3},
        {"limit": 2, "offset": 1},
        {"max_depth": 2, "limit": 2, "offset": 1},
        {"prefix": ()},
        {"prefix": ("nope",)},
        {"prefix": ("acme", "*")},
    ]
    return [store.list_namespaces(**each) for each in asked]


def a_search_of_a_prefix(lab: Lab) -> Any:
    store = _store(lab)
    for space in (("a",), ("a", "b"), ("a", "b", "c"), ("ab",), ("b",)):
        store.put(space, "k", {})
    return [
        _sorted(store.search(prefix)) for prefix in ((), ("a",), ("a", "b"), ("a", "b", "c", "d"), ("c",))
    ]


def filters(lab: Lab) -> Any:
    store = _store(lab)
    values: dict[str, Any] = {
        "1": {"n": 1, "s": "a", "d": {"e": 1, "f": 2}, "l": [1, 2]},
        "2": {"n": 2, "s": "b", "d": {"e": 2, "f": 2}, "l": [1]},
        "3": {"n": 10, "s": "a", "d": {"e": 10}, "l": []},
    }
    for key, value in values.items():
        store.put(HOME, key, value)
    asked: list[dict[str, Any]] = [
        {"n": 1},
        {"s": "a", "n": 10},
        {"n": {"$eq": 2}},
        {"n": {"$ne": 2}},
        {"n": {"$gt": 2}},
        {"n": {"$gte": 2}},
        {"n": {"$lt": 10}},
        {"n": {"$lte": 1}},
        {"n": {"$gt": 1, "$lt": 10}},
        {"l": [1, 2]},
        {"l": []},
        {"d": {"e": 1}},
        {"d": {"f": 2}},
        {"d": {"e": {"$gt": 1}}},
        {"s": "nope"},
        {"nope": 1},
        {},
    ]
    return [[item.key for item in store.search(HOME, filter=each)] for each in asked]


def filters_of_other_types(lab: Lab) -> Any:
    store = _store(lab)
    for key, value in {"one": 1, "true": True, "text": "1", "null": None}.items():
        store.put(HOME, key, {"x": value})
    store.put(HOME, "missing", {})
    asked: list[Any] = [1, True, "1", None, {"$ne": 1}]
    return [[item.key for item in store.search(HOME, filter={"x": each})] for each in asked]


def an_unknown_operator(lab: Lab) -> Any:
    store = _store(lab)
    store.put(HOME, "1", {"x": 1})
    return lab.error(lambda: store.search(HOME, filter={"x": {"$near": 1}}), "$near")


def namespaces_that_cannot_be(lab: Lab) -> Any:
    store = _store(lab)
    spaces: list[Any] = [(), ("a.b",), ("a", ""), ("a", 1), (lab.root,), (lab.root, "x")]
    return [lab.error(lambda space=space: store.put(space, "k", {}), "amespace") for space in spaces]


def _embed(texts: Any) -> list[list[float]]:
    return [[float(text.lower().count(c)) for c in "aeiou"] for text in texts]


def search_by_meaning(lab: Lab) -> Any:
    store = _store(lab, index={"dims": 5, "embed": _embed})
    store.put(HOME, "1", {"text": "I love pizza"})
    store.put(HOME, "2", {"text": "I am a plumber"})
    store.put(("user_456", "memories"), "1", {"text": "pizza"})
    found = [store.search(HOME, query="I'm hungry", limit=1), store.search(HOME, query="a plumber")]
    return [_seen(each) for each in [*found, store.search((), query="pizza"), store.search(HOME)]]


def search_by_the_best_of_several_fields(lab: Lab) -> Any:
    store = _store(lab, index={"dims": 5, "embed": _embed, "fields": ["title", "notes[*].text"]})
    store.put(HOME, "1", {"title": "aaa", "notes": [{"text": "eee"}, {"text": "iii"}]})
    store.put(HOME, "2", {"title": "ee a", "notes": []})
    store.put(HOME, "3", {"title": "ooo"}, index=["title"])
    found = [store.search(HOME, query=query, limit=3) for query in ("a", "e", "i", "ee a")]
    return [[[item.key, round(item.score, 6)] for item in each] for each in found]


def search_with_a_filter(lab: Lab) -> Any:
    store = _store(lab, index={"dims": 5, "embed": _embed, "fields": ["text"]})
    for n in range(20):
        store.put(HOME, f"{n:02}", {"text": "a" * (n + 1) + "e", "even": n % 2 == 0})
    found = store.search(HOME, query="a", filter={"even": True}, limit=3)
    return [_seen(found), [item.key for item in store.search(HOME, query="e", limit=2, offset=2)]]


def a_query_without_an_index(lab: Lab) -> Any:
    store = _store(lab)
    store.put(HOME, "1", {"text": "I love pizza"})
    return _seen(store.search(HOME, query="pizza"))


def items_that_are_not_embedded(lab: Lab) -> Any:
    store = _store(lab, index={"dims": 5, "embed": _embed, "fields": ["text"]})
    store.put(HOME, "1", {"text": "a"})
    store.put(HOME, "2", {"text": "a"}, index=False)
    return [_seen(store.search(HOME, query="a")), _seen(store.search(HOME)), _seen(store.get(HOME, "2"))]


def paths(lab: Lab) -> Any:
    value = {
        "a": [{"b": "1", "c": "2"}, {"b": 3, "c": None}, "s"],
        "t": "text",
        "n": 5,
        "yes": True,
        "z": None,
        "d": {"x": {"e": "E"}, "y": {"e": "é"}},
    }
    asked = [
        "$",
        "",
        "t",
        "n",
        "yes",
        "z",
        "a",
        "a[0]",
        "a[-1]",
        "a[9]",
        "a[*]",
        "a[*].b",
        "a[0].b",
        "*",
        "d",
    ]
    asked += ["d.x.e", "d.*.e", "a.b", "t.x", "{t,n}", "a[*].{b,c}", "nope", "nope.x[*]"]
    return [[path, lab.tokenize_path(path), lab.get_text_at_path(value, path)] for path in asked]


def embeddings_of_functions(lab: Lab) -> Any:
    async def later(texts: Any) -> Any:
        return _embed(texts)

    sync = lab.ensure_embeddings(_embed)
    results = [sync.embed_documents(["a", "e"]), sync.embed_query("i")]
    if lab.colour == "async":
        made = lab.ensure_embeddings(later)
        results += [lab.wait(made.aembed_documents(["a"])), lab.wait(made.aembed_query("i"))]
        results += [lab.wait(sync.aembed_documents(["a"])), lab.wait(sync.aembed_query("i"))]
    return [results, lab.error(lambda: lab.ensure_embeddings(None))]


@dataclass
class _Context:
    user_id: str


def memories_across_threads(lab: Lab) -> Any:
    class State(TypedDict):
        message: str
        reply: str

    def call_model(state: Any, runtime: Any) -> Any:
        home = (runtime.context.user_id, "memories")
        known = runtime.store.search(home, query=state["message"], limit=3)
        if "remember" in state["message"]:
            runtime.store.put(home, f"{len(known)}", {"data": state["message"]})
        return {"reply": "\n".join(item.value["data"] for item in known)}

    builder = lab.StateGraph(State, context_schema=_Context)
    builder.add_node(call_model)
    builder.add_edge(lab.START, "call_model")
    store = lab.InMemoryStore()
    graph = lab.compile(builder, checkpointer=lab.saver(), store=store)
    said = [
        ("1", "ann", "remember: tea"),
        ("2", "ann", "what?"),
        ("3", "bob", "what?"),
        ("2", "ann", "remember: milk"),
    ]
    replies = [
        graph.invoke({"message": text}, thread(name), context=_Context(user)) for name, user, text in said
    ]
    return [replies, _seen(store.search(()))]


def a_store_in_a_subgraph_and_a_branch(lab: Lab) -> Any:
    class State(TypedDict):
        log: str

    def child(store: Any) -> None:
        store.put(("a",), "child", {"seen": len(store.search(("a",)))})

    def node(store: Any) -> None:
        store.put(("a",), "node", {"same": store is lab.get_store()})

    def branch(store: Any) -> str:
        return "inner" if store.get(("a",), "node") else lab.END

    inner = lab.StateGraph(State).add_node("child", lambda state, *, store: child(store))
    builder = lab.StateGraph(State).add_node("node", lambda state, store: node(store))
    builder.add_node("inner", inner.add_edge(lab.START, "child").compile())
    builder.add_edge(lab.START, "node")
    builder.add_conditional_edges("node", lambda state, store: branch(store), ["inner", lab.END])
    store = lab.InMemoryStore()
    result = lab.compile(builder, store=store).invoke({"log": "x"})
    return [result, _seen(store.search(()))]
