"""Namespaces: what they may be, how they match, how they are listed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract_store.backends import Store
from threadkeep.store.base import (
    InvalidNamespaceError,
    InvalidOpError,
    ListNamespacesOp,
    MatchCondition,
    PutOp,
    SearchOp,
)

SPACES = [
    ("a", "b", "c"),
    ("a", "b", "d", "e"),
    ("a", "x"),
    ("acme",),
    ("acme-corp",),
    ("b", "c"),
]


@pytest.fixture
async def spaces(store: Store) -> Store:
    """A store with an item in each of `SPACES`."""
    await store.batch([PutOp(space, "k", {"space": list(space)}) for space in reversed(SPACES)])
    return store


async def test_namespaces_are_listed_in_order(spaces: Store) -> None:
    assert await spaces.list_namespaces() == SPACES
    assert all(type(space) is tuple for space in await spaces.list_namespaces())


MATCHES: list[tuple[dict[str, Any], list[tuple[str, ...]]]] = [
    ({"prefix": ("a",)}, SPACES[:3]),
    ({"prefix": ("a", "b")}, SPACES[:2]),
    ({"prefix": ("acme",)}, [("acme",)]),
    ({"prefix": ("a", "*", "c")}, [("a", "b", "c")]),
    ({"prefix": ("*", "b")}, SPACES[:2]),
    ({"prefix": ("*",)}, SPACES),
    ({"prefix": ("*", "*", "*")}, SPACES[:2]),
    ({"prefix": ()}, SPACES),
    ({"prefix": ("b", "c", "d")}, []),
    ({"suffix": ("c",)}, [("a", "b", "c"), ("b", "c")]),
    ({"suffix": ("*", "c")}, [("a", "b", "c"), ("b", "c")]),
    ({"suffix": ("b", "*")}, [("a", "b", "c"), ("b", "c")]),
    ({"suffix": ("a", "b", "c")}, [("a", "b", "c")]),
    ({"prefix": ("a",), "suffix": ("e",)}, [("a", "b", "d", "e")]),
    ({"prefix": ("a",), "suffix": ("e",), "max_depth": 3}, [("a", "b", "d")]),
    ({"prefix": ("b", "c"), "suffix": ("b", "c")}, [("b", "c")]),
    ({"max_depth": 1}, [("a",), ("acme",), ("acme-corp",), ("b",)]),
    ({"max_depth": 2}, [("a", "b"), ("a", "x"), ("acme",), ("acme-corp",), ("b", "c")]),
    ({"max_depth": 2, "limit": 2, "offset": 1}, [("a", "x"), ("acme",)]),
    ({"limit": 2}, SPACES[:2]),
    ({"limit": 0}, []),
    ({"offset": 4}, SPACES[4:]),
    ({"offset": 99}, []),
    ({"match": ("a",)}, SPACES[:3]),
    ({"match": ("a",), "suffix": ("x",)}, [("a", "x")]),
]


async def test_namespaces_match_label_by_label(spaces: Store) -> None:
    found = [(asked, await spaces.list_namespaces(**asked)) for asked, _ in MATCHES]
    assert found == MATCHES


async def test_every_condition_of_the_operation_must_hold(spaces: Store) -> None:
    conditions = (MatchCondition("prefix", ("a",)), MatchCondition("suffix", ("c",)))
    assert await spaces.batch([ListNamespacesOp(conditions)]) == [[("a", "b", "c")]]
    assert await spaces.batch([ListNamespacesOp(None, 1, 1, 1)]) == [[("acme",)]]
    assert await spaces.batch([ListNamespacesOp()]) == [SPACES]


async def test_a_namespace_is_listed_while_it_holds_items(store: Store) -> None:
    assert await store.list_namespaces() == []
    await store.put(("a",), "1", {})
    await store.put(("a",), "2", {})
    await store.get(("never", "put"), "k")
    await store.search(("never",))
    assert await store.list_namespaces() == [("a",)]
    await store.delete(("a",), "1")
    assert await store.list_namespaces() == [("a",)]
    await store.delete(("a",), "2")
    assert await store.list_namespaces() == []


async def test_a_search_finds_whole_labels_of_the_prefix_and_what_lies_below(spaces: Store) -> None:
    async def found(*prefix: str) -> list[tuple[str, ...]]:
        return sorted(item.namespace for item in await spaces.search(prefix))

    assert await found("acme") == [("acme",)]
    assert await found("a") == SPACES[:3]
    assert await found("a", "b", "d", "e") == [("a", "b", "d", "e")]
    assert await found() == SPACES
    assert await found("*") == []


async def test_labels_may_hold_anything_but_periods(store: Store) -> None:
    labels = [
        "%",
        "_",
        "*",
        "a%",
        "a_",
        "ab",
        "a/b",
        "日本",
        "'",
        '"',
        "\\",
        " ",
        "{}",
        "a,b",
        "NULL",
        "n\0l",
    ]
    for label in labels:
        await store.put((label,), "k", {"label": label})
        await store.put(("below", label), "k", {"label": label})
    for label in labels:
        assert (await store.get((label,), "k")).value == {"label": label}
        assert [item.namespace for item in await store.search((label,))] == [(label,)]
        assert [item.namespace for item in await store.search(("below", label))] == [("below", label)]
        if label != "*":
            assert await store.list_namespaces(prefix=(label,)) == [(label,)]
            assert await store.list_namespaces(suffix=("below", label)) == [("below", label)]
    assert await store.list_namespaces(prefix=("below",)) == sorted(("below", label) for label in labels)


UNUSABLE: list[tuple[Any, str]] = [
    (("a.b",), "must not contain a period: 'a.b'"),
    (("a", ""), "must not be empty"),
    (("a", 1), "must be strings, not int"),
    (("a", None), "must be strings, not NoneType"),
    ((["a"],), "must be strings, not list"),
    (("\ud800",), "without lone surrogates"),
    ("abc", "must be a tuple of strings, not str"),
    (["a"], "must be a tuple of strings, not list"),
    (None, "must be a tuple of strings, not NoneType"),
]


async def test_a_namespace_that_cannot_be_is_refused(store: Store, subtests: pytest.Subtests) -> None:
    for namespace, said in UNUSABLE:
        with subtests.test(namespace=namespace):
            calls: list[tuple[str, tuple[Any, ...]]] = [
                ("put", (namespace, "k", {})),
                ("get", (namespace, "k")),
                ("delete", (namespace, "k")),
                ("search", (namespace,)),
                ("batch", ([PutOp(("fine",), "k", {}), SearchOp(namespace)],)),
            ]
            for name, arguments in calls:
                with pytest.raises(InvalidNamespaceError, match=said):
                    await store.call(name, *arguments)
    assert await store.list_namespaces() == []


@pytest.mark.parametrize("namespace", [(), ("threadkeep",), ("threadkeep", "x")])
async def test_items_live_neither_at_the_root_nor_in_the_reserved_namespace(
    store: Store, namespace: tuple[str, ...]
) -> None:
    with pytest.raises(InvalidNamespaceError, match=r"must not be (empty|'threadkeep')"):
        await store.put(namespace, "k", {})
    await store.put(("x", "threadkeep"), "k", {})
    assert await store.search(("threadkeep",)) == []


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"limit": -1}, "limit must be an integer from 0 on"),
        ({"offset": -1}, "offset must be an integer from 0 on"),
        ({"max_depth": 0}, "max_depth must be an integer from 1 on"),
        ({"prefix": ("a.b",)}, "must not contain a period"),
    ],
)
async def test_a_list_that_cannot_be_is_refused(store: Store, asked: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidOpError, match=said):
        await store.list_namespaces(**asked)
    with pytest.raises(InvalidOpError, match="match_type must be 'prefix' or 'suffix'"):
        await store.batch([ListNamespacesOp((MatchCondition("infix", ("a",)),))])  # type: ignore[arg-type]
