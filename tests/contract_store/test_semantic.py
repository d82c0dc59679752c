"""Search by meaning, by words and by both."""

from __future__ import annotations

from math import sqrt
from typing import Any

import pytest

from tests.contract_store.backends import Backend, Store
from tests.contract_store.embedding import DIMS, Recorded, embed
from threadkeep.store.base import InvalidOpError, PutOp, SearchOp

NS = ("m",)
NEAR = {
    "east": [1.0, 0.0],
    "north": [0.0, 1.0],
    "northeast": [1.0, 1.0],
    "west": [-2.0, 0.0],
    "far": [3.0, 4.0],
}


def recorded(**index: Any) -> dict[str, Any]:
    """Options of a store that embeds the words of `NEAR`."""
    return {"index": {"dims": 2, "embed": Recorded(NEAR), "fields": ["text"], **index}}


@pytest.fixture
def options(request: pytest.FixtureRequest) -> dict[str, Any]:
    """An index of the field "text" unless the test says otherwise."""
    index: dict[str, Any] = getattr(request, "param", {})
    return recorded(**index)


def index(**parts: Any) -> pytest.MarkDecorator:
    """Runs a test with an index of other parts."""
    return pytest.mark.parametrize("options", [parts], indirect=True, ids=[""])


async def scores(store: Store, query: str, **asked: Any) -> list[tuple[str, Any]]:
    """Keys and scores, best first."""
    found = await store.search(NS, query=query, **asked)
    return [(item.key, pytest.approx(item.score, abs=1e-6)) for item in found]


@pytest.fixture
async def points(store: Store) -> Store:
    """An item for each of `NEAR`, under its own name."""
    await store.batch([PutOp(NS, name, {"text": name, "n": n}) for n, name in enumerate(NEAR)])
    return store


@pytest.fixture
def embedding(options: dict[str, Any]) -> Recorded:
    """The embedding of the store."""
    made: Recorded = options["index"]["embed"]
    return made


async def test_the_cosine_similarity_is_the_score_best_first(points: Store) -> None:
    assert await scores(points, "east") == [
        ("east", 1.0), ("northeast", sqrt(0.5)), ("far", 0.6), ("north", 0.0), ("west", -1.0),
    ]  # fmt: skip
    assert await scores(points, "east", limit=2) == [("east", 1.0), ("northeast", sqrt(0.5))]
    assert await scores(points, "east", limit=2, offset=3) == [("north", 0.0), ("west", -1.0)]
    assert await scores(points, "east", offset=5) == []


@index(distance_type="inner_product")
async def test_the_inner_product_is_the_score(points: Store) -> None:
    assert await scores(points, "northeast") == [
        ("far", 7.0), ("northeast", 2.0), ("east", 1.0), ("north", 1.0), ("west", -2.0),
    ]  # fmt: skip


@index(distance_type="l2")
async def test_the_negative_distance_is_the_score(points: Store) -> None:
    assert await scores(points, "east") == [
        ("east", 0.0), ("northeast", -1.0), ("north", -sqrt(2)), ("west", -3.0), ("far", -sqrt(20)),
    ]  # fmt: skip


async def test_equal_scores_are_ordered_by_time_then_namespace_and_key(store: Store) -> None:
    await store.batch([PutOp((*NS, "b"), "1", {"text": "east"}), PutOp((*NS, "a"), "2", {"text": "east"})])
    store.clock.pass_by(seconds=1)
    await store.put((*NS, "a"), "1", {"text": "east"})
    found = await store.search(NS, query="east")
    assert [(item.namespace[-1], item.key) for item in found] == [("a", "2"), ("b", "1"), ("a", "1")]


async def test_a_filter_and_a_namespace_never_cost_results(points: Store) -> None:
    await points.batch([PutOp(("other",), str(n), {"text": "east", "n": -1}) for n in range(300)])
    assert [key for key, _ in await scores(points, "east", limit=5)] == [
        "east", "northeast", "far", "north", "west",
    ]  # fmt: skip
    assert await scores(points, "east", filter={"n": {"$gte": 3}}) == [("far", 0.6), ("west", -1.0)]
    found = await points.search((), query="east", filter={"n": {"$gte": 0}}, limit=5)
    assert [item.key for item in found] == ["east", "northeast", "far", "north", "west"]
    assert len(await points.search((), query="east", limit=300)) == 300
    assert len(await points.search((), query="east", limit=1000)) == 305


async def test_pages_behind_an_item_fit_together(points: Store) -> None:
    await points.batch([PutOp(NS, f"copy {n}", {"text": "northeast"}) for n in range(6)])
    everything = [item.key for item in await points.search(NS, query="east", limit=100)]
    assert len(everything) == 11
    page = await points.search(NS, query="east", limit=2)
    got = []
    while page:
        got += [item.key for item in page]
        page = await points.search(NS, query="east", limit=2, after=page[-1])
    assert got == everything


