"""What makes vectors of texts: one protocol over functions, LangChain's classes and names of providers."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar, cast

from threadkeep.store.base.paths import get_text_at_path, tokenize_path

__all__ = [
    "AEmbeddingsFunc", "Embeddings", "EmbeddingsFunc", "ensure_embeddings", "get_text_at_path",
    "tokenize_path",
]  # fmt: skip

P = TypeVar("P")
R = TypeVar("R")

EmbeddingsFunc: TypeAlias = Callable[[Sequence[str]], list[list[float]]]
"""Vectors for texts, in their order."""
AEmbeddingsFunc: TypeAlias = Callable[[Sequence[str]], Awaitable[list[list[float]]]]


class AnyEmbeddings(Protocol):
    """What LangChain's class `Embeddings` and that of this module have in common."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]: ...
    def embed_query(self, text: str) -> list[float]: ...
    async def aembed_documents(self, texts: list[str]) -> list[list[float]]: ...
    async def aembed_query(self, text: str) -> list[float]: ...


class Embeddings(ABC):
    """Makes vectors of texts. LangChain's class of this name has the same methods and is taken as well."""

    @abstractmethod
    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """A vector for each text."""

    @abstractmethod
    def embed_query(self, text: str) -> list[float]:
        """The vector of a query."""

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """As `embed_documents`, which it runs in a thread unless overridden."""
        return await _in_thread(self.embed_documents, texts)

    async def aembed_query(self, text: str) -> list[float]:
        """As `embed_query`, which it runs in a thread unless overridden."""
        return await _in_thread(self.embed_query, text)


async def _in_thread(function: Callable[[P], R], argument: P) -> R:
    from asyncio import to_thread  # sync programs do not load asyncio

    return await to_thread(function, argument)


class _Function(Embeddings):
    """A function of a list of texts."""

    def __init__(self, function: EmbeddingsFunc) -> None:
        self._function = function

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return self._function(texts)

    def embed_query(self, text: str) -> list[float]:
        return self._function([text])[0]


class _AsyncFunction(Embeddings):
    """An async function of a list of texts: for the async operations of a store only."""

    def __init__(self, function: AEmbeddingsFunc) -> None:
        self._function = function

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        raise ValueError(
            "This store embeds with an async function, which its sync operations cannot wait for. "
            "Use aput, asearch and abatch, or give the store a sync function."
        )

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        return await self._function(texts)

    async def aembed_query(self, text: str) -> list[float]:
        return (await self._function([text]))[0]


def ensure_embeddings(embed: AnyEmbeddings | EmbeddingsFunc | AEmbeddingsFunc | str | None) -> Embeddings:
    """An `Embeddings` for what a store was configured with.

    *embed*: an object with the methods of `Embeddings`, ours or LangChain's; a function from texts to
    vectors, sync or async; or `"provider:model"`, which LangChain loads if it is installed (`ImportError`
    if not). Raises `ValueError` for anything else.
    """
    if isinstance(embed, str):
        from threadkeep.interop.langchain import embeddings_of_provider

        return cast("Embeddings", embeddings_of_provider(embed))
    if hasattr(embed, "embed_documents") and hasattr(embed, "embed_query"):
        return cast("Embeddings", embed)
    if not callable(embed):
        raise ValueError(
            "embed must be a function from texts to vectors, an Embeddings, or the name of a provider, "
            f"not {embed!r}"
        )
    if _is_async(embed):
        return _AsyncFunction(cast("AEmbeddingsFunc", embed))
    return _Function(cast("EmbeddingsFunc", embed))


def _is_async(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004  # not whether it can be called, but how
    )
