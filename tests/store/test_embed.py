"""What a store takes as an embedding."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding

from threadkeep.store.base import Embeddings, ensure_embeddings


def lengths(texts: Sequence[str]) -> list[list[float]]:
    """One number for each text."""
    return [[float(len(text))] for text in texts]


async def later(texts: Sequence[str]) -> list[list[float]]:
    """The same, awaited."""
    return lengths(texts)


class Later:
    """An object that is called, and then awaited."""

    async def __call__(self, texts: Sequence[str]) -> list[list[float]]:
        return lengths(texts)


async def test_a_function_of_texts_embeds_documents_and_queries() -> None:
    made = ensure_embeddings(lengths)
    assert isinstance(made, Embeddings)
    assert made.embed_documents(["a", "bb"]) == [[1.0], [2.0]]
    assert made.embed_query("ccc") == [3.0]
    assert await made.aembed_documents(["a", "bb"]) == [[1.0], [2.0]]
    assert await made.aembed_query("ccc") == [3.0]


@pytest.mark.parametrize("function", [later, Later()], ids=["function", "object"])
async def test_an_async_function_embeds_in_async_operations_only(function: Any) -> None:
    made = ensure_embeddings(function)
    assert await made.aembed_documents(["a", "bb"]) == [[1.0], [2.0]]
    assert await made.aembed_query("ccc") == [3.0]
    for call in (lambda: made.embed_documents(["a"]), lambda: made.embed_query("a")):
        with pytest.raises(ValueError, match="embeds with an async function"):
            call()


async def test_a_sync_function_does_not_hold_up_the_event_loop() -> None:
    entered, leave = threading.Event(), threading.Event()

    def slow(texts: Sequence[str]) -> list[list[float]]:
        entered.set()
        assert leave.wait(30)
        return lengths(texts)

    asked = asyncio.ensure_future(ensure_embeddings(slow).aembed_query("a"))
    while not entered.is_set():
        await asyncio.sleep(0)
    leave.set()
    assert await asked == [1.0]


def test_embeddings_of_langchain_are_taken_as_they_are() -> None:
    theirs = DeterministicFakeEmbedding(size=4)
    made: Any = ensure_embeddings(theirs)
    assert made is theirs


def test_own_embeddings_are_taken_as_they_are() -> None:
    class Own(Embeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return lengths(texts)

        def embed_query(self, text: str) -> list[float]:
            return [0.0]

    own = Own()
    assert ensure_embeddings(own) is own
    assert asyncio.run(own.aembed_query("a")) == [0.0]


@pytest.mark.parametrize("embed", [None, 5, [1.0]])
def test_anything_else_is_refused(embed: Any) -> None:
    with pytest.raises(ValueError, match="embed must be a function from texts to vectors"):
        ensure_embeddings(embed)


def test_a_provider_is_loaded_by_langchain(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    theirs = DeterministicFakeEmbedding(size=4)
    package, module = ModuleType("langchain"), ModuleType("langchain.embeddings")

    def init_embeddings(name: str) -> Any:
        asked.append(name)
        return theirs

    module.init_embeddings = init_embeddings  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "langchain", package)
    monkeypatch.setitem(sys.modules, "langchain.embeddings", module)
    made: Any = ensure_embeddings("openai:text-embedding-3-small")
    assert made is theirs and asked == ["openai:text-embedding-3-small"]


def test_without_langchain_a_provider_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "langchain.embeddings", None)
    monkeypatch.setitem(sys.modules, "langchain", None)
    with pytest.raises(ImportError, match=r"pip install langchain langchain-openai\), or give"):
        ensure_embeddings("openai:text-embedding-3-small")