async def test_an_item_that_was_put_without_index_is_listed_but_not_found(store: Store) -> None:
    await store.put(NS, "k", {"text": "east"}, index=False)
    await store.put(NS, "blank", {"text": "  "})
    await store.put(NS, "none", {"other": "east"})
    assert await store.search(NS, query="east") == []
    assert len(await store.search(NS)) == 3
    assert len(await store.search(NS, query="")) == 3


async def test_texts_that_left_an_item_are_not_found_any_more(store: Store) -> None:
    await store.put(NS, "k", {"text": "east"})
    await store.put(NS, "k", {"text": "north"})
    assert await scores(store, "east") == [("k", 0.0)]
    await store.put(NS, "k", {"text": "east"}, index=False)
    assert await store.search(NS, query="east") == []
    await store.put(NS, "k", {"text": "east"})
    assert await scores(store, "east") == [("k", 1.0)]
    await store.delete(NS, "k")
    assert await store.search(NS, query="east") == []


@index(fields=["texts[*]", "a.b"])
async def test_the_best_text_of_an_item_decides_its_score(store: Store) -> None:
    await store.put(NS, "k", {"texts": ["west", "northeast", "north"]})
    await store.put(NS, "l", {"texts": ["west"], "a": {"b": "far"}})
    assert await scores(store, "east") == [("k", sqrt(0.5)), ("l", 0.6)]
    await store.put(NS, "k", {"texts": ["west"]})
    assert await scores(store, "east") == [("l", 0.6), ("k", -1.0)]
    assert await scores(store, "east", limit=1) == [("l", 0.6)]


@index(fields=["text"])
async def test_a_put_may_name_the_fields_to_embed(store: Store) -> None:
    await store.put(NS, "k", {"text": "west", "more": {"text": "east"}}, index=["more.text"])
    assert await scores(store, "east") == [("k", 1.0)]
    await store.put(NS, "k", {"text": "west", "more": {"text": "east"}}, index=[])
    assert await store.search(NS, query="east") == []


@pytest.mark.parametrize("options", [{"fields": None}, {"fields": ["$"]}], indirect=True, ids=["none", "$"])
async def test_the_whole_value_is_embedded_where_no_fields_are_named(
    store: Store, embedding: Recorded
) -> None:
    embedding.vectors['{"a": [1, null], "text": "é"}'] = [1.0, 0.0]
    await store.put(NS, "k", {"text": "é", "a": [1, None]})
    assert embedding.asked == ['{"a": [1, null], "text": "é"}']
    assert await scores(store, "east") == [("k", 1.0)]


async def test_unchanged_text_is_not_embedded_again(store: Store, embedding: Recorded) -> None:
    await store.put(NS, "k", {"text": "east", "n": 1})
    assert embedding.asked == ["east"]
    await store.put(NS, "k", {"text": "east", "n": 2})
    assert embedding.asked == ["east"]
    await store.put(NS, "k", {"text": "north", "n": 2})
    assert embedding.asked == ["east", "north"]
    assert await scores(store, "north") == [("k", 1.0)]


async def test_the_texts_of_a_batch_are_embedded_in_one_call_each_once(
    store: Store, embedding: Recorded
) -> None:
    names = ["east", "north", "east", "west"]
    await store.batch([PutOp(NS, str(n), {"text": name}) for n, name in enumerate(names)])
    assert (embedding.calls, sorted(embedding.asked)) == (1, ["east", "north", "west"])
    embedding.asked.clear()
    found = await store.batch([SearchOp(NS, query="east"), SearchOp(NS, query="east", limit=1)])
    assert embedding.asked == ["east"]
    assert [[item.key for item in each] for each in found] == [["0", "2", "1", "3"], ["0"]]


async def test_an_embedding_that_fails_leaves_the_store_as_it_was(store: Store, embedding: Recorded) -> None:
    await store.put(NS, "k", {"text": "east"})
    embedding.fails = True
    with pytest.raises(ConnectionError, match="no embedding today"):
        await store.batch([PutOp(NS, "k", {"text": "north"}), PutOp(NS, "unindexed", {"n": 1}, index=False)])
    assert [item.value for item in await store.search(NS)] == [{"text": "east"}]
    with pytest.raises(ConnectionError, match="no embedding today"):
        await store.search(NS, query="west")
    embedding.fails = False
    assert await scores(store, "east") == [("k", 1.0)]


async def test_an_embedding_of_the_wrong_shape_is_refused(store: Store, embedding: Recorded) -> None:
    embedding.vectors["short"] = [1.0]
    with pytest.raises(InvalidOpError, match=r"a vector of 1 numbers, but the index has dims=2; .* 'short'"):
        await store.put(NS, "k", {"text": "short"})
    embedding.vectors["not a number"] = [float("nan"), 1.0]
    with pytest.raises(InvalidOpError):
        await store.put(NS, "k", {"text": "not a number"})
    assert await store.search(NS) == []


