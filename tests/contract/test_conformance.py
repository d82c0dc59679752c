"""An outside check: the conformance suite that LangGraph publishes, over our savers."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver as TheirSaver
from langgraph.checkpoint.conformance import checkpointer_test, validate

from tests.contract.backends import BACKENDS, Backend, opened
from threadkeep.errors import ConcurrentUpdateWarning

EXTENDED = {"copy_thread", "delete_for_runs", "prune"}
BASE = {"put", "put_writes", "get_tuple", "list", "delete_thread"}


class Adapter(TheirSaver[Any]):
    """One of our savers as one of theirs."""

    def __init__(self, ours: Any) -> None:
        super().__init__()
        self.ours = ours

    async def aget_tuple(self, config: Any) -> Any:
        return await self.ours.aget_tuple(config)

    async def alist(self, config: Any, **options: Any) -> AsyncIterator[Any]:
        async for each in self.ours.alist(config, **options):
            yield each

    async def aput(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        return await self.ours.aput(config, checkpoint, metadata, new_versions)

    async def aput_writes(self, config: Any, writes: Any, task_id: str, task_path: str = "") -> None:
        await self.ours.aput_writes(config, writes, task_id, task_path)

    async def adelete_thread(self, thread_id: str) -> None:
        await self.ours.adelete_thread(thread_id)

    async def adelete_for_runs(self, run_ids: Any) -> None:
        await self.ours.adelete_for_runs(run_ids)

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        await self.ours.acopy_thread(source_thread_id, target_thread_id)

    async def aprune(self, thread_ids: Any, *, strategy: str = "keep_latest") -> None:
        await self.ours.aprune(thread_ids, strategy=strategy)


@pytest.mark.parametrize(
    "backend", [each for each in BACKENDS if each.colour == "async"], ids=lambda backend: backend.name
)
async def test_the_published_suite_passes(backend: Backend, tmp_path: Path) -> None:
    made = iter(range(10_000))

    async def adapted() -> AsyncIterator[Adapter]:
        async with opened(backend, tmp_path / f"{next(made)}.db") as saver:
            yield Adapter(saver.raw)

    factory = checkpointer_test(name=backend.name)(adapted)  # not as a decorator: it has no types

    with warnings.catch_warnings():
        # Their suite puts many checkpoints without a parent into one thread, which is a conflict here.
        warnings.simplefilter("ignore", ConcurrentUpdateWarning)
        report = await validate(factory)
    failures = {name: result.failures for name, result in report.results.items() if result.failures}
    assert failures == {}
    passed = {name for name, result in report.results.items() if result.passed and result.tests_passed}
    assert passed >= BASE | EXTENDED