async def test_expired_items_are_not_found_and_refreshed_ones_are(store: Store) -> None:
    await store.put(NS, "short", {"text": "east"}, ttl=5)
    await store.put(NS, "long", {"text": "north"})
    store.clock.pass_by(minutes=4)
    assert await scores(store, "east", limit=1) == [("short", 1.0)]
    store.clock.pass_by(minutes=4)
    assert await scores(store, "east", limit=1, refresh_ttl=False) == [("short", 1.0)]
    store.clock.pass_by(minutes=1)
    assert await scores(store, "east", limit=1) == [("long", 0.0)]
    assert await store.sweep_ttl() == 1
    assert await scores(store, "east") == [("long", 0.0)]


async def test_a_vector_of_zeros_is_near_nothing(store: Store, embedding: Recorded) -> None:
    embedding.vectors["zero"] = [0.0, 0.0]
    await store.put(NS, "zero", {"text": "zero"})
    await store.put(NS, "east", {"text": "east"})
    assert await scores(store, "east") == [("east", 1.0), ("zero", 0.0)]


TEXTS = {
    "pizza": "I love pizza with cheese",
    "plumber": "I am a plumber",
    "pasta": "Pasta and PIZZA, pizza, pizza!",
    "other": "Something else entirely",
}
WORDS = pytest.mark.parametrize("options", [{"embed": embed, "dims": DIMS}], indirect=True, ids=["words"])


@pytest.fixture
async def texts(store: Store) -> Store:
    """An item for each of `TEXTS`."""
    await store.batch([PutOp(NS, key, {"text": text, "n": n}) for n, (key, text) in enumerate(TEXTS.items())])
    return store


@WORDS
async def test_a_lexical_search_finds_items_that_have_one_of_the_words(texts: Store) -> None:
    found = await texts.search(NS, query="Pizza plumber", mode="lexical")
    assert {item.key for item in found} == {"pizza", "plumber", "pasta"}
    assert all(item.score > 0 for item in found)
    assert found == sorted(found, key=lambda item: -item.score)
    assert await texts.search(NS, query="pizz", mode="lexical") == []
    filtered = await texts.search(NS, query="pizza", mode="lexical", filter={"n": 0})
    assert [item.key for item in filtered] == ["pizza"]


@WORDS
async def test_a_lexical_search_follows_changes(texts: Store) -> None:
    await texts.put(NS, "pizza", {"text": "I love pasta"})
    await texts.put(NS, "pasta", {"text": "pizza"}, index=False)
    assert await texts.search(NS, query="pizza", mode="lexical") == []
    await texts.delete(NS, "pizza")
    assert await texts.search(NS, query="pasta", mode="lexical") == []


@WORDS
async def test_a_hybrid_search_fuses_both_rankings(texts: Store) -> None:
    semantic = [item.key for item in await texts.search(NS, query="pizza", limit=100)]
    lexical = [item.key for item in await texts.search(NS, query="pizza", limit=100, mode="lexical")]
    fused = await texts.search(NS, query="pizza", limit=100, mode="hybrid")
    expected = {
        key: sum(1 / (61 + ranking.index(key)) for ranking in (semantic, lexical) if key in ranking)
        for key in TEXTS
    }
    assert {item.key: item.score for item in fused} == pytest.approx(expected)
    assert [item.score for item in fused] == sorted(expected.values(), reverse=True)
    assert {item.key for item in fused[:2]} == {"pizza", "pasta"}
    assert [item.key for item in await texts.search(NS, query="pizza", mode="hybrid", limit=1, offset=3)] == [
        fused[3].key
    ]


@WORDS
async def test_pages_of_a_hybrid_search_fit_together_at_any_offset(store: Store) -> None:
    made = [PutOp(NS, str(n), {"text": f"word {'a' * (n % 40)} {n * 7 % 900}"}) for n in range(900)]
    await store.batch(made)
    by_offset, by_cursor = [], []
    for offset in range(0, 1000, 100):
        page = await store.search(NS, query="word aaa", mode="hybrid", limit=100, offset=offset)
        by_offset += [item.key for item in page]
    page = await store.search(NS, query="word aaa", mode="hybrid", limit=100)
    while page:
        by_cursor += [item.key for item in page]
        page = await store.search(NS, query="word aaa", mode="hybrid", limit=100, after=page[-1])
    assert sorted(by_offset) == sorted(str(n) for n in range(900))
    assert by_cursor == by_offset


@WORDS
async def test_near_texts_are_found_by_their_parts(texts: Store) -> None:
    found = await texts.search(NS, query="i am the plumber", limit=1)
    assert [item.key for item in found] == ["plumber"]


async def _later(texts: list[str]) -> list[list[float]]:
    return [NEAR[text] for text in texts]


@index(embed=_later)
async def test_an_async_embedding_serves_async_calls_and_no_others(store: Store, backend: Backend) -> None:
    if backend.waits:
        await store.batch([PutOp(NS, name, {"text": name}) for name in NEAR])
        assert await scores(store, "east", limit=1) == [("east", 1.0)]
    else:
        with pytest.raises(ValueError, match="embeds with an async function"):
            await store.put(NS, "k", {"text": "east"})
        assert await store.search(NS) == []
